//! Debian's Postfix is the primary: it goes down, comes back, and has every message as it was sent.

use backupmx_relay_config::status::PrimaryState;
use backupmx_tests::{Config, LONG, Mail, Place, Postfix, Relay, Role, wait_until};

/// The part of a stored message that its sender wrote: Postfix, too, puts fields on top.
fn as_sent<'a>(stored: &'a [u8], sent: &[u8]) -> &'a [u8] {
    let start = sent.split(|octet| *octet == b'\r').next().unwrap();
    let at = stored.windows(start.len()).position(|window| window == start).expect("the first field is there");
    &stored[at..]
}

#[test]
fn it_is_held_then_delivered_over_tls_in_chunks() {
    let place = Place::new();
    let postfix = Postfix::start(&place, place.primary(), Role::Primary);
    held_then_delivered(&place, postfix, "bdat=");
}

#[test]
fn it_is_held_then_delivered_over_tls_with_data() {
    let place = Place::new();
    let mut postfix = Postfix::make(&place, place.primary(), Role::Primary);
    postfix.set("smtpd_discard_ehlo_keywords", "chunking");
    postfix.start_again();
    held_then_delivered(&place, postfix, "data=");
}

/// `command` is what Postfix counts in its log when a session ends.
fn held_then_delivered(place: &Place, mut postfix: Postfix, command: &str) {
    let relay = Relay::start(place, Config::new(place));
    let mut session = relay.session();
    session.mail(&Mail::to("bob@example.org")).expect(250);
    // One that it had not taken off its queue would be in the mailbox twice after its restart.
    wait_until("Postfix is done with the first", LONG, || postfix.count() == 1 && postfix.queued() == 0);
    postfix.stop();

    let bodies: [&[u8]; 4] =
        [b".\r\n..\r\n", b"8-bit \xe4\xf6\xfc \xff\r\n", &[b'x'; 998], &b"a line of a long message\r\n".repeat(50_000)];
    let held: Vec<_> =
        bodies.iter().map(|body| Mail::to("bob@example.org").with_body(body).with_body(b"\r\n")).collect();
    for mail in &held {
        session.mail(mail).expect(250);
    }
    relay.wait_primary(PrimaryState::Down);
    assert_eq!(relay.held(), held.len() as u64);

    postfix.start_again();
    wait_until("Postfix has the others", LONG, || postfix.count() == 1 + held.len());
    relay.wait_empty(LONG);
    let mailbox = postfix.mailbox();
    for mail in &held {
        let id = mail.id();
        let stored = mailbox
            .iter()
            .find(|stored| stored.windows(id.len()).any(|window| window == id.as_bytes()))
            .unwrap_or_else(|| panic!("{id} is not in the mailbox"));
        // A mailbox has the line ends of its machine.
        let sent = mail.content.split(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let sent = sent.collect::<Vec<_>>().join(&b'\n');
        assert_eq!(as_sent(stored, &mail.content), sent, "{id}");
    }
    assert!(postfix.log().contains("Anonymous TLS connection established"), "the way to Postfix was not encrypted");
    wait_until("Postfix has counted the commands", LONG, || postfix.log().contains(" rcpt="));
    let other = if command == "bdat=" { "data=" } else { "bdat=" };
    let log = postfix.log();
    let (used, unused) = (log.matches(command).count(), log.matches(other).count());
    assert!(used > 0 && unused == 0, "{command} {used} times, {other} {unused} times");
}

#[test]
fn an_unknown_user_is_reported_to_the_sender() {
    let place = Place::new();
    let postfix = Postfix::start(&place, place.primary(), Role::Primary);
    let mut senders = backupmx_tests::ScriptedPrimary::at(place.at(6030));
    senders.start();
    let config = Config::new(&place).set("/tenants/0/bounce/smarthost", place.at(6030).to_string());
    let relay = Relay::start(&place, config);
    let mut session = relay.session();
    // A primary that has just come back is on trial until it took twenty messages.
    for number in 0..25 {
        session.mail(&Mail::to(&format!("user{number}@example.org"))).expect(250);
    }
    wait_until("Postfix has them", LONG, || postfix.count() == 25);
    session.mail(&Mail::to("nosuch@example.org")).expect(250);
    let report = senders.wait_count(1, LONG).remove(0);
    let text = String::from_utf8_lossy(&report.content).into_owned();
    assert!(text.contains("nosuch@example.org") && text.contains("5.1.1"), "{text}");
    relay.wait_empty(LONG);
}
