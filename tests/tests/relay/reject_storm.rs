//! A primary that comes back and refuses everything is broken, not right: nothing bounces, and when it is repaired it
//! gets all its mail.

use std::time::Duration;

use backupmx_relay_config::status::PrimaryState;
use backupmx_tests::{Answer, Config, LONG, Mail, Place, Relay, ScriptedPrimary, Step, stays, wait_until};

use crate::common::{Senders, reporting};

/// What the primary refuses when it comes back.
#[derive(Clone, Copy)]
enum Refuses {
    Recipients,
    Content,
}

fn begin(place: &Place, messages: usize, refuses: Refuses) -> (Senders, ScriptedPrimary, Relay) {
    begin_with(place, reporting(place), messages, refuses)
}

fn begin_with(place: &Place, config: Config, messages: usize, refuses: Refuses) -> (Senders, ScriptedPrimary, Relay) {
    let senders = Senders::start(place);
    let mut primary = ScriptedPrimary::down(place);
    let relay = Relay::start(place, config);
    let mut session = relay.session();
    for number in 0..messages {
        session.mail(&Mail::to(&format!("user{number}@example.org"))).expect(250);
    }
    relay.wait_primary(PrimaryState::Down);
    primary.script(move |step, _| match (step, refuses) {
        (Step::Rcpt(_), Refuses::Recipients) => Answer::reply("550 5.1.1 unknown user"),
        (Step::Dot(_), Refuses::Content) => Answer::reply("554 5.3.0 no mailbox store"),
        _ => Answer::Normal,
    });
    primary.start();
    wait_until("the storm is seen", LONG, || relay.status().tenants[0].primary.reject_storm);
    (senders, primary, relay)
}

/// The primary takes what is held when it takes mail again, and nobody is told of anything.
#[track_caller]
fn gets_it_all_when_repaired(primary: &ScriptedPrimary, relay: &Relay, senders: &Senders) {
    let held = relay.held();
    primary.behave();
    primary.wait_count(held.try_into().unwrap(), LONG);
    relay.wait_empty(LONG);
    assert!(!relay.status().tenants[0].primary.reject_storm);
    assert_eq!(senders.mx.count(), 0);
}

#[test]
fn it_ends_when_the_primary_takes_mail_again() {
    let place = Place::new();
    let (senders, primary, relay) = begin(&place, 30, Refuses::Recipients);
    let tried = primary.transactions();
    assert!(tried <= 20, "{tried} messages were thrown at a broken primary");
    stays("nothing bounces and the drain has stopped", Duration::from_secs(3), || {
        senders.mx.count() == 0 && primary.transactions() <= tried + 5
    });
    assert_eq!(relay.held(), 30);

    gets_it_all_when_repaired(&primary, &relay, &senders);
}

#[test]
fn a_primary_that_refuses_every_content_is_no_better() {
    let place = Place::new();
    let (senders, primary, relay) = begin(&place, 30, Refuses::Content);
    stays("nothing bounces in a storm", Duration::from_secs(3), || {
        senders.mx.count() == 0 && relay.status().tenants[0].primary.reject_storm
    });
    assert_eq!((relay.held(), primary.count()), (30, 0));

    gets_it_all_when_repaired(&primary, &relay, &senders);
}

#[test]
fn it_outlives_a_restart_without_a_bounce() {
    let place = Place::new();
    let (senders, primary, mut relay) = begin(&place, 12, Refuses::Recipients);
    relay.kill();
    relay.start_again();
    stays("nothing bounces after a restart", Duration::from_secs(4), || senders.mx.count() == 0);
    assert_eq!(relay.held(), 12);
    primary.behave();
    primary.wait_count(12, LONG);
}

#[test]
fn it_outlives_a_restart_while_the_primary_is_down_and_nothing_expires_in_it() {
    let place = Place::new();
    let config = reporting(&place).set("/tenants/0/hold/maxAge", "10s");
    let (senders, mut primary, mut relay) = begin_with(&place, config, 8, Refuses::Recipients);
    primary.stop();
    relay.kill();
    relay.start_again();
    relay.wait_primary(PrimaryState::Down);
    stays("nothing expires past its time", Duration::from_secs(13), || {
        senders.mx.count() == 0 && relay.held() == 8 && relay.status().tenants[0].primary.reject_storm
    });
    primary.behave();
    primary.start();
    primary.wait_count(8, LONG);
    relay.wait_empty(LONG);
    assert!(!relay.status().tenants[0].primary.reject_storm);
    assert_eq!(senders.mx.count(), 0);
}

#[test]
fn single_rejects_are_no_storm() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let mut primary = ScriptedPrimary::down(&place);
    let relay = Relay::start(&place, reporting(&place));
    let mut session = relay.session();
    for number in 0..40 {
        let recipient = if number == 3 { "nosuch@example.org".to_owned() } else { format!("user{number}@example.org") };
        session.mail(&Mail::to(&recipient)).expect(250);
    }
    primary.script(|step, _| match step {
        Step::Rcpt("nosuch@example.org") => Answer::reply("550 5.1.1 unknown user"),
        _ => Answer::Normal,
    });
    primary.start();
    primary.wait_count(39, LONG);
    // After 20 acceptances the primary is trusted again, and its one reject is final.
    senders.one_report();
    relay.wait_empty(LONG);
}
