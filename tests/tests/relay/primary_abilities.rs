//! What the primary offers decides how mail is handed over, never whether it is lost.

use backupmx_relay_config::status::PrimaryState;
use backupmx_tests::{
    Answer, Config, LONG, Mail, Place, Relay, ScriptedPrimary, Step, same_content, stays, wait_value,
};

use crate::common::{Senders, reporting};

#[test]
fn without_8bitmime_content_goes_unchanged() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    primary.offer(&[]);
    let relay = Relay::start(&place, Config::new(&place));
    let mail = Mail::to("bob@example.org").with_body(b"\xe4\xf6\xfc\r\n");
    let mut session = relay.session();
    session.command("MAIL FROM:<alice@sender.test> BODY=8BITMIME SIZE=1000").expect(250);
    session.command("RCPT TO:<bob@example.org> NOTIFY=NEVER").expect(250);
    session.data(&mail.wire()).expect(250);
    let received = primary.wait_count(1, LONG).remove(0);
    same_content(&received.content, &mail.content);
    assert_eq!((received.mail_parameters.as_str(), received.rcpt_parameters[0].as_str()), ("", ""));
}

#[test]
fn without_ehlo_it_is_spoken_to_with_helo() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    primary.script(|step, _| match step {
        Step::Ehlo(_) => Answer::reply("502 5.5.1 what?"),
        _ => Answer::Normal,
    });
    let relay = Relay::start(&place, Config::new(&place));
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    primary.wait_count(1, LONG);
    relay.wait_empty(LONG);
}

#[test]
fn without_smtputf8_such_mail_is_refused_once_that_is_known() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    primary.offer(&["PIPELINING", "8BITMIME"]);
    let relay = Relay::start(&place, Config::new(&place));
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    primary.wait_count(1, LONG);
    relay.wait_empty(LONG);
    let mut session = relay.session();
    session.command("MAIL FROM:<jürgen@sender.test> SMTPUTF8").expect(250);
    session.command("RCPT TO:<bøb@example.org>").expect_text(550, "5.6.7");
}

/// A message that needs SMTPUTF8, taken before it is known that the primary does not offer it.
fn needs_smtputf8(relay: &Relay) -> Mail {
    let mail = Mail::to("bob@example.org");
    let mut session = relay.session();
    session.command("MAIL FROM:<alice@sender.test> SMTPUTF8").expect(250);
    session.command("RCPT TO:<bob@example.org>").expect(250);
    session.data(&mail.wire()).expect(250);
    mail
}

#[test]
fn where_smtputf8_is_found_missing_late_the_message_waits_until_it_is_offered() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    primary.offer(&["PIPELINING", "8BITMIME"]);
    let relay = Relay::start(&place, Config::new(&place));
    let mail = needs_smtputf8(&relay);
    primary.start();
    let answer = wait_value("it is known why it waits", LONG, || {
        let queue = relay.admin().get("/v1/queue")?.json();
        queue["messages"][0]["recipients"][0]["answer"].as_str().map(str::to_owned)
    });
    assert!(answer.starts_with("450 4.6.7") && answer.contains("SMTPUTF8"), "{answer}");
    let shown = relay.command(&["queue", "list"]);
    let id = shown.out.split_whitespace().find(|word| word.len() == 11).expect("an id").to_owned();
    let shown = relay.command(&["queue", "show", &id]);
    assert!(shown.ok && shown.out.contains("needs SMTPUTF8"), "{}", shown.text);
    assert_eq!((primary.transactions(), relay.held()), (0, 1), "nothing is sent, nothing is given up");

    primary.stop();
    primary.offer(&["PIPELINING", "8BITMIME", "SMTPUTF8"]);
    primary.start();
    assert!(relay.command(&["queue", "flush"]).ok);
    let received = primary.wait_count(1, LONG).remove(0);
    same_content(&received.content, &mail.content);
    assert!(received.mail_parameters.contains("SMTPUTF8"), "{}", received.mail_parameters);
    relay.wait_empty(LONG);
}

#[test]
fn where_smtputf8_is_never_offered_the_sender_is_told_why() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let mut primary = ScriptedPrimary::down(&place);
    primary.offer(&["PIPELINING", "8BITMIME"]);
    let relay = Relay::start(&place, reporting(&place).set("/tenants/0/hold/maxAge", "3s"));
    needs_smtputf8(&relay);
    primary.start();
    let text = String::from_utf8_lossy(&senders.one_report().content).into_owned();
    assert!(text.contains("4.4.7") && text.contains("needs SMTPUTF8"), "{text}");
    assert!(text.contains("It was not handed to the recipient's mail server"), "{text}");
    assert!(!text.contains("Remote-MTA"), "the primary did not say it: {text}");
    relay.wait_empty(LONG);
}

#[test]
fn without_tls_where_it_is_required_nothing_is_sent() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place).set("/tenants/0/primary/tls/mode", "Require"));
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    relay.wait_primary(PrimaryState::Down);
    let error = relay.status().tenants[0].primary.last_error.clone().unwrap_or_default();
    assert!(error.contains("TLS"), "{error}");
    stays("nothing is sent in the clear", std::time::Duration::from_secs(2), || primary.transactions() == 0);
    assert_eq!(relay.held(), 1);
}

#[test]
fn broken_tls_that_is_not_required_is_done_without() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    primary.offer(&["PIPELINING", "STARTTLS"]);
    primary.script(|step, _| match step {
        Step::Other(command) if command.eq_ignore_ascii_case("STARTTLS") => Answer::reply("454 4.7.0 no TLS today"),
        _ => Answer::Normal,
    });
    let relay = Relay::start(&place, Config::new(&place));
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    primary.wait_count(1, LONG);

    // It agrees, and then cannot: the handshake fails.
    primary.script(|step, _| match step {
        Step::Other(command) if command.eq_ignore_ascii_case("STARTTLS") => Answer::reply("220 2.0.0 go ahead"),
        _ => Answer::Normal,
    });
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    primary.wait_count(2, LONG);
    relay.wait_empty(LONG);
}
