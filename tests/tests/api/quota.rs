//! A volume that a quota keeps from growing keeps nothing else from being done, and grows once it may; how that goes is
//! told.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG,
    cluster::{Cluster, StandIn, condition, reason},
    wait_until,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, ResourceQuota};
use serde_json::{Value, json};

use crate::common::{Stage, config, resource, retiring};

/// A class whose volumes can grow; it goes when this does.
pub(crate) struct Class(pub(crate) String);

impl Class {
    pub(crate) fn new(stage: &Stage) -> Self {
        let name = format!("grows-{}", stage.mail.name());
        stage.mail.apply(&format!(
            "{{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {{name: {name}}}, \
             provisioner: volumes.backupmx.test, allowVolumeExpansion: true}}"
        ));
        Self(name)
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        let _ = Cluster::control_plane().kubectl(&["delete", "storageclass", &self.0]);
    }
}

/// Allows so much, of which 10 GiB are used, as the controller of quotas would say.
fn allow(stage: &Stage, size: &str) {
    let hard = json!({"requests.storage": size});
    stage.mail.apply(&format!(
        "{{apiVersion: v1, kind: ResourceQuota, metadata: {{name: volumes}}, spec: {{hard: {hard}}}}}"
    ));
    stage.mail.merge_status::<ResourceQuota>("volumes", &json!({"hard": hard, "used": {"requests.storage": "10Gi"}}));
}

pub(crate) fn size(claim: &PersistentVolumeClaim) -> Option<String> {
    Some(claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage")?.0.clone())
}

const RECORDS: &str = "mx1.example.org. 60 IN A 192.0.2.10\n\
                       example.org. 60 IN MX 10 mail.example.org.\n\
                       example.org. 60 IN MX 20 mx1.example.org.\n";

#[test]
fn keeps_a_resource_that_serves_ready() {
    let stage = Stage::new();
    stage.dns.set_records(RECORDS);
    let class = Class::new(&stage);
    let _operator = stage.operator();
    let sized = |size: &str| {
        let storage = format!("  storage: {{size: {size}, storageClassName: {}}}\n", class.0);
        resource("example", "example.org", &storage)
    };
    let (relay, _pod) = stage.ready(&sized("10Gi"));
    StandIn(&stage.mail).balance(&relay, &["192.0.2.10"]);
    StandIn(&stage.mail).bind(&relay);
    stage.mail.wait_condition("example", "Ready", "True", "Available", LONG);
    allow(&stage, "15Gi");
    stage.mail.apply(&sized("20Gi"));
    let told = stage.mail.wait_condition("example", "StorageHealthy", "False", "ResizeFailed", LONG);
    assert_eq!(told.status.as_ref().unwrap().observed_generation, told.metadata.generation);
    for (kind, status, wanted) in [
        ("Ready", "True", "Available"),
        ("RelaysReady", "True", "AllReady"),
        ("DNSPublished", "True", "Published"),
        ("Stalled", "False", "UpToDate"),
    ] {
        assert_eq!(reason(&told, kind), (status.into(), wanted.into()), "{kind}");
    }
    // What comes after it is told too.
    stage.dns.set_records("mx1.example.org. 60 IN A 192.0.2.10\n");
    stage.look_at("example");
    stage.mail.wait("example", "says that the records are gone", LONG + LONG, |object: &BackupMX| {
        reason(object, "DNSPublished").0 == "False"
    });
}

#[test]
fn keeps_nothing_else_from_being_done() {
    let stage = Stage::new();
    let class = Class::new(&stage);
    let _operator = stage.operator();
    let storage = |size: &str| format!("  storage: {{size: {size}, storageClassName: {}}}\n", class.0);
    let text = resource("example", "example.org", &storage("10Gi"));
    stage.mail.apply(&text.replace("[example.org]", "[example.org, example.net]"));
    let relay = stage.serve("example", "a", "192.0.2.10");
    StandIn(&stage.mail).bind(&relay);
    allow(&stage, "15Gi");

    // It is to grow, and a domain leaves.
    stage.mail.apply(&resource("example", "example.org", &storage("20Gi")));
    let told = stage.mail.wait_condition("example", "StorageHealthy", "False", "ResizeFailed", LONG);
    let message = condition(&told, "StorageHealthy").unwrap().message;
    assert!(message.contains("could not grow to 20Gi") && message.contains("exceeded quota: volumes"), "{message}");
    stage.mail.wait_event("example", "Warning", "VolumeResizeFailed", LONG);
    let noted = |claim: &PersistentVolumeClaim| retiring(claim).iter().any(|one| one["domain"] == "example.net");
    let claim = stage.mail.wait(&relay, "notes the domain that leaves", LONG, noted);
    assert_eq!(size(&claim).unwrap(), "10Gi");
    stage.mail.merge::<BackupMX>("example", &json!({"spec": {"delivery": {"maxConnections": 3}}}));
    let told = |config: &Value| config.to_string().contains("\"maxConnections\":3");
    wait_until("its relay's config follows", LONG, || config(&stage, "example", "a").as_ref().is_some_and(told));

    allow(&stage, "25Gi");
    let grows = |claim: &PersistentVolumeClaim| size(claim).as_deref() == Some("20Gi");
    stage.look_at("example");
    stage.mail.wait(&relay, "grows", LONG + LONG, grows);
    stage.mail.wait_condition("example", "Stalled", "False", "UpToDate", LONG);
    stage.mail.wait_condition("example", "StorageHealthy", "True", "Growing", LONG);
    // As the resizer of a CSI driver says it.
    let failed = json!([{"type": "ControllerResizeError", "status": "True", "message": "no room on the array"}]);
    stage.mail.merge_status::<PersistentVolumeClaim>(&relay, &json!({"conditions": failed}));
    let told = stage.mail.wait_condition("example", "StorageHealthy", "False", "ResizeFailed", LONG);
    let message = condition(&told, "StorageHealthy").unwrap().message;
    assert!(message.contains("could not grow to 20Gi: no room on the array"), "{message}");
    stage.mail.wait_event("example", "Warning", "VolumeResizeFailed", LONG);
    stage.mail.merge_status::<PersistentVolumeClaim>(&relay, &json!({"conditions": null}));
    StandIn(&stage.mail).bind(&relay);
    stage.mail.wait_condition("example", "StorageHealthy", "True", "Bound", LONG);
}
