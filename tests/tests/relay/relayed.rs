//! A sender that asked to be told of its mail's delivery (NOTIFY=SUCCESS) is told by the relay where the primary does not
//! offer DSN, and by the primary where it does.

use backupmx_tests::{LONG, Mail, Mode, Place, Received, Relay, ScriptedPrimary, wait_until};

use crate::common::{Senders, reporting, settle};

const WITHOUT_DSN: [&str; 2] = ["PIPELINING", "8BITMIME"];

/// Hands in a message for `bob`, whose sender wants to know, and `eve`, whose sender does not.
fn ask_for_success(relay: &Relay, from: &str) {
    let mail = Mail::to("bob@example.org").from(from);
    let mut session = relay.session();
    session.command(&format!("MAIL FROM:<{from}> ENVID=QQ314159")).expect(250);
    session.command("RCPT TO:<bob@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@example.com").expect(250);
    session.command("RCPT TO:<eve@example.org>").expect(250);
    session.data(&mail.wire()).expect(250);
}

#[track_caller]
fn says_relayed(report: &Received) {
    let text = String::from_utf8_lossy(&report.content);
    for line in [
        "Original-Envelope-Id: QQ314159",
        "Original-Recipient: rfc822; bob@example.com",
        "Final-Recipient: rfc822; bob@example.org",
        "Action: relayed",
        "Status: 2.0.0",
    ] {
        assert!(text.contains(line), "{line:?} is missing:\n{text}");
    }
    assert!(!text.contains("eve@example.org"), "{text}");
}

#[test]
fn by_the_relay_where_the_primary_does_not_offer_dsn() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let primary = ScriptedPrimary::up(&place);
    primary.offer(&WITHOUT_DSN);
    let relay = Relay::start(&place, reporting(&place));
    ask_for_success(&relay, "alice@sender.test");
    let mail = primary.wait_count(1, LONG).remove(0);
    assert_eq!(mail.rcpt_parameters, ["", ""]);
    says_relayed(&senders.one_report());
    relay.wait_empty(LONG);
}

#[test]
fn by_the_primary_where_it_offers_dsn() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, reporting(&place));
    ask_for_success(&relay, "alice@sender.test");
    let mail = primary.wait_count(1, LONG).remove(0);
    assert_eq!(mail.rcpt_parameters, ["NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@example.com", ""]);
    relay.wait_empty(LONG);
    assert_eq!(senders.mx.connections(), 0);
}

#[test]
fn not_at_all_where_the_sender_may_be_forged() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let primary = ScriptedPrimary::up(&place);
    primary.offer(&WITHOUT_DSN);
    let relay = Relay::start(&place, reporting(&place));
    ask_for_success(&relay, "alice@forged.test");
    primary.wait_count(1, LONG);
    relay.wait_empty(LONG);
    assert_eq!(relay.status().tenants[0].queue.parked, 0);
    assert_eq!(senders.mx.connections(), 0);
}

#[test]
fn once_though_the_relay_is_killed_before_it_could_decide() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let primary = ScriptedPrimary::up(&place);
    primary.offer(&WITHOUT_DSN);
    let mut relay = Relay::start(&place, reporting(&place));
    let good = settle(&relay, &primary);
    senders.dns.set_mode(Mode::ServFail);
    ask_for_success(&relay, "alice@sender.test");
    primary.wait_count(good + 1, LONG);
    wait_until("it waits for DNS", LONG, || relay.log().contains("DNS does not answer"));
    relay.kill();
    senders.dns.set_mode(Mode::Answer);
    relay.start_again();
    wait_until("it is told of", LONG, || {
        assert!(relay.command(&["queue", "flush"]).ok);
        senders.mx.count() > 0
    });
    relay.wait_empty(LONG);
    says_relayed(&senders.one_report());
    assert_eq!(primary.count(), good + 1, "it was delivered again");
}
