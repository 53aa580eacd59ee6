//! Claims whose BackupMX is gone: kept, told of, and let go at a person's word.

use backupmx_crds::BackupMX;
use backupmx_tests::{LONG, Mail, Smtp, cluster::StandIn, wait_until};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, Service, ServiceAccount},
};
use serde_json::json;

use crate::common::{Stage, resource};

fn let_go(stage: &Stage, claim: &str) {
    let release = json!({"metadata": {"annotations": {"backupmx.io/release": "discard"}}});
    stage.mail.merge::<PersistentVolumeClaim>(claim, &release);
    let going = |claim: &PersistentVolumeClaim| claim.metadata.deletion_timestamp.is_some();
    stage.mail.wait(claim, "is being deleted", 2 * LONG, going);
    stage.wait_let_go(claim);
}

#[test]
fn what_was_removed_by_force_is_kept_until_a_person_lets_it_go() {
    let stage = Stage::new();
    let operator = stage.operator();
    let (relay, pod) = stage.ready(&resource("example", "example.org", ""));
    StandIn(&stage.mail).balance(&relay, &["192.0.2.10"]);
    Smtp::session(pod.smtp()).mail(&Mail::to("bob@example.org")).expect(250);
    stage.mail.merge::<BackupMX>("example", &json!({"metadata": {"finalizers": null}}));
    stage.mail.delete::<BackupMX>("example");
    // The operator may have put its finalizer back in between.
    let _ = stage.mail.get::<BackupMX>("example").map(|_| {
        stage.mail.merge::<BackupMX>("example", &json!({"metadata": {"finalizers": null}}));
    });
    stage.mail.wait_gone::<BackupMX>("example", LONG);
    stage.mail.wait_event(&relay, "Warning", "ClaimOrphaned", 2 * LONG);
    wait_until("it is counted", 2 * LONG, || operator.metric("backupmx_operator_claims_left") >= Some(1.0));
    assert!(stage.mail.get::<Deployment>(&relay).is_some(), "its relay goes on");

    let_go(&stage, &relay);
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
