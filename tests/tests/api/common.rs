//! What most tests here begin with.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use backupmx_crds::BackupMX;
use backupmx_tests::{
    Dns, LONG, Mail, Place, ScriptedPrimary, Smtp,
    cluster::{Cluster, Kind, Namespace, Operator, OperatorOptions, PodRelay, Proxy, StandIn, documents},
    wait_until,
};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, PersistentVolumeClaim, Service},
    },
    jiff::{SignedDuration, Timestamp},
};
use kube::ResourceExt;
use serde_json::{Value, json};

pub(crate) use backupmx_tests::cluster::resource;

/// Two namespaces, one that is watched and the operator's own, and a proxy between the operator and the API server.
pub(crate) struct Stage {
    pub(crate) mail: Namespace,
    pub(crate) home: Namespace,
    pub(crate) proxy: Proxy,
    /// The zones' servers; nothing is in them at first.
    pub(crate) dns: Dns,
    place: Place,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::on(Cluster::control_plane())
    }

    pub(crate) fn on(cluster: &Cluster) -> Self {
        Self::between(cluster, |_, _| Proxy::start(cluster))
    }

    /// With a proxy of one's own, made for the two namespaces: the one that is watched, and the operator's.
    pub(crate) fn between(cluster: &Cluster, proxy: impl FnOnce(&Namespace, &Namespace) -> Proxy) -> Self {
        let (mail, home) = (cluster.namespace("mail"), cluster.namespace("operator"));
        let (place, proxy) = (Place::new(), proxy(&mail, &home));
        Self { mail, home, proxy, dns: Dns::start(&place, ""), place }
    }

    pub(crate) fn options(&self) -> OperatorOptions {
        let mut options = OperatorOptions::new(self.home.name(), Some(self.mail.name()), &self.proxy.kubeconfig());
        options.arguments = vec!["--nameserver".into(), self.place.dns().to_string()];
        options
    }

    /// An operator that leads.
    #[track_caller]
    pub(crate) fn operator(&self) -> Operator {
        self.operator_by(self.options())
    }

    #[track_caller]
    pub(crate) fn operator_by(&self, options: OperatorOptions) -> Operator {
        let mut operator = Operator::start(options);
        operator.wait_leads();
        operator
    }

    /// Waits until the operator has said something of this generation of a resource.
    #[track_caller]
    pub(crate) fn wait_observed(&self, name: &str) -> BackupMX {
        self.mail.wait(name, "was observed", LONG, |object: &BackupMX| {
            object.status.as_ref().and_then(|status| status.observed_generation) == object.metadata.generation
        })
    }

    /// The Deployment of a resource's relay; its Service and claim have the same name.
    #[track_caller]
    pub(crate) fn relay(&self, resource: &str, relay: &str) -> String {
        let prefix = format!("{resource}-{relay}-");
        backupmx_tests::wait_value(&format!("there is a Deployment {prefix}…"), LONG, || {
            self.mail.names::<Deployment>().into_iter().find(|name| name.starts_with(&prefix))
        })
    }

    /// The pod of a resource's relay is ready, and the load balancer has an address for it; the relay's Deployment.
    #[track_caller]
    pub(crate) fn serve(&self, resource: &str, relay: &str, address: &str) -> String {
        let name = self.relay(resource, relay);
        let stand_in = StandIn(&self.mail);
        stand_in.available(&name);
        stand_in.balance(&name, &[address]);
        name
    }
}

/// What tests of a resource begin with.
impl Stage {
    /// Applies a resource `example` and waits until the operator has made all of it, and writes no more. Says the name of
    /// its relay's objects.
    #[track_caller]
    pub(crate) fn settled(&self) -> String {
        self.mail.apply(&resource("example", "example.org", ""));
        self.wait_observed("example");
        let relay = self.relay("example", "a");
        self.proxy.wait_quiet(Duration::from_secs(2), LONG);
        relay
    }

    /// Applies a resource that has one relay, `a`, starts that, and waits until the operator says that it is ready. Says
    /// the name of its objects.
    #[track_caller]
    pub(crate) fn ready(&self, text: &str) -> (String, PodRelay) {
        let resource = self.mail.apply(text).remove(0).name_any();
        let relay = self.relay(&resource, "a");
        let pod = PodRelay::start(&self.mail, &relay);
        self.mail.wait_condition(&resource, "RelaysReady", "True", "AllReady", LONG);
        (relay, pod)
    }

    /// As [`Self::ready`], the relay holding one message for `bob@example.org`, as the status says.
    #[track_caller]
    pub(crate) fn holding(&self, text: &str) -> (String, PodRelay) {
        let (relay, pod) = self.ready(text);
        self.hand_in_one(&pod, documents(text)[0]["metadata"]["name"].as_str().unwrap());
        (relay, pod)
    }

    /// Gives a relay its first message, for `bob@example.org`, and waits until the resource says that it is held.
    #[track_caller]
    pub(crate) fn hand_in_one(&self, pod: &PodRelay, resource: &str) {
        Smtp::session(pod.smtp()).mail(&Mail::to("bob@example.org")).expect(250);
        self.look_at(resource);
        self.mail.wait(resource, "says that a message is held", LONG + LONG, |object| queued(object) == Some(1));
    }

    /// Waits until the API server's clock has gone on by a second: what comes then is younger than this resource.
    #[track_caller]
    pub(crate) fn wait_until_older(&self, resource: &str) {
        wait_until_older(&self.mail.get(resource).unwrap());
    }
}

/// A resource `example` for `example.org` whose primary is down, and whose relay holds a message for `bob@example.org`.
pub(crate) struct Outage {
    pub(crate) stage: Stage,
    pub(crate) operator: Operator,
    pub(crate) place: Place,
    pub(crate) primary: ScriptedPrimary,
    /// The name of its relay's objects.
    pub(crate) relay: String,
    pub(crate) pod: PodRelay,
}

impl Outage {
    /// `more` as for [`resource`].
    #[track_caller]
    pub(crate) fn new(more: &str) -> Self {
        let (stage, place) = (Stage::new(), Place::new());
        let operator = stage.operator();
        let primary = ScriptedPrimary::down(&place);
        let (relay, pod) = stage.holding(&resource_for("example", "example.org", place.primary(), more));
        Self { stage, operator, place, primary, relay, pod }
    }
}

/// How many messages a resource says that its relays hold.
pub(crate) fn queued(object: &BackupMX) -> Option<u64> {
    Some(object.status.as_ref()?.queue.as_ref()?.messages)
}

/// Waits until the API server's clock has gone on by a second: what comes then is younger than this resource.
#[track_caller]
pub(crate) fn wait_until_older(resource: &BackupMX) {
    let born = resource.creation_timestamp().unwrap().0.as_second();
    wait_until("a second has passed", LONG, || Timestamp::now().as_second() > born);
}

/// The document of a resource's relay, as its ConfigMap has it.
pub(crate) fn config(stage: &Stage, name: &str, relay: &str) -> Option<Value> {
    let prefix = format!("{name}-{relay}-");
    let map = stage.mail.list::<ConfigMap>().into_iter().find(|map| map.name_any().starts_with(&prefix))?;
    serde_yaml::from_str(map.data?.get("relay.yaml")?).ok()
}

/// What a claim, or the addresses of a host name, say is leaving.
pub(crate) fn retiring(object: &impl ResourceExt) -> Vec<Value> {
    let text = object.annotations().get("backupmx.io/retiring").map_or("[]", String::as_str);
    serde_json::from_str(text).unwrap()
}

/// Waits until what an object says is leaving has come to that phase, and then has it be in it since two days ago. A pass that
/// was under way may write over that what it began with: then it is done again.
#[track_caller]
pub(crate) fn let_time_pass<K: Kind>(namespace: &Namespace, name: &str, phase: &str) {
    let in_phase = |object: &K| retiring(object).iter().any(|one| one["phase"] == phase);
    let past = (Timestamp::now() - SignedDuration::from_hours(48)).to_string();
    let mut list = retiring(&namespace.wait(name, &format!("is {phase}"), LONG, in_phase));
    for one in &mut list {
        one["since"] = past.clone().into();
        if let Some(changed) = one.get_mut("changed") {
            *changed = past.clone().into();
        }
    }
    let text = serde_json::to_string(&list).unwrap();
    let change = json!({"metadata": {"annotations": {"backupmx.io/retiring": text}}});
    let mut written = Instant::now();
    namespace.merge::<K>(name, &change);
    wait_until("time has passed", LONG, || {
        let now: Option<K> = namespace.get(name);
        let undone = now.filter(in_phase).is_some_and(|now| retiring(&now) != list);
        if undone {
            namespace.merge::<K>(name, &change);
            written = Instant::now();
        }
        let moved_on = !undone && namespace.get::<K>(name).is_none_or(|now| !in_phase(&now));
        // Where no operator is there, it stays as it is.
        moved_on || written.elapsed() > Duration::from_secs(2)
    });
}

impl Stage {
    /// Waits until what leaves a relay has come to that phase, and then has it be in it since two days ago.
    #[track_caller]
    pub(crate) fn wait_phase_and_let_time_pass(&self, relay: &str, phase: &str) {
        let_time_pass::<PersistentVolumeClaim>(&self.mail, relay, phase);
    }

    /// Waits until the operator has let a claim go, and plays the controller that then takes it away.
    #[track_caller]
    pub(crate) fn wait_let_go(&self, relay: &str) {
        let claim = self.mail.wait(relay, "was deleted and let go", LONG, |claim: &PersistentVolumeClaim| {
            claim.metadata.deletion_timestamp.is_some()
                && !claim.finalizers().contains(&"backupmx.io/held-mail".to_owned())
        });
        assert_eq!(claim.finalizers(), ["kubernetes.io/pvc-protection"], "a pod may use it still");
        self.mail.merge::<PersistentVolumeClaim>(relay, &json!({"metadata": {"finalizers": null}}));
        self.mail.wait_gone::<PersistentVolumeClaim>(relay, LONG);
    }

    /// Has the operator look at a resource now, rather than when its time comes.
    #[track_caller]
    pub(crate) fn look_at(&self, name: &str) {
        let now = Timestamp::now().to_string();
        self.mail.merge::<BackupMX>(name, &json!({"metadata": {"annotations": {"example.test/look": now}}}));
    }

    /// Nothing is left of a relay.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self, relay: &str) {
        self.mail.wait_gone::<Deployment>(relay, LONG);
        self.mail.wait_gone::<Service>(relay, LONG);
        self.mail.wait_gone::<ConfigMap>(&format!("{relay}-config-v1"), LONG);
        self.mail.wait_gone::<PersistentVolumeClaim>(relay, LONG);
    }
}

/// A resource with a domain, one relay `a`, and a primary on this machine; `more` as for [`resource`].
pub(crate) fn resource_for(name: &str, domain: &str, primary: SocketAddr, more: &str) -> String {
    let (ip, port) = (primary.ip(), primary.port());
    let hosts = format!("{{hosts: [{{host: \"{ip}\", port: {port}}}], mx: [{{host: mail.{domain}}}]}}");
    resource(name, domain, more).replace(&format!("{{hosts: [{{host: mail.{domain}}}]}}"), &hosts)
}
