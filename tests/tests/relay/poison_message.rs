//! A message that makes the primary drop the session holds up no other mail, and the primary is not hammered with it.

use std::time::Duration;

use backupmx_tests::{Answer, Config, LONG, Mail, Place, Relay, ScriptedPrimary, Step, stays};

fn poison(fault: Answer) {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    primary.script(move |step, _| match step {
        Step::Mail(arguments) if arguments.contains("poison@") => fault.clone(),
        _ => Answer::Normal,
    });
    let relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.session();
    session.mail(&Mail::to("bob@example.org").from("poison@sender.test")).expect(250);
    for number in 0..20 {
        session.mail(&Mail::to(&format!("user{number}@example.org"))).expect(250);
    }
    primary.wait_count(20, LONG);
    let visits = primary.connections();
    stays("the primary is left alone", Duration::from_secs(4), || primary.connections() <= visits + 8);
    assert_eq!(relay.held(), 1);
    primary.behave();
    assert!(relay.command(&["queue", "flush", "--all"]).ok);
    primary.wait_count(21, LONG);
    relay.wait_empty(LONG);
}

#[test]
fn that_cuts_the_connection() {
    poison(Answer::Cut);
}

#[test]
fn that_is_answered_421() {
    poison(Answer::reply("421 4.3.0 I fell over"));
}
