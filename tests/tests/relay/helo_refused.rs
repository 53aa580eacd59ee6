//! A primary that refuses the relay's name, as Postfix does at RCPT, refuses no message: nothing bounces, and when people
//! have put it right it gets its mail.

use backupmx_tests::{Answer, Config, LONG, Mail, Place, Relay, SHORT, ScriptedPrimary, Step, wait_until};

use crate::common::{Senders, reporting};

const REFUSALS: [&str; 3] = [
    "504 5.5.2 <mx1>: Helo command rejected: need fully-qualified hostname",
    "550 5.7.1 <mx1.backup.test>: Helo command rejected: Host not found",
    "554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied",
];

#[test]
fn no_message_is_given_up_for_it() {
    for refusal in REFUSALS {
        let place = Place::new();
        let senders = Senders::start(&place);
        let primary = ScriptedPrimary::up(&place);
        primary.script(move |step, _| match step {
            Step::Rcpt(_) => Answer::reply(refusal),
            _ => Answer::Normal,
        });
        let relay = Relay::start(&place, reporting(&place));
        relay.session().mail(&Mail::to("bob@example.org")).expect(250);
        wait_until("it was tried, and is kept for a later try", SHORT, || {
            let page = relay.admin().get("/v1/queue").unwrap().json();
            let message = &page["messages"][0];
            message["state"] == "Queued" && message["recipients"][0]["answer"].as_str() == Some(refusal)
        });

        primary.behave();
        let output = relay.command(&["queue", "flush", "example.org"]);
        assert!(output.ok, "{}", output.text);
        primary.wait_count(1, LONG);
        relay.wait_empty(LONG);
        assert_eq!(senders.mx.count(), 0, "{refusal}: a sender was told");
    }
}

#[test]
fn a_relay_that_has_no_full_name_asks_for_one() {
    let place = Place::new();
    let config = Config::new(&place).set("/hostname", "mx1");
    let file = place.file("short.yaml");
    std::fs::write(&file, config.yaml()).unwrap();
    let output =
        backupmx_tests::run(std::process::Command::new(Relay::program()).args(["serve", "--config"]).arg(&file));
    assert_eq!(output.code, Some(2), "{}", output.text);
    assert!(
        output.text.contains("hostname: expected a full host name such as mx1.backup.example.net"),
        "{}",
        output.text
    );
}
