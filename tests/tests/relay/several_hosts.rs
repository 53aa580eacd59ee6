//! A primary of several hosts: the lowest preference that answers gets the mail.

use backupmx_tests::{Config, LONG, Mail, Place, Relay, ScriptedPrimary, wait_until};
use serde_json::json;

#[test]
fn the_second_takes_over_and_hands_back() {
    let place = Place::new();
    let mut first = ScriptedPrimary::down(&place);
    let mut second = ScriptedPrimary::at(place.at(6126));
    second.start();
    let hosts = json!([
        {"host": place.ip(), "port": place.primary().port(), "preference": 10},
        {"host": place.ip(), "port": 6126, "preference": 20},
    ]);
    let relay = Relay::start(&place, Config::new(&place).set("/tenants/0/primary/hosts", hosts));
    for number in 1..=3 {
        relay.session().mail(&Mail::to("bob@example.org")).expect(250);
        second.wait_count(number, LONG);
    }
    relay.wait_empty(LONG);
    first.start();
    second.stop();
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    first.wait_count(1, LONG);
    relay.wait_empty(LONG);
}

#[test]
fn of_two_that_are_up_the_preferred_one_gets_it() {
    let place = Place::new();
    let first = ScriptedPrimary::up(&place);
    let mut second = ScriptedPrimary::at(place.at(6126));
    second.start();
    let hosts = json!([
        {"host": place.ip(), "port": 6126, "preference": 20},
        {"host": place.ip(), "port": place.primary().port(), "preference": 10},
    ]);
    let relay = Relay::start(&place, Config::new(&place).set("/tenants/0/primary/hosts", hosts));
    // The second may get something before the first has answered its first probe.
    let mut session = relay.session();
    wait_until("the first gets mail", LONG, || {
        session.mail(&Mail::to("bob@example.org")).expect(250);
        relay.wait_empty(LONG);
        first.count() > 0
    });
    // Several sessions at once: none of them may be one with the second that happens to be open.
    let (before, others) = (first.count(), second.count());
    for _ in 0..50 {
        session.mail(&Mail::to("bob@example.org")).expect(250);
    }
    first.wait_count(before + 50, LONG);
    assert_eq!(second.count(), others);
}
