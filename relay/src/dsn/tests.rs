//! Whole reports: golden files, what other programs read in them, and hostile input.
//!
//! The golden files are rewritten by `INSTA_UPDATE=always cargo test -p backupmx-relay dsn`.

mod cases;
mod hostile;
pub(crate) mod paths;
mod readers;

use super::{compose, tests::cases::Made};

#[test]
fn reports_are_as_recorded() {
    for case in cases::all() {
        let report = compose(&case.request()).unwrap();
        let text = String::from_utf8(report.content).unwrap();
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{}: a line end that is not CRLF", case.name);
        insta::with_settings!({snapshot_path => "golden", prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!(case.name, text.replace("\r\n", "\n"));
        });
    }
}

#[test]
fn a_report_goes_from_nobody_to_the_sender_and_asks_for_nothing() {
    for case in cases::all() {
        let report = compose(&case.request()).unwrap();
        let envelope = report.envelope;
        assert!(envelope.sender.is_null());
        assert_eq!(envelope.recipients.len(), 1);
        let recipient = &envelope.recipients[0];
        assert_eq!(recipient.path.as_str(), case.envelope.sender.as_str());
        assert_eq!(recipient.notify, Some(crate::message::Notify::default()));
        assert_eq!(envelope.size, report.content.len() as u64);
        assert_eq!(envelope.smtputf8, !case.envelope.sender.as_str().is_ascii());
        assert_eq!(
            envelope.origin,
            crate::message::Origin::Report { parent: case.parent(), tenant: "example".to_owned() }
        );
    }
}

#[test]
fn nobody_is_told_who_must_not_be() {
    let plain = Made::rejected();
    assert!(compose(&plain.request()).is_some());
    let null = plain.clone().sender("");
    assert!(compose(&null.request()).is_none(), "the null sender");
    let literal = plain.clone().sender("alice@[192.0.2.1]");
    assert!(compose(&literal.request()).is_none(), "a sender without a domain");
    let mut own = plain.clone();
    own.envelope.origin = crate::message::Origin::Report { parent: plain.parent(), tenant: "example".to_owned() };
    assert!(compose(&own.request()).is_none(), "a report");
    let mut none = plain.clone();
    none.incidents.clear();
    assert!(compose(&none.request()).is_none(), "no recipient");
    none.incidents = vec![plain.incidents[0].clone()];
    none.incidents[0].recipient = 99;
    assert!(compose(&none.request()).is_none(), "a recipient that is not there");
}

#[test]
fn notify_is_honoured() {
    use super::Occasion;
    use crate::message::Notify;
    let never = Notify::default();
    let success = Notify { success: true, ..never };
    let failure = Notify { failure: true, ..never };
    let delay = Notify { delay: true, ..never };
    for (notify, on_failure, on_delay, on_success) in [
        (None, true, true, false),
        (Some(never), false, false, false),
        (Some(success), false, false, true),
        (Some(failure), true, false, false),
        (Some(delay), false, true, false),
    ] {
        for (occasion, told) in [
            (Occasion::Failure, on_failure),
            (Occasion::Delay { retry_until: Default::default() }, on_delay),
            (Occasion::Relayed, on_success),
        ] {
            let mut made = Made::rejected();
            made.envelope.recipients[0].notify = notify;
            made.occasion = occasion;
            assert_eq!(compose(&made.request()).is_some(), told, "{notify:?} {occasion:?}");
        }
    }
}

#[test]
fn a_recipient_that_does_not_want_a_report_is_not_in_it() {
    let mut made = Made::three();
    made.envelope.recipients[1].notify = Some(crate::message::Notify::default());
    let report = compose(&made.request()).unwrap();
    let text = String::from_utf8(report.content).unwrap();
    let [one, two, three] = [0, 1, 2].map(|n| made.envelope.recipients[n].path.as_str().to_owned());
    assert!(text.contains(&one) && !text.contains(&two) && text.contains(&three), "{text}");
}

#[test]
fn full_content_is_not_given_back() {
    let mut made = Made::rejected();
    made.envelope.ret = Some(crate::message::ReportContent::Full);
    let text = String::from_utf8(compose(&made.request()).unwrap().content).unwrap();
    assert!(text.contains("Subject: Lunch") && !text.contains("secret body"), "{text}");
}
