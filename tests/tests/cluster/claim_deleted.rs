//! A claim that a person deletes keeps its mail until that is gone, and is never replaced in silence.

use backupmx_tests::wait_until;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use serde_json::json;

use crate::stage::{PATIENCE, Stage};

#[test]
fn its_mail_is_delivered_first() {
    let mut stage = Stage::new("claim");
    stage.publish(&json!({}));
    let held = stage.send("a", 2);
    let claim = stage.claim("a");
    stage.mail.delete::<PersistentVolumeClaim>(&claim.name_any());
    stage.wait_reason("StorageHealthy", "False", "DeletedWhileHolding");
    assert_eq!(stage.claim("a").uid(), claim.uid());
    stage.primary.start();
    stage.wait_arrived(&held);
    wait_until("the claim goes, and a new one takes its place", PATIENCE, || {
        let now = stage.mail.list::<PersistentVolumeClaim>();
        now.first().is_some_and(|now| now.uid() != claim.uid() && now.metadata.deletion_timestamp.is_none())
    });
    stage.wait_reason("RelaysReady", "True", "AllReady");
    stage.send("a", 1);
}
