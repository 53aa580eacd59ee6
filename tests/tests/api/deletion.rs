//! A resource that is deleted: its relays drain, stay or go, as `deletionPolicy` says; held mail is never forgotten.

use std::time::Duration;

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Mail, Smtp,
    cluster::{PodRelay, condition, reason},
    stays, wait_until,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
};
use kube::{ResourceExt, api::PropagationPolicy};
use serde_json::json;

use crate::common::{Outage, Stage, resource, resource_for, retiring};

#[test]
fn drain_delivers_what_is_held_before_anything_goes() {
    let Outage { stage, operator: _operator, place: _place, mut primary, relay, pod } =
        Outage::new("  delivery: {retry: {min: 1s, max: 1s}}\n");
    stage.mail.delete::<BackupMX>("example");
    let waiting = stage.mail.wait_condition("example", "Draining", "True", "WaitingForCaches", LONG);
    assert_eq!(reason(&waiting, "Ready"), ("False".into(), "Deleting".into()));
    let message = condition(&waiting, "RelaysReady").unwrap().message;
    assert!(message.ends_with("mail is still taken by 1 relay"), "{message}");
    // Senders may have the records still: mail is taken.
    Smtp::session(pod.smtp()).mail(&Mail::to("bob@example.org")).expect(250);
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    let draining = stage.mail.wait_condition("example", "Draining", "True", "Delivering", LONG);
    let message = condition(&draining, "Draining").unwrap().message;
    assert!(message.contains("2 messages"), "{message}");
    assert_eq!(reason(&draining, "RelaysReady"), ("False".into(), "NoneServing".into()));
    let message = condition(&draining, "RelaysReady").unwrap().message;
    assert!(message.starts_with("no relay serves any more"), "{message}");
    let mut late = Smtp::session(pod.smtp());
    late.command("MAIL FROM:<a@example.net>").expect(250);
    late.command("RCPT TO:<bob@example.org>").expect(451);
    stays("nothing goes while mail is held", Duration::from_secs(3), || {
        stage.mail.get::<Deployment>(&relay).is_some() && stage.mail.get::<Service>(&relay).is_some()
    });
    primary.start();
    primary.wait_count(2, LONG);
    stage.wait_let_go(&relay);
    stage.assert_nothing_left(&relay);
    stage.mail.wait_gone::<BackupMX>("example", LONG);
    let writes: Vec<String> = stage.proxy.writes().iter().map(ToString::to_string).collect();
    let last = |write: &str| writes.iter().rposition(|one| one.starts_with(&format!("{write} {relay} (200)")));
    // The finalizer holds the claim still while it is deleted; taken off first, another's delete could come between.
    let order = ["delete deployments", "delete persistentvolumeclaims", "patch persistentvolumeclaims"].map(last);
    assert!(order.is_sorted() && order[0].is_some(), "the claim is let go of last: {order:?} of {writes:#?}");
    assert_eq!(stage.mail.names::<ServiceAccount>().len(), 0);
    assert_eq!(stage.mail.names::<NetworkPolicy>().len(), 0);
}

/// Mail that would be stranded or lost is not taken, from the beginning.
fn takes_no_more(pod: &PodRelay) {
    wait_until("mail is answered 451", LONG, || {
        let mut session = Smtp::session(pod.smtp());
        session.command("MAIL FROM:<a@example.net>").expect(250);
        session.command("RCPT TO:<bob@example.org>").code == 451
    });
}

#[test]
fn retain_leaves_the_claim_with_its_mail() {
    let Outage { stage, operator: _operator, place, primary, relay, pod } = Outage::new("  deletionPolicy: Retain\n");
    stage.mail.delete::<BackupMX>("example");
    takes_no_more(&pod);
    let told = stage.mail.wait_condition("example", "Draining", "True", "WaitingForCaches", LONG);
    let message = condition(&told, "Draining").unwrap().message;
    assert!(message.contains("goes without its volume"), "{message}");
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    stage.mail.wait_gone::<BackupMX>("example", LONG);
    stage.mail.wait_gone::<Deployment>(&relay, LONG);
    stage.mail.wait_gone::<Service>(&relay, LONG);
    let claim: PersistentVolumeClaim = stage.mail.get(&relay).unwrap();
    assert_eq!(claim.metadata.deletion_timestamp, None);
    assert!(claim.finalizers().contains(&"backupmx.io/held-mail".to_owned()), "by hand it does not go either");
    assert_eq!(primary.count(), 0);

    // What the test wrote into it, the operator leaves alone.
    let clean = json!({"metadata": {"annotations": {"backupmx.io/retiring": null}}});
    stage.mail.merge::<PersistentVolumeClaim>(&relay, &clean);
    // One of the same name, relay and domains takes it up again.
    stage.mail.apply(&resource_for("example", "example.org", place.primary(), ""));
    let seen = stage.wait_observed("example");
    stage.mail.wait(&relay, "is the new resource's", LONG, |claim: &PersistentVolumeClaim| {
        claim.labels().get("backupmx.io/owner-uid") == seen.uid().as_ref() && retiring(claim).is_empty()
    });
}

#[test]
fn discard_lets_it_go() {
    let Outage { stage, operator: _operator, place: _place, primary, relay, mut pod } =
        Outage::new("  deletionPolicy: Discard\n");
    stage.mail.delete::<BackupMX>("example");
    takes_no_more(&pod);
    // Whether it answers or not: nothing of it is asked for.
    pod.kill();
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    stage.wait_let_go(&relay);
    stage.assert_nothing_left(&relay);
    stage.mail.wait_gone::<BackupMX>("example", LONG);
    assert_eq!(primary.count(), 0);
    let note = stage.mail.wait_event("example", "Warning", "MailDiscarded", LONG);
    assert!(note.contains("relay a is let go with what it holds, as was ordered: "), "{note}");
}

#[test]
fn a_relay_that_does_not_answer_is_never_taken_for_empty() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let (relay, mut pod) = stage.ready(&resource("example", "example.org", ""));
    pod.kill();
    stage.mail.delete::<BackupMX>("example");
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    let stuck = stage.mail.wait_condition("example", "Draining", "True", "Stuck", LONG);
    let message = condition(&stuck, "Draining").unwrap().message;
    stage.mail.wait_event("example", "Warning", "DrainStuck", LONG);
    let (look, lose) = (message.find("kubectl -n "), message.find("to lose it: kubectl annotate pvc"));
    assert!(look.is_some() && look < lose, "it says first how to see why, and last how to lose it: {message}");
    stays("it is kept", Duration::from_secs(15), || {
        let claim: PersistentVolumeClaim = stage.mail.get(&relay).unwrap();
        claim.metadata.deletion_timestamp.is_none() && stage.mail.get::<Deployment>(&relay).is_some()
    });
    // A person decides.
    let release = json!({"metadata": {"annotations": {"backupmx.io/release": "discard"}}});
    stage.mail.merge::<PersistentVolumeClaim>(&relay, &release);
    stage.wait_let_go(&relay);
    stage.mail.wait_gone::<BackupMX>("example", LONG);
}

#[test]
fn in_the_foreground_nothing_goes_before_it_has_drained() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let (relay, _pod) = stage.ready(&resource("example", "example.org", ""));
    stage.mail.delete_by::<BackupMX>("example", PropagationPolicy::Foreground);
    // The garbage collector takes what the resource owns: there must be nothing.
    assert_eq!(stage.mail.get::<Deployment>(&relay).unwrap().owner_references(), []);
    assert_eq!(stage.mail.get::<Service>(&relay).unwrap().owner_references(), []);
    assert_eq!(stage.mail.get::<PersistentVolumeClaim>(&relay).unwrap().owner_references(), []);
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    stage.wait_let_go(&relay);
    stage.assert_nothing_left(&relay);
    stage.mail.wait("example", "waits for the garbage collector only", LONG, |object: &BackupMX| {
        object.finalizers() == ["foregroundDeletion"]
    });
}

#[test]
fn with_a_spec_that_cannot_be_used_it_goes_too() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let (relay, _pod) = stage.ready(&resource("example", "example.org", ""));
    stage.mail.apply(&resource("example", "example.org", "  hold: {maxAge: 1d, warnSenderAfter: 2d}\n"));
    stage.mail.wait_condition("example", "Stalled", "True", "InvalidSpec", LONG);
    stage.mail.delete::<BackupMX>("example");
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    stage.wait_let_go(&relay);
    stage.assert_nothing_left(&relay);
    stage.mail.wait_gone::<BackupMX>("example", LONG);
}
