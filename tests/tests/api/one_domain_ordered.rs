//! An order to discard what is held for one domain is for that domain, however long its relay is silent.

use backupmx_crds::BackupMX;
use backupmx_tests::{LONG, Mail, Place, ScriptedPrimary, Smtp, cluster::condition, wait_until};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::PersistentVolumeClaim};
use kube::ResourceExt;
use serde_json::json;

use crate::common::{Stage, resource_for, retiring};

#[test]
fn a_resource_that_is_deleted_meanwhile_drains_what_else_is_held() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let one = resource_for("example", "example.org", place.primary(), "");
    let (relay, mut pod) = stage.holding(&one.replace("[example.org]", "[example.org, example.net]"));
    Smtp::session(pod.smtp()).mail(&Mail::to("ann@example.net")).expect(250);
    pod.kill();
    stage.mail.apply(&one);
    let leaves = |claim: &PersistentVolumeClaim| retiring(claim).iter().any(|one| one["domain"] == "example.net");
    stage.mail.wait(&relay, "says that a domain leaves", LONG, leaves);
    let release = json!({"metadata": {"annotations": {"backupmx.io/release": "discard"}}});
    stage.mail.merge::<PersistentVolumeClaim>(&relay, &release);

    let noted = stage.mail.wait(&relay, "bears no order any more", LONG, |claim: &PersistentVolumeClaim| {
        !claim.annotations().contains_key("backupmx.io/release")
    });
    let [note] = &retiring(&noted)[..] else { panic!("{:?}", retiring(&noted)) };
    assert_eq!((&note["domain"], &note["phase"]), (&json!("example.net"), &json!("Closing")));
    assert!(note["ordered"].is_string(), "{note}");
    let stuck = stage.mail.wait("example", "says what it waits for", 2 * LONG, |object: &BackupMX| {
        condition(object, "Draining").is_some_and(|draining| draining.message.contains("as was ordered"))
    });
    let message = condition(&stuck, "Draining").unwrap().message;
    assert!(message.contains("for example.net, and discards that when it answers, as was ordered"), "{message}");
    assert!(!message.contains("release=discard"), "it is ordered already: {message}");

    stage.mail.delete::<BackupMX>("example");
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    let claim = stage.mail.wait(&relay, "is Closing", LONG, |claim: &PersistentVolumeClaim| {
        retiring(claim).iter().any(|one| one["domain"].is_null() && one["phase"] == "Closing")
    });
    assert_eq!(claim.metadata.deletion_timestamp, None, "what it holds for the other domain is nobody's to discard");
    assert!(stage.mail.get::<Deployment>(&relay).is_some());

    primary.start();
    pod.start_again();
    wait_until("the relay answers", LONG, || pod.admin().get("/v1/status").is_some());
    assert_eq!(pod.admin().post("/v1/flush").status, 204);
    wait_until("what it held for the other domain is delivered", 2 * LONG, || {
        primary.received().iter().any(|mail| mail.to == ["bob@example.org"])
    });
    stage.wait_let_go(&relay);
    stage.mail.wait_gone::<BackupMX>("example", LONG);
}
