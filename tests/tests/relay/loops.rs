//! Mail that goes in a circle is stopped before it goes round and round.

use backupmx_tests::{Answer, Config, LONG, Mail, Place, Relay, ScriptedPrimary, Step, wait_until};

#[test]
fn a_hundred_received_lines_are_too_many() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let mut mail = Mail::to("bob@example.org");
    let trace = b"Received: from a.test by b.test; Thu, 1 Jan 2026 00:00:00 +0000\r\n";
    mail.content = [&trace.repeat(101)[..], &mail.content].concat();
    relay.session().mail(&mail).expect_text(554, "5.4.6");
    assert_eq!(relay.held(), 0);
}

#[test]
fn a_primary_that_is_the_relay_itself_gets_nothing() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    primary.script(|step, _| match step {
        Step::Greeting => Answer::reply("220 mx1.backup.test ESMTP"),
        Step::Ehlo(_) => Answer::reply("250 mx1.backup.test"),
        _ => Answer::Normal,
    });
    let relay = Relay::start(&place, Config::new(&place));
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    wait_until("the status says why", LONG, || {
        relay.status().tenants[0].primary.last_error.as_ref().is_some_and(|error| error.contains("mx1.backup.test"))
    });
    assert_eq!((relay.held(), primary.transactions()), (1, 0));
}
