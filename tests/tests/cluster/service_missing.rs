//! A primary that is a Service which is not there yet, as where a resource is applied before it: mail is held, the status
//! says what is missing, and all is handed over when it comes.

use backupmx_crds::BackupMX;
use backupmx_tests::cluster::condition;
use serde_json::json;

use crate::stage::{NAME, PATIENCE, Stage};

#[test]
fn it_is_named_and_waited_for() {
    let mut stage = Stage::new("missing");
    let primary = json!({
        "hosts": null,
        "serviceRef": {"name": "primary", "port": 2525},
        "mx": [{"host": format!("mail.{}", stage.domain())}],
    });
    stage.publish(&json!({"primary": primary, "delivery": {"retry": {"min": "1h", "max": "1h"}}}));
    let held = stage.send("a", 2);
    let missing = format!("primary.{}.svc.cluster.local", stage.mail.name());
    stage.mail.wait(NAME, &format!("says that there is no {missing}"), PATIENCE, |resource: &BackupMX| {
        let known = condition(resource, "PrimaryReachable");
        known.is_some_and(|known| known.reason == "Down" && known.message.contains(&missing))
    });

    stage.primary.start();
    let (host, port) = (stage.primary_address().ip(), stage.primary_address().port());
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "primary"},
        "spec": {"ports": [{"name": "smtp", "port": 2525, "targetPort": port, "protocol": "TCP"}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "primary-1", "labels": {"kubernetes.io/service-name": "primary"}},
        "ports": [{"name": "smtp", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [host], "conditions": {"ready": true}}],
    });
    stage.mail.apply(&service.to_string());
    stage.mail.apply(&slice.to_string());
    stage.wait_arrived(&held);
    stage.wait_queued(0);
}
