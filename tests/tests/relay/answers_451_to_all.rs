//! A primary that greets well and answers 4.3.x to all mail (its store is dead) is seen as such, and gets all its mail
//! when it recovers; nobody's mail bounces.

use std::time::Duration;

use backupmx_relay_config::status::PrimaryState;
use backupmx_tests::{Answer, Config, LONG, Mail, Place, Relay, ScriptedPrimary, Step, stays};

#[test]
fn it_is_deferring_then_gets_everything() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    primary.script(|step, _| match step {
        Step::Rcpt(_) => Answer::reply("451 4.3.0 mail store is not available"),
        _ => Answer::Normal,
    });
    let relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.session();
    for number in 0..15 {
        session.mail(&Mail::to("bob@example.org").from(&format!("sender{number}@sender.test"))).expect(250);
    }
    relay.wait_primary(PrimaryState::Deferring);

    // One message is the probe; the others are not thrown at it.
    let tried = primary.transactions();
    stays("at most one message a second is tried", Duration::from_secs(3), || primary.transactions() <= tried + 6);
    assert_eq!(relay.held(), 15);

    primary.behave();
    primary.wait_count(15, LONG);
    relay.wait_empty(LONG);
}
