//! A volume that is really full: the relay answers 452, and takes mail again when the volume has grown; a person is told
//! where it cannot.

use std::time::Duration;

use backupmx_tests::{Mail, Reply, Smtp, cluster::reason, wait_until};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::json;

use crate::stage::{NAME, PATIENCE, Stage};

/// Lines of the messages that fill a volume: 40 MB each, then what still fits of 1 MB, and so on.
const SIZES: [usize; 3] = [600_000, 15_000, 500];
/// A line of theirs.
const LINE: &[u8] = b"sixty-four octets of a line in a message that fills a volume up\r\n";

/// Octets of a stage's volume.
const VOLUME: usize = 320 << 20;

/// Fills the volume until the relay says that there is no room; how many messages it took.
#[track_caller]
fn fill(stage: &Stage) -> usize {
    SIZES.into_iter().map(|lines| fill_with(stage, lines)).sum()
}

#[track_caller]
fn fill_with(stage: &Stage, lines: usize) -> usize {
    let mut session = stage.session("a");
    let body = LINE.repeat(lines);
    let mail = Mail::to(&stage.recipient()).with_body(&body);
    for taken in 0..=VOLUME / body.len() {
        let mut reply = session.try_mail(&mail).expect("the relay answers");
        if reply.code == 421 {
            // One session takes so many messages only.
            session = stage.session("a");
            reply = session.try_mail(&mail).expect("the relay answers");
        }
        if reply.code == 452 {
            assert!(reply.text.starts_with("4.3.1"), "{}", reply.text);
            return taken;
        }
        assert_eq!(reply.code, 250, "{}", reply.text);
    }
    panic!("more messages of {} octets were taken than fit into {VOLUME}", body.len());
}

/// Whether a message of the smallest of these sizes is taken. The relay may be away meanwhile: a grown volume is used by
/// its next pod.
fn takes_mail(stage: &Stage) -> bool {
    let mail = Mail::to(&stage.recipient()).with_body(&LINE.repeat(SIZES[2]));
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
    let asked = stage.claim("a").spec.and_then(|spec| spec.resources?.requests?.remove("storage"));
    assert_eq!(asked.map(|size| size.0).as_deref(), Some("480Mi"), "one step of a half, and not all that it may");
}

#[test]
fn one_that_cannot_grow_is_reported() {
    let stage = Stage::new("fixed");
    stage.publish(&json!({"storage": {"storageClassName": "fixed", "maxSize": "640Mi"}}));
    assert!(fill(&stage) > 2);
    stage.wait_reason("StorageHealthy", "False", "CannotGrow");
    stage.mail.wait_event(NAME, "Warning", "VolumeCannotGrow", PATIENCE);
    // A message that was refused takes room until it is gone, so what is left is filled again.
    wait_until("the resource says that its volume is full", PATIENCE, || {
        fill(&stage);
        reason(&stage.live(), "QueueHealthy").0 == "False" && !takes_mail(&stage)
    });
}
