//! A claim that a person deletes keeps its mail until that is gone, and is never replaced in silence.

use backupmx_tests::{
    Mail,
    cluster::{condition, reason},
    wait_until,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::ResourceExt;
use serde_json::json;

use crate::stage::{IMAGE, NAME, PATIENCE, Stage, cluster};

/// A stage whose relay holds two messages on a claim that was deleted.
#[track_caller]
fn deleted(topic: &str) -> (Stage, Vec<Mail>, PersistentVolumeClaim) {
    let stage = Stage::new(topic);
    stage.publish(&json!({}));
    let held = stage.send("a", 2);
    let claim = stage.claim("a");
    stage.mail.delete::<PersistentVolumeClaim>(&claim.name_any());
    stage.wait_reason("StorageHealthy", "False", "DeletedWhileHolding");
    assert_eq!(stage.claim("a").uid(), claim.uid());
    (stage, held, claim)
}

/// Waits until there is a claim in place of that one.
#[track_caller]
fn wait_replaced(stage: &Stage, claim: &PersistentVolumeClaim) {
    wait_until("the claim goes, and a new one takes its place", PATIENCE, || {
        let now = stage.mail.list::<PersistentVolumeClaim>();
        now.first().is_some_and(|now| now.uid() != claim.uid() && now.metadata.deletion_timestamp.is_none())
    });
    stage.wait_reason("RelaysReady", "True", "AllReady");
}

#[test]
fn its_mail_is_delivered_first() {
    let (mut stage, mut held, claim) = deleted("claim");
    stage.primary.start();
    stage.wait_arrived(&held);
    wait_replaced(&stage, &claim);
    held.extend(stage.send("a", 1));
    stage.wait_arrived(&held);
}

#[test]
fn its_pod_is_not_replaced_as_no_other_could_start() {
    let (mut stage, held, claim) = deleted("kept");
    let pod = stage.pod("a").unwrap().uid();
    stage.operator().stop();
    stage.operator().options().relay_image = format!("{IMAGE}-other");
    cluster().script("images", &["--tag", "test-other", "relay"]);
    stage.operator().start_again();
    stage.operator().wait_leads();
    // A change that takes no new pod comes through, so the operator has looked.
    stage.change(&json!({"acceptance": {"maxMessageSize": "60Mi"}}));
    wait_until("the relay has it", PATIENCE, || {
        let greeting = stage.session("a").command("EHLO client.sender.test").text;
        greeting.lines().any(|line| line == format!("SIZE {}", 60 << 20))
    });
    assert_eq!(stage.pod("a").map(|pod| pod.uid()), Some(pod));
    stage.primary.start();
    stage.wait_arrived(&held);
    wait_replaced(&stage, &claim);
    let image = |deployment: Deployment| deployment.spec?.template.spec?.containers.first()?.image.clone();
    assert_eq!(stage.mail.get(&claim.name_any()).and_then(image), Some(format!("{IMAGE}-other")));
}

#[test]
fn what_is_on_it_when_its_pod_is_lost_comes_back_by_what_the_message_says() {
    let (mut stage, held, claim) = deleted("stranded");
    stage.wait_queued(2);
    let volume = claim.spec.as_ref().unwrap().volume_name.clone().unwrap();
    stage.mail.delete::<Pod>(&stage.pod("a").unwrap().name_any());
    let told = stage.wait_reason("StorageHealthy", "False", "DeletedWhileStopped");
    // An Event comes after the status that it tells of.
    stage.mail.wait_event(NAME, "Warning", "ClaimStranded", PATIENCE);
    let events = stage.kubectl(&["get", "events", "--field-selector", "reason=ClaimStranded", "--output", "name"]);
    assert_eq!(events.lines().count(), 1, "{events}");
    let message = condition(&told, "StorageHealthy").unwrap().message;
    let (_, commands) = message.split_once("its mail: ").unwrap_or_else(|| panic!("{message}"));
    let done = cluster().program("bash", &["-ec", commands]);
    assert!(done.ok, "{commands}: {}", done.text);
    wait_replaced(&stage, &claim);
    let new = stage.claim("a");
    assert_eq!(new.spec.as_ref().unwrap().volume_name.as_ref(), Some(&volume), "the volume is the same");
    stage.primary.start();
    stage.wait_arrived(&held);
    assert_eq!(reason(&stage.live(), "StorageHealthy"), ("True".into(), "Bound".into()));
    // It goes with its namespace again, as all volumes of tests.
    let delete = r#"{"spec": {"persistentVolumeReclaimPolicy": "Delete"}}"#;
    assert!(cluster().kubectl(&["patch", "pv", &volume, "--type", "merge", "-p", delete]).ok);
}
