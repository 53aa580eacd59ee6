//! What has held mail tried at once, long before its next try is due: an annotation, and a primary in the cluster whose
//! endpoints become ready.

use std::time::{Duration, Instant};

use backupmx_crds::BackupMX;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::json;

use crate::stage::{NAME, PATIENCE, Stage};

/// The next try of itself is an hour away.
const SELDOM: &str = "1h";

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
    let (mut sent, mut took) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        sent.extend(stage.send("a", 2));
        stage.wait_reason("PrimaryReachable", "False", "Down");
        stage.primary.start();
        let start = Instant::now();
        endpoints(true);
        stage.primary.wait_count(sent.len(), PATIENCE);
        took.push(start.elapsed());
        stage.primary.stop();
        endpoints(false);
    }
    stage.wait_arrived(&sent);
    eprintln!("held mail was delivered {took:?} after the endpoints were ready");
    // A machine that is busy with other tests may be slow once, but not three times.
    assert!(took.iter().min().is_some_and(|best| *best < Duration::from_secs(2)), "{took:?}");
}
