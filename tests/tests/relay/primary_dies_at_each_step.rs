//! A primary that dies at any step of a transaction, before or after its reply, gets the message all the same.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use backupmx_tests::{Answer, Config, LONG, Mail, Place, Relay, ScriptedPrimary, Step};

fn is(step: &Step<'_>, name: &str) -> bool {
    match step {
        Step::Greeting => name == "greeting",
        Step::Ehlo(_) => name == "EHLO",
        Step::Mail(_) => name == "MAIL",
        Step::Rcpt(_) => name == "RCPT",
        Step::Data => name == "DATA",
        Step::Chunk(_) => name == "chunk",
        Step::Dot(_) => name == "dot",
        Step::Helo(_) | Step::Other(_) => false,
    }
}

const DATA: [&str; 6] = ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "dot"];
const BDAT: [&str; 6] = ["greeting", "EHLO", "MAIL", "RCPT", "chunk", "dot"];

/// In place of `DATA` there is an earlier chunk where CHUNKING is offered: the message is as large as that takes.
fn die_at_each(answer: &Answer, extensions: &[&str]) {
    let chunking = extensions.contains(&"CHUNKING");
    let (steps, body) = if chunking { (BDAT, &b"one of many lines\r\n".repeat(100_000)[..]) } else { (DATA, &b""[..]) };
    let place = Place::new();
    let mut primary = ScriptedPrimary::up(&place);
    primary.offer(extensions);
    let relay = Relay::start(&place, Config::new(&place));
    for name in steps {
        let armed = Arc::new(AtomicBool::new(true));
        let fault = answer.clone();
        let fuse = armed.clone();
        primary.script(move |step, _| {
            if is(step, name) && fuse.swap(false, Ordering::SeqCst) { fault.clone() } else { Answer::Normal }
        });
        // An open session would have its greeting and EHLO behind it.
        primary.stop();
        primary.start();
        let mail = Mail::to("bob@example.org").with_body(body);
        let before = primary.count();
        relay.session().mail(&mail).expect(250);
        relay.wait_empty(LONG);
        let arrived = primary.received()[before..].iter().filter(|arrived| arrived.id() == mail.id()).count();
        // Only where it was taken and the answer was cut off is there no way to know.
        let expected = if (name, answer) == ("dot", &Answer::Cut) { 2 } else { 1 };
        assert_eq!(arrived, expected, "arrivals after {answer:?} at {name}");
        assert!(!armed.load(Ordering::SeqCst), "the fault at {name} did not happen");
    }
}

const PIPELINING: [&str; 3] = ["PIPELINING", "8BITMIME", "SIZE"];
const CHUNKING: [&str; 2] = ["PIPELINING", "CHUNKING"];

#[test]
fn before_its_reply() {
    die_at_each(&Answer::Cut, &PIPELINING);
}

#[test]
fn after_its_reply() {
    die_at_each(&Answer::ThenClose, &PIPELINING);
}

#[test]
fn before_its_reply_without_pipelining() {
    die_at_each(&Answer::Cut, &[]);
}

#[test]
fn with_a_421() {
    die_at_each(&Answer::reply("421 4.3.2 going down"), &PIPELINING);
}

#[test]
fn before_its_reply_in_chunks() {
    die_at_each(&Answer::Cut, &CHUNKING);
}

#[test]
fn after_its_reply_in_chunks() {
    die_at_each(&Answer::ThenClose, &CHUNKING);
}

#[test]
fn with_a_421_in_chunks() {
    die_at_each(&Answer::reply("421 4.3.2 going down"), &CHUNKING);
}
