//! A relay that was told to take no more mail takes none when it starts anew, however old the ConfigMap is that it finds:
//! between its last word, that it is empty, and the end of its volume nothing can come in.

use backupmx_crds::BackupMX;
use backupmx_tests::{LONG, Smtp, cluster::PodRelay, wait_until};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::common::{Outage, Stage, resource};

/// What it answers to a recipient.
fn answer(pod: &PodRelay, domain: &str) -> u16 {
    let mut session = Smtp::session(pod.smtp());
    session.command("MAIL FROM:<a@example.com>").expect(250);
    session.command(&format!("RCPT TO:<bob@{domain}>")).code
}

/// It starts anew in its pod, on its own volume and on the ConfigMap as it was mounted at first.
fn restart(pod: &mut PodRelay) {
    pod.kill();
    pod.start_again();
}

#[test]
fn a_relay_that_drains() {
    let Outage { stage, operator: _operator, place: _place, mut primary, relay, mut pod } = Outage::new("");
    stage.mail.delete::<BackupMX>("example");
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    stage.mail.wait_condition("example", "Draining", "True", "Delivering", LONG);
    restart(&mut pod);
    assert_eq!(answer(&pod, "example.org"), 451, "its ConfigMap is that of before");
    primary.start();
    primary.wait_count(1, LONG);
    stage.wait_let_go(&relay);
    // It is still there for a moment, and might start once more.
    restart(&mut pod);
    assert_eq!(answer(&pod, "example.org"), 451);
    stage.assert_nothing_left(&relay);
}

#[test]
fn a_relay_whose_claim_was_deleted() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let (relay, mut pod) = stage.ready(&resource("example", "example.org", ""));
    assert_eq!(answer(&pod, "example.org"), 250);
    stage.mail.delete::<PersistentVolumeClaim>(&relay);
    wait_until("it is told to take no mail", LONG, || answer(&pod, "example.org") == 451);
    restart(&mut pod);
    assert_eq!(answer(&pod, "example.org"), 451);
    stage.wait_let_go(&relay);
}

#[test]
fn a_domain_that_leaves() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let one = resource("example", "example.org", "");
    let (relay, mut pod) = stage.ready(&one.replace("[example.org]", "[example.org, example.net]"));
    stage.mail.apply(&one);
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    wait_until("its mail is answered 451", LONG, || answer(&pod, "example.net") == 451);
    restart(&mut pod);
    assert_eq!((answer(&pod, "example.net"), answer(&pod, "example.org")), (451, 250));
}
