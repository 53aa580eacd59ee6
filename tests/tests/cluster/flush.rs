//! What has held mail tried at once, long before its next try is due: an annotation, and a primary in the cluster whose
//! endpoints become ready.

use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use backupmx_crds::BackupMX;
use backupmx_tests::{cluster::condition, wait_until, wait_value};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::ResourceExt;
use serde_json::json;

use crate::stage::{NAME, PATIENCE, Stage};

/// The next try of itself is an hour away.
const SELDOM: &str = "1h";
/// From the moment when a primary's endpoints are ready to the last of the held mail.
const PROMISED: Duration = Duration::from_secs(2);
/// A node leads nobody to a Service's endpoints before its own rules are written, which kube-proxy does once a second at
/// most. Where a busy machine takes longer than that over it, what is beyond is the node's and not ours.
const NODES_OWN: Duration = Duration::from_secs(1);

#[test]
fn the_annotation_does() {
    let mut stage = Stage::new("flush");
    stage.publish(&json!({"delivery": {"retry": {"min": SELDOM, "max": SELDOM}}}));
    let held = stage.send("a", 2);
    stage.wait_reason("PrimaryReachable", "False", "Down");
    stage.primary.start();
    stage.mail.merge::<BackupMX>(NAME, &json!({"metadata": {"annotations": {"backupmx.io/flush": "now"}}}));
    stage.wait_arrived(&held);
    stage.mail.wait(NAME, "says that it has flushed", PATIENCE, |resource: &BackupMX| {
        resource.status.as_ref().is_some_and(|status| status.last_handled_flush.as_deref() == Some("now"))
    });
}

#[test]
fn endpoints_that_become_ready_do() {
    let mut stage = Stage::new("endpoints");
    let (host, port) = (stage.primary_address().ip(), stage.primary_address().port());
    let slice = |ready: bool| {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "primary-1", "labels": {"kubernetes.io/service-name": "primary"}},
            "ports": [{"name": "smtp", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [host], "conditions": {"ready": ready}}],
        })
    };
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "primary"},
        "spec": {"ports": [{"name": "smtp", "port": 2525, "targetPort": port, "protocol": "TCP"}]},
    });
    stage.mail.apply(&service.to_string());
    stage.mail.apply(&slice(false).to_string());
    let primary = json!({
        "hosts": null,
        "serviceRef": {"name": "primary", "port": 2525},
        "mx": [{"host": format!("mail.{}", stage.domain())}],
    });
    stage.publish(&json!({"primary": primary, "delivery": {"retry": {"min": SELDOM, "max": SELDOM}}}));
    let endpoints = |ready: bool| {
        let change = json!({"endpoints": slice(ready)["endpoints"]});
        stage.mail.merge::<EndpointSlice>("primary-1", &change);
    };
    let service = service_address(&stage);
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.extend(stage.send("a", 2));
        stage.wait_reason("PrimaryReachable", "False", "Down");
        wait_until("the node leads nobody to the primary", PATIENCE, || !leads(service));
        stage.primary.start();
        let asked = flushes(&stage);

        let start = Instant::now();
        let ready = thread::spawn(move || {
            wait_value("the node leads to the primary", PATIENCE, || leads(service).then(Instant::now))
        });
        endpoints(true);
        let last = stage.primary.wait_count(sent.len(), PATIENCE).iter().map(|one| one.at).max().unwrap();
        let (took, ready) = (last - start, ready.join().unwrap() - start);
        let asked = flushes(&stage) - asked;
        eprintln!(
            "endpoints ready, held mail delivered after {took:?}; the node's rules {ready:?}; asked {asked} times"
        );
        // Its own next try is an hour away.
        assert!(asked > 0, "nobody asked the relay for it");
        let promised = PROMISED + ready.saturating_sub(NODES_OWN);
        assert!(took < promised, "{took:?}, where the node itself needed {ready:?}");

        // Nobody asks any more: what comes next is asked for by what happens next.
        stage.mail.wait(NAME, "says that the primary is back", PATIENCE, |resource: &BackupMX| {
            condition(resource, "PrimaryReachable").is_some_and(|known| known.status == "True")
        });
        stage.primary.stop();
        endpoints(false);
    }
    stage.wait_arrived(&sent);
}

/// Where the Service `primary` is reached, from pods and from here.
fn service_address(stage: &Stage) -> SocketAddr {
    let service: Service = stage.mail.get("primary").unwrap();
    let address: IpAddr = service.spec.unwrap().cluster_ip.unwrap().parse().unwrap();
    SocketAddr::new(address, 2525)
}

/// Whether a connection to a Service comes to somebody.
fn leads(service: SocketAddr) -> bool {
    TcpStream::connect_timeout(&service, Duration::from_millis(100)).is_ok()
}

/// How often the relay says that it was asked to try all held mail.
fn flushes(stage: &Stage) -> usize {
    let pod = stage.pod("a").unwrap().name_any();
    stage.kubectl(&["logs", &pod]).lines().filter(|line| line.contains("all its mail is tried at once")).count()
}
