//! An order to discard what is held for one domain is for no other that leaves the same relay.

use backupmx_crds::BackupMX;
use backupmx_tests::{LONG, Mail, Place, ScriptedPrimary, Smtp, cluster::condition, wait_until};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use serde_json::json;

use crate::common::{Stage, resource_for, retiring};

const RELEASE: &str = "backupmx.io/release";

#[test]
fn the_mail_of_another_that_leaves_is_delivered() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let one = resource_for("example", "example.org", place.primary(), "");
    let (relay, pod) = stage.holding(&one.replace("[example.org]", "[example.org, example.net, example.com]"));
    for to in ["ann@example.net", "eve@example.com"] {
        Smtp::session(pod.smtp()).mail(&Mail::to(to)).expect(250);
    }
    stage.mail.apply(&one);
    let leaves = |claim: &PersistentVolumeClaim| retiring(claim).len() == 2;
    stage.mail.wait(&relay, "says that two domains leave", LONG, leaves);

    let wrong = json!({"metadata": {"annotations": {RELEASE: "discard:example.org"}}});
    stage.mail.merge::<PersistentVolumeClaim>(&relay, &wrong);
    let off = |claim: &PersistentVolumeClaim| !claim.annotations().contains_key(RELEASE);
    let claim = stage.mail.wait(&relay, "bears no order for what does not leave", LONG, off);
    assert!(retiring(&claim).iter().all(|one| one["ordered"].is_null()), "{:?}", retiring(&claim));

    let order = json!({"metadata": {"annotations": {RELEASE: "discard:example.net"}}});
    stage.mail.merge::<PersistentVolumeClaim>(&relay, &order);
    stage.mail.wait(&relay, "has discarded the one", 2 * LONG, |claim: &PersistentVolumeClaim| {
        retiring(claim).iter().any(|one| one["domain"] == "example.net" && one["phase"] == "Fading")
    });
    let claim = stage.mail.get::<PersistentVolumeClaim>(&relay).unwrap();
    let other = retiring(&claim).into_iter().find(|one| one["domain"] == "example.com").unwrap();
    assert!(other["ordered"].is_null(), "{other}");
    let held = || pod.status().queue.messages;
    assert_eq!(held(), 2, "what is held for the others is there");

    // Deleted now, with an order for the one domain given once more, the whole drains.
    stage.mail.merge::<PersistentVolumeClaim>(&relay, &order);
    stage.mail.delete::<BackupMX>("example");
    stage.mail.wait(&relay, "leaves as a whole", LONG, |claim: &PersistentVolumeClaim| {
        retiring(claim).iter().any(|one| one["domain"].is_null())
    });
    stage
        .mail
        .wait("example", "says that it drains", LONG, |object: &BackupMX| condition(object, "Draining").is_some());
    assert_eq!(held(), 2, "the old order is for none of it");
    primary.start();
    assert_eq!(pod.admin().post("/v1/flush").status, 204);
    wait_until("what it held for the others is delivered", 2 * LONG, || {
        let received = primary.received();
        ["bob@example.org", "eve@example.com"].iter().all(|to| received.iter().any(|mail| mail.to == [*to]))
    });
    assert!(primary.received().iter().all(|mail| mail.to != ["ann@example.net"]), "that one was discarded");
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    stage.wait_let_go(&relay);
    stage.mail.wait_gone::<BackupMX>("example", LONG);
}
