//! `Draining` says how many messages remain, of a relay and of a domain, and a person can cut it short.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Mail, Place, ScriptedPrimary, Smtp,
    cluster::{PodRelay, condition, reason},
    wait_until,
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
    let mut operator = stage.operator();
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let one = resource_for("example", "example.org", place.primary(), "");
    let (relay, pod) = stage.holding(&one.replace("[example.org]", "[example.org, example.net]"));
    for _ in 0..2 {
        send(&pod, "ann@example.net");
    }
    stage.mail.apply(&one);
    let leaves = stage.mail.wait_condition("example", "Reconciling", "True", "Progressing", LONG);
    assert_eq!(reason(&leaves, "Draining"), ("True".into(), "WaitingForCaches".into()));
    wait_said(&stage, "; it holds 2 messages for it");
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    wait_said(&stage, "relay a holds 2 messages for example.net");
    // It waits for the primary now: whoever waits for the resource goes on, maybe to what repairs that.
    let waits = stage.mail.wait_condition("example", "Reconciling", "False", "UpToDate", LONG);
    assert_eq!(reason(&waits, "Stalled"), ("False".into(), "UpToDate".into()));
    // An order that is given while no operator is there is found by the next one.
    operator.kill();
    cut_short(&stage, &relay);
    operator.start_again();
    let fades = |claim: &PersistentVolumeClaim| retiring(claim).iter().any(|one| one["phase"] == "Fading");
    stage.mail.wait(&relay, "is Fading", LONG, fades);
    // The order must not meet what leaves another day.
    let spent = |claim: &PersistentVolumeClaim| !claim.annotations().contains_key("backupmx.io/release");
    stage.mail.wait(&relay, "bears no order any more", LONG, spent);
    let note = stage.mail.wait_event("example", "Warning", "MailDiscarded", LONG);
    assert!(note.contains("relay a is told to discard 2 messages that it holds for example.net"), "{note}");
    // What it holds for the other domain is not touched, and is all that the primary gets.
    assert_eq!(pod.status().queue.messages, 1);
    primary.start();
    stage.mail.merge::<BackupMX>("example", &json!({"metadata": {"annotations": {"backupmx.io/flush": "now"}}}));
    let received = primary.wait_count(1, LONG);
    assert_eq!(received[0].to, ["bob@example.org"]);
    wait_until("nothing is held", LONG, || pod.status().queue.messages == 0);
    assert_eq!(primary.count(), 1);
}

#[test]
fn of_a_domain_before_senders_have_noticed() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let place = Place::new();
    let primary = ScriptedPrimary::down(&place);
    let one = resource_for("example", "example.org", place.primary(), "");
    let (relay, pod) = stage.ready(&one.replace("[example.org]", "[example.org, example.net]"));
    send(&pod, "ann@example.net");
    stage.mail.apply(&one);
    stage.mail.wait_condition("example", "Draining", "True", "WaitingForCaches", LONG);
    cut_short(&stage, &relay);
    let note = stage.mail.wait_event("example", "Warning", "MailDiscarded", LONG);
    assert!(note.contains("relay a is told to discard 1 message that it holds for example.net"), "{note}");
    wait_until("nothing is held", LONG, || pod.status().queue.messages == 0);
    let mut session = Smtp::session(pod.smtp());
    session.command("MAIL FROM:<a@example.com>").expect(250);
    session.command("RCPT TO:<ann@example.net>").expect(451);
    let fades = |claim: &PersistentVolumeClaim| retiring(claim).iter().any(|one| one["phase"] == "Fading");
    stage.mail.wait(&relay, "is Fading", LONG, fades);
    stage.mail.wait_condition("example", "Draining", "False", "NotDraining", LONG);
    let drained = |event: &Event| event.reason.as_deref() == Some("Drained");
    assert!(!stage.mail.events("example").iter().any(drained), "none of it was delivered");
    assert_eq!(primary.count(), 0);
}
