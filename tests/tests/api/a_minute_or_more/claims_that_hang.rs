//! A claim that a person deletes is kept while it may hold mail, and tells why it hangs and what lets it go: whether its
//! BackupMX is there or not, and where its namespace goes, about that.

use backupmx_crds::BackupMX;
use backupmx_tests::{LONG, cluster::condition, wait_value};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Event, Namespace, PersistentVolumeClaim},
};
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use serde_json::json;

use crate::common::{Outage, Stage, resource};

/// A claim that `deletionPolicy: Retain` left: it has neither BackupMX nor relay.
fn retained(stage: &Stage) -> String {
    stage.mail.apply(&resource("example", "example.org", "  deletionPolicy: Retain\n"));
    let relay = stage.relay("example", "a");
    stage.mail.delete::<BackupMX>("example");
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    stage.mail.wait_gone::<BackupMX>("example", LONG);
    stage.mail.wait_gone::<Deployment>(&relay, LONG);
    relay
}

#[test]
fn one_that_was_retained_says_how_its_mail_is_delivered_or_lost() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let relay = retained(&stage);
    assert!(stage.mail.events(&relay).is_empty(), "it is as it should be");
    stage.mail.delete::<PersistentVolumeClaim>(&relay);
    let note = stage.mail.wait_event(&relay, "Warning", "ClaimStranded", 2 * LONG);
    let said = format!("its BackupMX {}/example is gone", stage.mail.name());
    assert!(note.contains("holds an unknown number of messages") && note.contains(&said), "{note}");
    let discard = format!("kubectl annotate pvc -n {} {relay} backupmx.io/release=discard", stage.mail.name());
    assert!(note.contains(&discard) && note.contains("put the BackupMX back"), "{note}");
    assert!(stage.mail.get::<PersistentVolumeClaim>(&relay).is_some());
    // What it says is what lets it go.
    let release = json!({"metadata": {"annotations": {"backupmx.io/release": "discard"}}});
    stage.mail.merge::<PersistentVolumeClaim>(&relay, &release);
    stage.wait_let_go(&relay);
}

#[test]
fn one_whose_relay_drains_says_what_it_holds() {
    let Outage { stage, operator: _operator, relay, pod: _pod, primary: _primary, .. } = Outage::new("");
    stage.mail.delete::<BackupMX>("example");
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    stage.mail.delete::<PersistentVolumeClaim>(&relay);
    let note = stage.mail.wait_event(&relay, "Warning", "ClaimDeleted", 2 * LONG);
    assert!(note.contains("holds 1 message: it stays until its relay has delivered them"), "{note}");
    let draining = stage.mail.get::<BackupMX>("example").unwrap();
    assert!(condition(&draining, "Draining").is_some());
}

#[test]
fn a_namespace_that_hangs_for_a_retained_one_says_so() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let relay = retained(&stage);
    let kube = stage.mail.kube();
    let namespaces: Api<Namespace> = Api::all(kube.client());
    kube.run(namespaces.delete(stage.mail.name(), &DeleteParams::default())).unwrap();
    // As the namespace controller does.
    stage.mail.delete::<PersistentVolumeClaim>(&relay);
    // About an object that is in no namespace: it outlives the one that goes.
    let events: Api<Event> = kube.api("default");
    let about = format!("reason=NamespaceTerminating,involvedObject.name={}", stage.mail.name());
    let told = wait_value("a person is told", 2 * LONG, || {
        let found = kube.run(events.list(&ListParams::default().fields(&about))).ok()?;
        found.items.into_iter().next()
    });
    let message = told.message.unwrap();
    let wanted = format!("an unknown number of messages is held by the claim {relay} in this namespace");
    assert!(message.starts_with(&wanted) && message.contains("backupmx.io/release=discard"), "{message}");
}
