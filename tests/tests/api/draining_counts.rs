//! `Draining` says how many messages remain, of a relay and of a domain, and a person can cut it short.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Mail, Place, ScriptedPrimary, Smtp,
    cluster::{PodRelay, condition},
};
use k8s_openapi::api::{core::v1::PersistentVolumeClaim, events::v1::Event};
use kube::ResourceExt;
use serde_json::json;

use crate::common::{Outage, Stage, resource_for, retiring};

/// Waits until `Draining` says so.
#[track_caller]
fn wait_said(stage: &Stage, text: &str) {
    stage.mail.wait("example", &format!("says {text:?}"), 2 * LONG, |object: &BackupMX| {
        condition(object, "Draining")
            .is_some_and(|draining| draining.status == "True" && draining.message.contains(text))
    });
}

fn send(pod: &PodRelay, recipient: &str) {
    Smtp::session(pod.smtp()).mail(&Mail::to(recipient)).expect(250);
}

fn cut_short(stage: &Stage, claim: &str) {
    let release = json!({"metadata": {"annotations": {"backupmx.io/release": "discard"}}});
    stage.mail.merge::<PersistentVolumeClaim>(claim, &release);
}

#[test]
fn of_a_relay() {
    let Outage { stage, operator: _operator, place: _place, primary, relay, pod } = Outage::new("");
    for _ in 0..2 {
        send(&pod, "ann@example.org");
    }
    stage.mail.delete::<BackupMX>("example");
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    wait_said(&stage, "relay a holds 3 messages");
    // One of them goes, by a person's hand in the relay.
    let listed: serde_json::Value = serde_json::from_str(&pod.admin().get("/v1/queue").unwrap().body).unwrap();
    let id = listed["messages"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(pod.admin().post(&format!("/v1/queue/{id}/discard")).status, 204);
    stage.look_at("example");
    wait_said(&stage, "relay a holds 2 messages");
    cut_short(&stage, &relay);
    stage.wait_let_go(&relay);
    stage.assert_nothing_left(&relay);
    stage.mail.wait_gone::<BackupMX>("example", LONG);
    assert_eq!(primary.count(), 0);
    let note = stage.mail.wait_event("example", "Warning", "MailDiscarded", LONG);
    assert!(note.contains("2 messages are in it"), "{note}");
    let drained = |event: &Event| event.reason.as_deref() == Some("Drained");
    assert!(!stage.mail.events("example").iter().any(drained), "none of it was delivered");
}

#[test]
fn of_a_domain() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let place = Place::new();
    let _primary = ScriptedPrimary::down(&place);
    let one = resource_for("example", "example.org", place.primary(), "");
    let (relay, pod) = stage.holding(&one.replace("[example.org]", "[example.org, example.net]"));
    for _ in 0..2 {
        send(&pod, "ann@example.net");
    }
    stage.mail.apply(&one);
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    wait_said(&stage, "relay a holds 2 messages for example.net");
    cut_short(&stage, &relay);
    let fades = |claim: &PersistentVolumeClaim| retiring(claim).iter().any(|one| one["phase"] == "Fading");
    stage.mail.wait(&relay, "is Fading", LONG, fades);
    // The order must not meet what leaves another day.
    let spent = |claim: &PersistentVolumeClaim| !claim.annotations().contains_key("backupmx.io/release");
    stage.mail.wait(&relay, "bears no order any more", LONG, spent);
}
