//! How a resource leaves whose relay holds mail: by each policy, and by each way to delete it.

use backupmx_crds::BackupMX;
use backupmx_tests::{Mail, cluster::reason, wait_until};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{ResourceExt, api::PropagationPolicy};
use serde_json::{Value, json};

use crate::stage::{NAME, PATIENCE, Stage};

/// A stage whose relay `a` is published and holds two messages, as the primary is down.
#[track_caller]
fn holding(topic: &str, change: &Value) -> (Stage, Vec<Mail>) {
    let stage = Stage::with(topic, Stage::SOON);
    stage.publish(change);
    let held = stage.send("a", 2);
    (stage, held)
}

/// Waits until the relay answers 451, which it does when the old records have run out.
#[track_caller]
fn wait_closed(stage: &Stage) {
    stage.wait_answer(stage.smtp("a"), &stage.recipient(), 451);
}

#[test]
fn drain_delivers_first() {
    let (mut stage, mut held) = holding("drain", &json!({}));
    stage.mail.delete::<BackupMX>(NAME);
    let domain = stage.domain().to_owned();
    stage.wait_mx(&[format!("10 mail.{domain}")]);
    // Senders may have the old records still.
    held.extend(stage.send("a", 1));
    stage.wait_reason("Draining", "True", "WaitingForCaches");
    wait_closed(&stage);
    stage.mail.wait(NAME, "says what it waits for", PATIENCE, |resource: &BackupMX| {
        let (status, reason) = reason(resource, "Draining");
        status == "True" && reason != "WaitingForCaches"
    });
    stage.primary.start();
    stage.wait_arrived(&held);
    stage.wait_nothing_left();
    stage.wait_mx(&[format!("10 mail.{domain}")]);
    wait_until("the relay's address is gone", PATIENCE, || {
        stage.zones.ask(&stage.hostname("a"), "A") == Some(Vec::new())
    });
}

#[test]
fn a_foreground_deletion_drains_too() {
    let (mut stage, held) = holding("foreground", &json!({}));
    let pod = stage.pod("a").unwrap().name_any();
    stage.mail.delete_by::<BackupMX>(NAME, PropagationPolicy::Foreground);
    wait_closed(&stage);
    assert_eq!(stage.pod("a").map(|pod| pod.name_any()), Some(pod), "the garbage collector takes nothing");
    stage.primary.start();
    stage.wait_arrived(&held);
    stage.wait_nothing_left();
}

#[test]
fn retained_mail_is_delivered_by_the_next_resource_of_that_name() {
    let (mut stage, held) = holding("retain", &json!({"deletionPolicy": "Retain"}));
    let claim = stage.claim("a");
    stage.mail.delete::<BackupMX>(NAME);
    stage.mail.wait_gone::<BackupMX>(NAME, PATIENCE);
    wait_until("the relay is gone", PATIENCE, || stage.pod("a").is_none());
    let kept = stage.claim("a");
    assert_eq!((kept.uid(), kept.metadata.deletion_timestamp), (claim.uid(), None));
    stage.primary.start();
    stage.apply(&json!({"deletionPolicy": "Discard"}));
    stage.wait_arrived(&held);
    assert_eq!(stage.claim("a").uid(), claim.uid());
}

#[test]
fn discarded_mail_goes_with_its_volume() {
    let (mut stage, _) = holding("discard", &json!({"deletionPolicy": "Discard", "dns": {"onRelease": "Delete"}}));
    stage.mail.delete::<BackupMX>(NAME);
    stage.wait_mx(&[""; 0]);
    stage.wait_nothing_left();
    stage.primary.start();
    assert_eq!(stage.primary.count(), 0);
}

#[test]
fn a_person_can_let_the_mail_go() {
    let (stage, _) = holding("release", &json!({}));
    stage.mail.delete::<BackupMX>(NAME);
    stage.wait_reason("Draining", "True", "WaitingForCaches");
    let claim = stage.claim("a").name_any();
    let release = json!({"metadata": {"annotations": {"backupmx.io/release": "discard"}}});
    stage.mail.merge::<PersistentVolumeClaim>(&claim, &release);
    stage.wait_nothing_left();
}
