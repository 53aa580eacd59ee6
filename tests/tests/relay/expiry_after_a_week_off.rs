//! A relay that was switched off past the hold time tries before it gives anything up.

use std::{
    thread,
    time::{Duration, Instant},
};

use backupmx_tests::{LONG, Mail, Place, Relay, ScriptedPrimary};

use crate::common::{Senders, reporting};

#[test]
fn what_is_overdue_is_delivered_first() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let mut primary = ScriptedPrimary::down(&place);
    let mut relay = Relay::start(&place, reporting(&place).set("/tenants/0/hold/maxAge", "15s"));
    let start = Instant::now();
    let mut session = relay.session();
    for _ in 0..30 {
        session.mail(&Mail::to("bob@example.org")).expect(250);
    }
    relay.kill();
    assert!(start.elapsed() < Duration::from_secs(15), "the machine is too slow for this test");
    // The hold time is what is tested; there is nothing else to wait for.
    thread::sleep(Duration::from_secs(16).saturating_sub(start.elapsed()));
    primary.start();
    relay.start_again();
    primary.wait_count(30, LONG);
    relay.wait_empty(LONG);
    assert_eq!(senders.mx.count(), 0, "nothing is given up");
}

#[test]
fn what_is_overdue_goes_back_when_a_probe_has_failed() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let _primary = ScriptedPrimary::down(&place);
    let mut relay = Relay::start(&place, reporting(&place).set("/tenants/0/hold/maxAge", "3s"));
    let start = Instant::now();
    let mail = Mail::to("bob@example.org");
    relay.session().mail(&mail).expect(250);
    relay.kill();
    thread::sleep(Duration::from_secs(4).saturating_sub(start.elapsed()));
    relay.start_again();
    let text = String::from_utf8_lossy(&senders.one_report().content).into_owned();
    assert!(text.contains("4.4.7") && text.contains(&mail.id()), "{text}");
    relay.wait_empty(LONG);
}
