//! The parts of a cluster that an API server alone does not play: the kubelet, the load balancer, a relay's pod.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    process::Command,
};

use backupmx_relay_config::{ByteSize, RelayConfig};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service},
};
use serde_json::json;

use super::Namespace;
use crate::{Admin, LONG, Place, Process, Relay, wait_until};

/// Plays the controllers of a cluster in one namespace.
pub struct StandIn<'a>(pub &'a Namespace);

impl StandIn<'_> {
    /// Says of a Deployment's newest template that its pod is available.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn available(&self, name: &str) -> Deployment {
        let generation = self.0.wait(name, "is there", LONG, |_: &Deployment| true).metadata.generation;
        let status = json!({
            "observedGeneration": generation,
            "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
        });
        self.0.merge_status(name, &status)
    }

    /// Says of a Deployment that its pod is not available.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn unavailable(&self, name: &str) -> Deployment {
        self.0.merge_status(name, &json!({"readyReplicas": 0, "availableReplicas": 0, "unavailableReplicas": 1}))
    }

    /// Gives a Service of type LoadBalancer these addresses.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn balance(&self, name: &str, addresses: &[&str]) -> Service {
        let ingress: Vec<_> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
        self.0.merge_status(name, &json!({"loadBalancer": {"ingress": ingress}}))
    }

    /// Binds a claim: it has what it asks for.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn bind(&self, name: &str) -> PersistentVolumeClaim {
        let claim = self.0.wait(name, "is there", LONG, |_: &PersistentVolumeClaim| true);
        let size = claim.spec.and_then(|spec| spec.resources?.requests?.get("storage").cloned()).unwrap();
        self.0.merge_status(name, &json!({"phase": "Bound", "capacity": {"storage": size}}))
    }
}

/// A relay's pod: the real relay as a process on a loopback address, on the document that the operator made for it, and
/// a Pod with that address. As in a cluster, it reads its ConfigMap at its start only.
pub struct PodRelay {
    process: Process,
    place: Place,
    pod: String,
}

impl PodRelay {
    /// Starts the relay of a Deployment, and says of the Deployment that its pod is available.
    ///
    /// # Panics
    /// The Deployment or its ConfigMap is not there in time, or the relay does not start.
    #[must_use]
    #[track_caller]
    pub fn start(namespace: &Namespace, deployment: &str) -> Self {
        let place = Place::new();
        let live: Deployment = namespace.wait(deployment, "is there", LONG, |_| true);
        let template = live.spec.expect("a Deployment has a spec").template;
        let spec = template.spec.clone().expect("a template has a spec");
        let volumes = spec.volumes.clone().unwrap_or_default();
        let config = volumes.iter().find_map(|volume| volume.config_map.as_ref()).expect("its config is mounted");
        let config: ConfigMap = namespace.wait(&config.name, "is there", LONG, |_| true);
        let text = config.data.and_then(|mut data| data.remove("relay.yaml")).expect("the document");
        let document = local(&text, &place);
        fs::create_dir_all(&document.spool.path).unwrap();
        let file = place.file("relay.yaml");
        fs::write(&file, backupmx_relay_config::to_yaml(&document).unwrap()).unwrap();
        let mut command = Command::new(Relay::program());
        let process = Process::start(command.arg("serve").arg("--config").arg(&file), &place.file("relay.log"));
        let health = SocketAddr::new(place.ip(), port(document.admin.health));
        wait_until("the relay of a pod is ready", LONG, || {
            Admin::tcp(health).get("/readyz").is_some_and(|answer| answer.status == 200)
        });
        let pod = format!("{deployment}-{:04x}", rand::random::<u16>());
        let metadata = template.metadata.unwrap_or_default();
        namespace.create::<Pod>(&json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod, "labels": metadata.labels, "annotations": metadata.annotations},
            "spec": spec,
        }));
        let ip = place.ip().to_string();
        let condition = json!({"type": "Ready", "status": "True"});
        let status = json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [condition]});
        namespace.merge_status::<Pod>(&pod, &status);
        super::StandIn(namespace).available(deployment);
        Self { process, place, pod }
    }

    /// The name of its Pod.
    #[must_use]
    pub fn pod(&self) -> &str {
        &self.pod
    }

    /// Its address, as the Pod's status has it.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.place.ip()
    }

    /// Where it takes mail.
    #[must_use]
    pub fn smtp(&self) -> SocketAddr {
        self.place.at(2525)
    }

    /// Its admin API, over its socket.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::unix(self.place.file("spool").join("control.sock"))
    }

    /// `kill -9`: it does not answer any more, and its Pod is still there.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// The document with the addresses and folders of this machine.
fn local(text: &str, place: &Place) -> RelayConfig {
    let mut document = backupmx_relay_config::from_yaml(text).unwrap_or_else(|error| panic!("{error} in\n{text}"));
    let here = |address: &mut SocketAddr| address.set_ip(place.ip());
    document.listeners.iter_mut().for_each(|listener| here(&mut listener.address));
    document.admin.health.iter_mut().for_each(here);
    document.admin.api.iter_mut().for_each(|api| here(&mut api.address));
    document.spool.path = place.file("spool");
    document.spool.size = Some(ByteSize::mebibytes(64));
    document
}

fn port(address: Option<SocketAddr>) -> u16 {
    address.map_or(0, |address| address.port())
}
