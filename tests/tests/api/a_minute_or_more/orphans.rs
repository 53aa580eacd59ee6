//! Claims whose BackupMX is gone: kept, told of, and let go at a person's word.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Mail, Place, ScriptedPrimary, Smtp,
    cluster::{Kind, StandIn, condition},
    wait_until,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
};
use kube::{ResourceExt, api::ObjectMeta};
use serde_json::json;

use crate::common::{Stage, resource, resource_for};

fn let_go(stage: &Stage, claim: &str) {
    let release = json!({"metadata": {"annotations": {"backupmx.io/release": "discard"}}});
    stage.mail.merge::<PersistentVolumeClaim>(claim, &release);
    let going = |claim: &PersistentVolumeClaim| claim.metadata.deletion_timestamp.is_some();
    stage.mail.wait(claim, "is being deleted", 2 * LONG, going);
    stage.wait_let_go(claim);
}

/// Removes a resource by force: its finalizer is taken off, and nothing of it was retired.
fn remove_by_force(stage: &Stage) {
    stage.mail.merge::<BackupMX>("example", &json!({"metadata": {"finalizers": null}}));
    stage.mail.delete::<BackupMX>("example");
    // The operator may have put its finalizer back in between.
    let _ = stage.mail.get::<BackupMX>("example").map(|_| {
        stage.mail.merge::<BackupMX>("example", &json!({"metadata": {"finalizers": null}}));
    });
    stage.mail.wait_gone::<BackupMX>("example", LONG);
}

/// The UID of the resource that an object was made for.
fn owner<K: Kind>(stage: &Stage, name: &str) -> Option<String> {
    stage.mail.get::<K>(name)?.labels().get("backupmx.io/owner-uid").cloned()
}

#[test]
fn what_was_removed_by_force_is_taken_over_by_one_of_the_same_name() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let text = resource_for("example", "example.org", place.primary(), "");
    let (relay, pod) = stage.holding(&text);
    let uid = |object: Option<ObjectMeta>| object.unwrap().uid.unwrap();
    let claim = || uid(stage.mail.get::<PersistentVolumeClaim>(&relay).map(|one| one.metadata));
    let service = || uid(stage.mail.get::<Service>(&relay).map(|one| one.metadata));
    let (claim_before, service_before) = (claim(), service());
    let deployment = uid(stage.mail.get::<Deployment>(&relay).map(|one| one.metadata));
    remove_by_force(&stage);

    // With other domains it gets nothing, and the relay goes on.
    stage.mail.apply(&text.replace("[example.org]", "[example.com]"));
    let other = stage.mail.wait_condition("example", "Stalled", "True", "ApplyFailed", LONG);
    let message = condition(&other, "Stalled").unwrap().message;
    assert!(message.contains(&format!("PersistentVolumeClaim {relay} exists and belongs to another")), "{message}");
    let shared = stage.mail.names::<ServiceAccount>().remove(0);
    let former = owner::<ServiceAccount>(&stage, &shared);
    assert_ne!(former, other.uid());
    assert_eq!(owner::<Deployment>(&stage, &relay), former);
    remove_by_force(&stage);

    stage.mail.apply(&text);
    let new = stage.mail.wait_condition("example", "Stalled", "False", "UpToDate", LONG);
    stage.mail.wait(&relay, "is made anew", LONG, |one: &Deployment| one.uid().as_ref() != Some(&deployment));
    let owners = [
        owner::<PersistentVolumeClaim>(&stage, &relay),
        owner::<Service>(&stage, &relay),
        owner::<ConfigMap>(&stage, &format!("{relay}-config-v1")),
        owner::<ServiceAccount>(&stage, &shared),
        owner::<NetworkPolicy>(&stage, &shared),
        owner::<Deployment>(&stage, &relay),
    ];
    assert_eq!(owners, [const { None }; 6].map(|_: Option<String>| new.uid()));
    assert_eq!((claim(), service()), (claim_before, service_before), "the volume and the address are the same");

    let _pod = pod.next(&stage.mail, &relay);
    stage.mail.wait_condition("example", "RelaysReady", "True", "AllReady", LONG);
    primary.start();
    primary.wait_count(1, LONG);
}

#[test]
fn what_was_removed_by_force_is_kept_until_a_person_lets_it_go() {
    let stage = Stage::new();
    let operator = stage.operator();
    let (relay, pod) = stage.ready(&resource("example", "example.org", ""));
    StandIn(&stage.mail).balance(&relay, &["192.0.2.10"]);
    Smtp::session(pod.smtp()).mail(&Mail::to("bob@example.org")).expect(250);
    remove_by_force(&stage);
    stage.mail.wait_event(&relay, "Warning", "ClaimOrphaned", 2 * LONG);
    wait_until("it is counted", 2 * LONG, || operator.metric("backupmx_operator_claims_left") >= Some(1.0));
    assert!(stage.mail.get::<Deployment>(&relay).is_some(), "its relay goes on");

    let_go(&stage, &relay);
    let note = stage.mail.wait_event(&relay, "Warning", "MailDiscarded", LONG);
    assert!(note.contains("1 message is in it"), "{note}");
    stage.assert_nothing_left(&relay);
    wait_until("what the relays shared is gone", LONG, || stage.mail.names::<ServiceAccount>().is_empty());
}

#[test]
fn what_was_retained_goes_at_a_person_s_word() {
    let stage = Stage::new();
    let _operator = stage.operator();
    stage.mail.apply(&resource("example", "example.org", "  deletionPolicy: Retain\n"));
    let relay = stage.relay("example", "a");
    stage.mail.delete::<BackupMX>("example");
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    stage.mail.wait_gone::<BackupMX>("example", LONG);
    stage.mail.wait_gone::<Service>(&relay, LONG);
    // Another of its name is another: it must not suffer.
    let other = resource("example", "example.net", "");
    stage.mail.apply(&other);
    stage.mail.wait_condition("example", "Stalled", "True", "ApplyFailed", LONG);
    let_go(&stage, &relay);
    let fresh = |claim: &PersistentVolumeClaim| claim.metadata.deletion_timestamp.is_none();
    stage.mail.wait(&relay, "is made for the new one", 2 * LONG, fresh);
    stage.mail.wait_condition("example", "Stalled", "False", "UpToDate", LONG);
}
