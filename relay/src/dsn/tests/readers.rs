//! What `mail-parser` and Python's `email` read in a report.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use mail_parser::{MessageParser, MimeHeaders, PartType};
use serde_json::Value;

use super::cases::{self, Made};
use crate::dsn::{compose, header_of};

/// What a reader sees: the types, the fields of the delivery status in blocks, and the header that was given back.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) names: Vec<String>,
    pub(super) types: Vec<String>,
    pub(super) status: Vec<Vec<(String, String)>>,
    pub(super) header: Vec<u8>,
}

pub(super) fn by_mail_parser(content: &[u8]) -> Seen {
    let message = MessageParser::default().parse(content).unwrap();
    let kind = |part: &mail_parser::MessagePart<'_>| {
        let kind = part.content_type().unwrap();
        format!("{}/{}", kind.ctype(), kind.subtype().unwrap()).to_ascii_lowercase()
    };
    let PartType::Multipart(children) = &message.parts[0].body else { panic!("not multipart") };
    let children: Vec<_> = children.iter().map(|id| &message.parts[*id as usize]).collect();
    let status = String::from_utf8(children[1].contents().to_vec()).unwrap();
    Seen {
        names: message.headers().iter().map(|header| header.name().to_ascii_lowercase()).collect(),
        types: children.iter().map(|part| kind(part)).collect(),
        status: status.trim_end().split("\r\n\r\n").map(fields).collect(),
        header: match &children[2].body {
            PartType::Message(inner) => inner.raw_message().to_vec(),
            _ => children[2].contents().to_vec(),
        },
    }
}

/// The fields of a block, unfolded.
pub(super) fn fields(block: &str) -> Vec<(String, String)> {
    let unfolded = block.replace("\r\n ", " ");
    unfolded
        .split("\r\n")
        .filter(|line| !line.is_empty())
        .map(|line| line.split_once(": ").map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap())
        .collect()
}

const SCRIPT: &str = r#"
import email, email.policy, json, sys
seen = []
for item in json.load(sys.stdin):
    message = email.message_from_bytes(bytes(item))
    defects = [repr(d) for part in message.walk() for d in part.defects]
    parts = message.get_payload()
    blocks = [[[n, str(v).replace("\r\n ", " ").replace("\n ", " ")] for n, v in block.items()]
              for block in parts[1].get_payload()]
    header = parts[2].get_payload(decode=True)
    if header is None:
        header = parts[2].get_payload()[0].as_bytes(policy=email.policy.SMTP.clone(max_line_length=0, utf8=True))
    seen.append({
        "names": [n.lower() for n in message.keys()],
        "types": [p.get_content_type() for p in parts],
        "report": message.get_param("report-type"),
        "status": blocks,
        "header": list(header),
        "text": parts[0].get_payload(decode=True).decode(parts[0].get_content_charset()),
        "defects": defects,
    })
json.dump(seen, sys.stdout)
"#;

pub(super) fn by_python(contents: &[Vec<u8>]) -> Vec<Value> {
    let mut python = Command::new("python3")
        .args(["-I", "-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed for this test");
    python.stdin.take().unwrap().write_all(&serde_json::to_vec(contents).unwrap()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn two_readers_see_the_same_and_what_was_meant() {
    let cases = cases::all();
    let contents: Vec<Vec<u8>> = cases.iter().map(|case| compose(&case.request()).unwrap().content).collect();
    for ((case, content), python) in cases.iter().zip(&contents).zip(by_python(&contents)) {
        let seen = by_mail_parser(content);
        assert_eq!(python["defects"], serde_json::json!([]), "{}", case.name);
        assert_eq!(python["report"], "delivery-status");
        assert_eq!(python["names"], serde_json::json!(seen.names), "{}", case.name);
        assert_eq!(python["types"], serde_json::json!(seen.types), "{}", case.name);
        assert_eq!(python["status"], serde_json::json!(seen.status), "{}", case.name);
        assert_eq!(seen.types[..2], ["text/plain", "message/delivery-status"]);
        assert_eq!(seen.status.len(), 1 + case.incidents.len(), "{}", case.name);
        let header = String::from_utf8_lossy(header_of(&case.content)).into_owned();
        assert_eq!(String::from_utf8_lossy(&seen.header).trim_end(), header.trim_end(), "{}", case.name);
        assert_eq!(String::from_utf8_lossy(&bytes(&python["header"])).trim_end(), header.trim_end(), "{}", case.name);
        let text = python["text"].as_str().unwrap();
        for incident in &case.incidents {
            let path = case.envelope.recipients[incident.recipient].path.as_str();
            assert!(text.contains(path), "{}: {path} is not in {text}", case.name);
        }
    }
}

#[test]
fn fields_say_what_happened() {
    let seen = by_mail_parser(&compose(&Made::three().request()).unwrap().content);
    let block = |fields: &[(&str, &str)]| -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(
        seen.status,
        [
            block(&[
                ("Reporting-MTA", "dns; mx1.backup.example.net"),
                ("Original-Envelope-Id", "QQ+314159"),
                ("Arrival-Date", "Thu, 1 Jan 2026 00:00:00 +0000"),
            ]),
            block(&[
                ("Original-Recipient", "rfc822; Info+list@example.org"),
                ("Final-Recipient", "rfc822; info@example.org"),
                ("Action", "failed"),
                ("Status", "5.7.1"),
                ("Remote-MTA", "dns; mail.example.org"),
                ("Diagnostic-Code", "smtp; 554 5.7.1 Message rejected / See our policy"),
                ("Last-Attempt-Date", "Thu, 1 Jan 2026 01:00:00 +0000"),
            ]),
            block(&[
                ("Final-Recipient", "rfc822; \"big box\"@example.org"),
                ("Action", "failed"),
                ("Status", "4.4.7"),
                ("Remote-MTA", "dns; mail.example.org"),
                ("Diagnostic-Code", "smtp; 452 4.2.2 Mailbox full"),
                ("Last-Attempt-Date", "Thu, 1 Jan 2026 01:00:00 +0000"),
            ]),
            block(&[("Final-Recipient", "rfc822; sales@example.org"), ("Action", "failed"), ("Status", "4.4.7"),]),
        ]
    );
}
