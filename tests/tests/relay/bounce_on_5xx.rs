//! A recipient that the primary refuses is reported to the sender, where SPF shows that the sender is no forgery.

use backupmx_tests::{Answer, LONG, Mail, Place, Received, Relay, ScriptedPrimary, Step, python};
use mail_parser::{MessageParser, MimeHeaders};

use crate::common::{Senders, reporting, settle};

/// Prints what Python's `email` makes of the report in a file: its type, the type of each part, and the fields of the
/// recipient.
const READ: &str = r"
import email, email.policy, sys
m = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)
print(m.get_content_type(), m.get_param('report-type'))
print(m['Auto-Submitted'])
parts = list(m.iter_parts())
print(*[p.get_content_type() for p in parts])
blocks = parts[1].get_payload()
print(blocks[1]['Final-Recipient'], '|', blocks[1]['Action'], '|', blocks[1]['Status'])
print(m.defects, [d for p in m.walk() for d in p.defects])
";

#[track_caller]
fn check_with_python(place: &Place, report: &Received, expected_recipient: &str) {
    let file = place.file("report.eml");
    std::fs::write(&file, &report.content).unwrap();
    let output = python(READ, &[file.to_str().unwrap()]);
    assert!(output.ok, "{}", output.text);
    let lines: Vec<_> = output.out.lines().collect();
    assert_eq!(lines[0], "multipart/report delivery-status");
    assert_eq!(lines[1], "auto-replied");
    assert_eq!(lines[2], "text/plain message/delivery-status text/rfc822-headers");
    assert_eq!(lines[3].to_lowercase(), format!("rfc822; {expected_recipient} | failed | 5.1.1").to_lowercase());
    assert_eq!(lines[4], "[] []");
}

#[test]
fn the_sender_is_told() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, reporting(&place));
    let good = settle(&relay, &primary);
    primary.script(|step, _| match step {
        Step::Rcpt(recipient) if recipient.starts_with("nosuch") => Answer::reply("550 5.1.1 no such user here"),
        _ => Answer::Normal,
    });
    let mail = Mail::to("nosuch@example.org").and_to("bob@example.org").with_body(b"SECRET CONTENT\r\n");
    relay.session().mail(&mail).expect(250);

    let report = senders.one_report();
    let text = String::from_utf8_lossy(&report.content);
    assert!(text.contains("no such user here"), "the primary's words are in it:\n{text}");
    assert!(text.contains(&mail.id()), "the original's header is in it");
    assert!(!text.contains("SECRET CONTENT"), "the original's content is not");
    let parsed = MessageParser::default().parse(&report.content).expect("a report can be read");
    assert!(parsed.content_type().is_some_and(|kind| kind.ctype() == "multipart"));
    check_with_python(&place, &report, "nosuch@example.org");
    assert_eq!(primary.wait_count(good + 1, LONG)[good].to, ["bob@example.org"]);
    relay.wait_empty(LONG);
}

#[test]
fn where_the_content_is_refused_all_are_told_of() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, reporting(&place));
    settle(&relay, &primary);
    primary.script(|step, _| match step {
        Step::Dot(_) => Answer::reply("554 5.6.0 not this"),
        _ => Answer::Normal,
    });
    relay.session().mail(&Mail::to("bob@example.org").and_to("eve@example.org")).expect(250);
    let text = String::from_utf8_lossy(&senders.one_report().content).into_owned();
    assert!(text.contains("bob@example.org") && text.contains("eve@example.org"), "{text}");
    relay.wait_empty(LONG);
}

#[test]
fn with_on_reject_hold_it_waits_for_a_person() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, reporting(&place).set("/tenants/0/delivery/onReject", "Hold"));
    let good = settle(&relay, &primary);
    primary.script(|step, _| match step {
        Step::Rcpt(_) => Answer::reply("550 5.1.1 no such user"),
        _ => Answer::Normal,
    });
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    backupmx_tests::wait_until("it is held", LONG, || relay.status().tenants[0].queue.held == 1);
    assert_eq!(senders.mx.count(), 0);

    primary.behave();
    let page = relay.admin().get("/v1/queue?state=held").unwrap().json();
    let id = page["messages"][0]["id"].as_str().unwrap().to_owned();
    let output = relay.command(&["queue", "release", &id]);
    assert!(output.ok, "{}", output.text);
    primary.wait_count(good + 1, LONG);
    relay.wait_empty(LONG);
    assert_eq!(senders.mx.count(), 0);
}
