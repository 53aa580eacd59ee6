//! A claim that is forced away from under a relay that serves is replaced, and never in silence: it is told how much mail
//! was in it, until a person has seen that; and the pod that still runs on the old volume delivers what is there.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Smtp,
    cluster::{condition, reason},
    stays, wait_until,
};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, PersistentVolumeClaim, Pod},
    },
    jiff::Timestamp,
};
use kube::ResourceExt;
use serde_json::{Value, json};
use std::time::Duration;

use crate::common::{Outage, Stage, config};

/// Takes a claim away, whatever keeps it, and waits until there is another in its place.
fn force_away(stage: &Stage, claim: &str) -> PersistentVolumeClaim {
    let old = stage.mail.get::<PersistentVolumeClaim>(claim).unwrap();
    let made = old.creation_timestamp().unwrap().0.as_second();
    // Two that were made in one second cannot be told apart by their age.
    wait_until("two seconds have passed", LONG, || Timestamp::now().as_second() > made + 2);
    stage.mail.delete::<PersistentVolumeClaim>(claim);
    stage.mail.merge::<PersistentVolumeClaim>(claim, &json!({"metadata": {"finalizers": null}}));
    let another = |now: &PersistentVolumeClaim| now.uid() != old.uid();
    stage.mail.wait(claim, "is another", LONG, another)
}

#[test]
fn it_is_told_and_its_mail_is_delivered() {
    let Outage { stage, operator: _operator, place: _place, mut primary, relay, pod } = Outage::new("");
    let deployment = stage.mail.get::<Deployment>(&relay).unwrap().uid();
    let new = force_away(&stage, &relay);
    let note: Value = serde_json::from_str(&new.annotations()["backupmx.io/lost"]).unwrap();
    assert_eq!(note["messages"], 1);
    let lost = stage.mail.wait_condition("example", "StorageHealthy", "False", "ClaimLost", LONG);
    let message = condition(&lost, "StorageHealthy").unwrap().message;
    assert!(message.contains("it held 1 message when it was last asked"), "{message}");
    assert!(message.contains("Its pod is still on the old volume"), "{message}");
    stage.mail.wait_event("example", "Warning", "ClaimLost", LONG);
    stays("the pod with the mail is left as it is", Duration::from_secs(3), || {
        stage.mail.get::<Deployment>(&relay).is_some_and(|now| now.uid() == deployment)
    });

    // Empty, the relay moves to the new volume; nothing comes in on the way.
    primary.start();
    primary.wait_count(1, LONG);
    stage.look_at("example");
    stage.mail.wait_gone::<Deployment>(&relay, 2 * LONG);
    let mut late = Smtp::session(pod.smtp());
    late.command("MAIL FROM:<a@example.net>").expect(250);
    late.command("RCPT TO:<bob@example.org>").expect(451);
    let name = pod.pod().to_owned();
    drop(pod);
    stage.mail.delete::<Pod>(&name);
    stage.mail.wait(&relay, "is made anew", LONG, |_: &Deployment| true);
    assert_eq!(stage.mail.get::<PersistentVolumeClaim>(&relay).unwrap().uid(), new.uid(), "the new claim stays");

    // It is said until a person has seen it.
    stage.look_at("example");
    let still = stage.wait_observed("example");
    assert_eq!(reason(&still, "StorageHealthy"), ("False".into(), "ClaimLost".into()));
    let seen = json!({"metadata": {"annotations": {"backupmx.io/lost": null}}});
    stage.mail.merge::<PersistentVolumeClaim>(&relay, &seen);
    stage.mail.wait_condition("example", "StorageHealthy", "Unknown", "Provisioning", LONG);
}

#[test]
fn with_its_deployment_too_it_is_told() {
    let Outage { stage, mut operator, place: _place, primary: _primary, relay, pod } = Outage::new("");
    for lost in ["its ConfigMap is still there", "its ConfigMap is gone too"] {
        operator.kill();
        let old = stage.mail.get::<PersistentVolumeClaim>(&relay).unwrap();
        for pod in stage.mail.names::<Pod>() {
            stage.mail.delete::<Pod>(&pod);
        }
        stage.mail.delete::<Deployment>(&relay);
        if lost == "its ConfigMap is gone too" {
            stage.mail.delete::<ConfigMap>(&format!("{relay}-config-v1"));
        }
        stage.mail.delete::<PersistentVolumeClaim>(&relay);
        stage.mail.merge::<PersistentVolumeClaim>(&relay, &json!({"metadata": {"finalizers": null}}));
        operator.start_again();
        let another = |now: &PersistentVolumeClaim| now.uid() != old.uid();
        let new = stage.mail.wait(&relay, "is another", LONG, another);
        let note: Value = serde_json::from_str(&new.annotations()["backupmx.io/lost"]).unwrap();
        assert_eq!(note["messages"], 1, "{lost}");
        stage.mail.wait_condition("example", "StorageHealthy", "False", "ClaimLost", LONG);
        // Before the operator is killed once more.
        stage.mail.wait_event("example", "Warning", "ClaimLost", LONG);
    }
    drop(pod);
}

#[test]
fn of_a_relay_that_takes_no_mail_just_then_it_is_told() {
    let Outage { stage, mut operator, place: _place, primary: _primary, relay, pod } = Outage::new("");
    // Its records were never seen in DNS.
    let waits = json!({"spec": {"acceptance": {"activation": "WhenPublished"}}});
    stage.mail.merge::<BackupMX>("example", &waits);
    wait_until("it is told to take no mail", LONG, || {
        config(&stage, "example", "a").unwrap()["tenants"][0]["accept"] == "Defer"
    });
    operator.kill();
    let old = stage.mail.get::<PersistentVolumeClaim>(&relay).unwrap();
    stage.mail.delete::<Pod>(pod.pod());
    drop(pod);
    stage.mail.delete::<Deployment>(&relay);
    stage.mail.delete::<PersistentVolumeClaim>(&relay);
    stage.mail.merge::<PersistentVolumeClaim>(&relay, &json!({"metadata": {"finalizers": null}}));
    operator.start_again();
    let another = |now: &PersistentVolumeClaim| now.uid() != old.uid();
    let new = stage.mail.wait(&relay, "is another", LONG, another);
    let note: Value = serde_json::from_str(&new.annotations()["backupmx.io/lost"]).unwrap();
    assert_eq!(note["messages"], 1);
    stage.mail.wait_condition("example", "StorageHealthy", "False", "ClaimLost", LONG);
    stage.mail.wait_event("example", "Warning", "ClaimLost", LONG);
}

#[test]
fn of_a_relay_that_leaves_it_is_told_when_that_goes() {
    let Outage { stage, mut operator, place: _place, primary: _primary, relay, pod } = Outage::new("");
    stage.mail.delete::<BackupMX>("example");
    stage.mail.wait_condition("example", "Draining", "True", "WaitingForCaches", LONG);
    operator.kill();
    stage.mail.delete::<Pod>(pod.pod());
    drop(pod);
    stage.mail.delete::<Deployment>(&relay);
    stage.mail.delete::<PersistentVolumeClaim>(&relay);
    stage.mail.merge::<PersistentVolumeClaim>(&relay, &json!({"metadata": {"finalizers": null}}));
    stage.mail.wait_gone::<PersistentVolumeClaim>(&relay, LONG);
    operator.start_again();
    let note = stage.mail.wait_event("example", "Warning", "ClaimLost", LONG);
    assert!(note.contains("relay a left") && note.contains("1 message is known to have been in it"), "{note}");
    stage.mail.wait_gone::<BackupMX>("example", LONG);
    stage.assert_nothing_left(&relay);
}
