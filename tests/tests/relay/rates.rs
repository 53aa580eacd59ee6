//! A client that brings too much is slowed with 451; others do not notice.

use backupmx_tests::{Config, Mail, Place, Relay, Smtp};

/// Sends one message in a session of its own; the code of the reply to RCPT, or of the last one.
fn send(place: &Place, source: [u8; 4]) -> (u16, String) {
    let mut session = Smtp::session_from(source.into(), place.smtp());
    let mail = Mail::to("bob@example.org");
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    let reply = session.command("RCPT TO:<bob@example.org>");
    if reply.code != 250 {
        return (reply.code, reply.text);
    }
    let reply = session.data(&mail.wire());
    (reply.code, reply.text)
}

fn sent(place: &Place, source: [u8; 4], messages: usize) {
    for _ in 0..messages {
        assert_eq!(send(place, source).0, 250);
    }
}

#[track_caller]
fn slowed(relay: &Relay, answer: &(u16, String), reason: &str) {
    assert!(answer.0 == 451 && answer.1.starts_with("4.7.1"), "{answer:?}");
    let refused = relay.metric(&format!("backupmx_refused_total{{reason=\"{reason}\"}}"));
    assert!(refused >= Some(1.0), "{reason}: {refused:?}");
}

#[test]
fn a_stranger_is_slowed_and_another_client_is_not() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place).set("/limits/messagesPerMinutePerAddress", 1));
    // Ten minutes' worth may come at once.
    sent(&place, [127, 1, 1, 1], 10);
    slowed(&relay, &send(&place, [127, 1, 1, 1]), "rate_address");
    sent(&place, [127, 1, 1, 2], 3);
    sent(&place, [127, 2, 2, 2], 3);
    slowed(&relay, &send(&place, [127, 1, 1, 1]), "rate_address");
    assert_eq!(relay.held(), 16);
}

#[test]
fn a_network_is_slowed_and_another_is_not() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place).set("/limits/messagesPerMinutePerNetwork", 1));
    (1..=10).for_each(|host| sent(&place, [127, 1, 1, host], 1));
    slowed(&relay, &send(&place, [127, 1, 1, 11]), "rate_network");
    sent(&place, [127, 1, 2, 1], 3);
}

#[test]
fn a_tenant_is_bounded_and_another_is_not() {
    let place = Place::new();
    let config = Config::new(&place).and_tenant("second", "example.net");
    let relay = Relay::start(&place, config.set("/limits/messagesPerMinutePerTenant", 1));
    (1..=10).for_each(|network| sent(&place, [127, 1, network, 1], 1));
    slowed(&relay, &send(&place, [127, 2, 1, 1]), "rate_tenant");
    relay.session().mail(&Mail::to("eve@example.net")).expect(250);
}

#[test]
fn further_recipients_are_not_further_messages() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place).set("/limits/messagesPerMinutePerAddress", 1));
    let mut session = relay.session();
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    for number in 0..50 {
        session.command(&format!("RCPT TO:<user{number}@example.org>")).expect(250);
    }
    session.data(&Mail::to("bob@example.org").wire()).expect(250);
}

#[test]
fn zero_switches_a_rate_off() {
    let place = Place::new();
    let limit = |config: Config, party: &str| config.set(&format!("/limits/messagesPerMinutePer{party}"), 0);
    let config = ["Address", "Network", "Tenant"].into_iter().fold(Config::new(&place), limit);
    let relay = Relay::start(&place, config);
    sent(&place, [127, 1, 1, 1], 30);
    assert_eq!(relay.held(), 30);
}
