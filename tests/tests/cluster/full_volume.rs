//! A volume that is really full: the relay answers 452, and takes mail again when the volume has grown.

use std::time::Duration;

use backupmx_tests::{Mail, Reply, Smtp, wait_until};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::json;

use crate::stage::{PATIENCE, Stage};

/// Fills the volume until the relay says that there is no room; how many messages it took.
#[track_caller]
fn fill(stage: &Stage) -> usize {
    let body = b"sixty-four octets of a line in a message that fills a volume up\r\n".repeat(600_000);
    let mail = Mail::to(&stage.recipient()).with_body(&body);
    let mut session = stage.session("a");
    for taken in 0..20 {
        let reply = session.try_mail(&mail).expect("the relay answers");
        if reply.code == 452 {
            assert!(reply.text.starts_with("4.3.1"), "{}", reply.text);
            return taken;
        }
        assert_eq!(reply.code, 250, "{}", reply.text);
    }
    panic!("twenty messages of 40 MB fit into 320 MiB");
}

/// Whether a message is taken. The relay may be away meanwhile: a grown volume is used by its next pod.
fn takes_mail(stage: &Stage) -> bool {
    let mail = Mail::to(&stage.recipient()).with_body(&[b'x'; 900]);
    let attempt = || {
        let mut session = Smtp::try_open_within(stage.smtp("a"), Duration::from_secs(5))?;
        session.try_reply()?;
        session.try_send(b"EHLO client.sender.test\r\n")?;
        session.try_reply()?;
        session.try_mail(&mail)
    };
    attempt().is_ok_and(|reply: Reply| reply.code == 250)
}

fn capacity(claim: &PersistentVolumeClaim) -> Option<String> {
    Some(claim.status.as_ref()?.capacity.as_ref()?.get("storage")?.0.clone())
}

#[test]
fn it_grows_and_mail_is_taken_again() {
    let stage = Stage::new("growing");
    stage.publish(&json!({}));
    assert!(fill(&stage) > 2);
    let before = capacity(&stage.claim("a"));
    stage.change(&json!({"storage": {"maxSize": "640Mi"}}));
    wait_until("the claim has grown", PATIENCE, || capacity(&stage.claim("a")) != before);
    wait_until("mail is taken again", PATIENCE, || takes_mail(&stage));
}
