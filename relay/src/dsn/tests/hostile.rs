//! Strangers write addresses, replies and headers: whatever they write, a report keeps its form.

use proptest::prelude::*;

use super::{
    cases::{Made, recipient},
    paths,
    readers::{by_mail_parser, by_python},
};
use crate::{
    dsn::{Cause, Incident, Occasion, compose, text},
    message::Speaker,
    smtp::{EnhancedCode, Reply},
};

/// The fields that a report's own header may have.
const NAMES: [&str; 10] = [
    "date",
    "from",
    "to",
    "subject",
    "message-id",
    "in-reply-to",
    "references",
    "auto-submitted",
    "mime-version",
    "content-type",
];

/// The fields that a delivery status may have.
const FIELDS: [&str; 11] = [
    "Reporting-MTA",
    "Original-Envelope-Id",
    "Arrival-Date",
    "Original-Recipient",
    "Final-Recipient",
    "Action",
    "Status",
    "Remote-MTA",
    "Diagnostic-Code",
    "Last-Attempt-Date",
    "Will-Retry-Until",
];

/// Texts with much of what breaks messages.
fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\r\n".to_owned()),
        Just("\r\n\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("\0".to_owned()),
        Just("\r\nBcc: victim@example.net\r\n".to_owned()),
        Just("\r\n.\r\n".to_owned()),
        Just("--=f_1j791320g00_0123456789abcdef".to_owned()),
        Just("--=f_".to_owned()),
        Just("\u{202e}".to_owned()),
        Just("\u{2028}".to_owned()),
        Just("=?utf-8?q?=0D=0ABcc:_x?=".to_owned()),
        Just("+0D+0A".to_owned()),
        Just("a@b.example".to_owned()),
        Just("\"".to_owned()),
        Just("> ".to_owned()),
        Just("ü".to_owned()),
        Just("x".repeat(1100)),
        "[ -~]{0,12}",
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn made() -> impl Strategy<Value = Made> {
    let reply = (400u16..600, prop::option::of((0u8..7, 0u16..2000, 0u16..2000)), nasty())
        .prop_map(|(code, e, text)| Reply::new(code, e.map(|(a, b, c)| EnhancedCode(a, b, c)), text));
    let cause = (0..4, prop::option::of(reply)).prop_map(|(kind, reply)| match (kind, reply) {
        (0, Some(reply)) => Cause::Rejected(reply),
        (0 | 1, reply) => Cause::Expired(reply),
        (2, reply) => Cause::GivenUp(reply),
        (_, reply) => Cause::Delayed(reply),
    });
    let header = prop_oneof![
        nasty().prop_map(String::into_bytes),
        nasty().prop_map(|value| format!("Subject: {value}\r\nMessage-ID: {value}\r\n\r\nbody").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..300),
    ];
    let whom = (nasty(), prop::option::of(nasty()), cause);
    (nasty(), prop::collection::vec(whom, 1..4), prop::option::of(nasty()), header, any::<bool>()).prop_map(
        |(sender, whom, envid, content, delay)| {
            // No bracket: a sender at an address literal gets no report.
            let mut made = Made::rejected().sender(&format!("x{}", sender.replace('[', "")));
            made.envelope.envid = envid.as_deref().map(paths::xtext);
            made.content = content;
            made.envelope.recipients.clear();
            made.incidents.clear();
            for (position, (path, orcpt, cause)) in whom.into_iter().enumerate() {
                let mut recipient = recipient(&path);
                recipient.orcpt = orcpt.as_deref().map(paths::xtext);
                made.envelope.recipients.push(recipient);
                made.incidents.push(Incident {
                    recipient: position,
                    cause,
                    remote: None,
                    last_attempt: None,
                    speaker: Speaker::Destination,
                });
            }
            if delay {
                made.occasion = Occasion::Delay { retry_until: Default::default() };
            }
            made
        },
    )
}

/// What holds of every report.
fn check(made: &Made, content: &[u8]) -> Result<(), TestCaseError> {
    prop_assert!(text::has_plain_lines(content), "a bare line end, a NUL, or a long line");
    prop_assert!(content.ends_with(b"--\r\n"));
    prop_assert!(text::is_plain(content) || !made.envelope.sender.as_str().is_ascii());
    let seen = by_mail_parser(content);
    for (position, name) in seen.names.iter().enumerate() {
        prop_assert!(NAMES.contains(&name.as_str()), "injected {name}");
        prop_assert!(!seen.names[..position].contains(name), "{name} twice");
    }
    prop_assert_eq!(seen.types.len(), 3);
    prop_assert_eq!(&seen.types[..2], ["text/plain", "message/delivery-status"]);
    prop_assert_eq!(seen.status.len(), 1 + made.incidents.len());
    for block in &seen.status {
        for (position, (name, _)) in block.iter().enumerate() {
            prop_assert!(FIELDS.contains(&name.as_str()), "injected {name}");
            prop_assert!(block[..position].iter().all(|(other, _)| other != name), "{name} twice");
        }
    }
    for block in &seen.status[1..] {
        for needed in ["Final-Recipient", "Action", "Status"] {
            prop_assert!(block.iter().any(|(name, _)| name == needed), "no {needed}");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_report_keeps_its_form(made in made()) {
        let report = compose(&made.request()).unwrap();
        check(&made, &report.content)?;
    }
}

#[test]
fn a_boundary_is_in_no_part() {
    let mut made = Made::rejected();
    let first = String::from_utf8(compose(&made.request()).unwrap().content).unwrap();
    let boundary = first.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    made.incidents[0].cause = Cause::Rejected(Reply::new(550, None, format!("no\n--{boundary}--\nthanks")));
    made.content = format!("X: y\r\n --{boundary}\r\n\r\n").into_bytes();
    let content = compose(&made.request()).unwrap().content;
    assert!(!String::from_utf8(content.clone()).unwrap().contains(&format!("boundary=\"{boundary}\"")));
    check(&made, &content).unwrap();
}

#[test]
fn python_reads_hostile_reports_too() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let cases: Vec<Made> = (0..100).map(|_| made().new_tree(&mut runner).unwrap().current()).collect();
    let contents: Vec<Vec<u8>> = cases.iter().map(|made| compose(&made.request()).unwrap().content).collect();
    for ((made, content), python) in cases.iter().zip(&contents).zip(by_python(&contents)) {
        check(made, content).unwrap();
        let names: Vec<String> = serde_json::from_value(python["names"].clone()).unwrap();
        assert_eq!(names, by_mail_parser(content).names);
        assert_eq!(python["types"].as_array().map(Vec::len), Some(3));
        assert_eq!(python["status"].as_array().map(Vec::len), Some(1 + made.incidents.len()));
    }
}
