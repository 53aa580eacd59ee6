//! A primary that greylists is up: its 4.7.x changes no state, and the mail is taken at the next try.

use std::collections::HashSet;

use backupmx_relay_config::status::PrimaryState;
use backupmx_tests::{Answer, Config, LONG, Mail, Place, Relay, SHORT, ScriptedPrimary, Step, wait_until};
use parking_lot::Mutex;

#[test]
fn it_stays_up_and_gets_the_mail_at_the_next_try() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let seen: Mutex<HashSet<String>> = Mutex::default();
    primary.script(move |step, _| match step {
        Step::Rcpt(recipient) if seen.lock().insert((*recipient).to_owned()) => {
            Answer::reply("450 4.7.1 greylisted, try again later")
        }
        _ => Answer::Normal,
    });
    let relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.session();
    for number in 0..12 {
        let mail = Mail::to(&format!("user{number}@example.org")).from(&format!("sender{number}@sender.test"));
        session.mail(&mail).expect(250);
    }
    wait_until("each message was tried", SHORT, || primary.transactions() >= 12);
    wait_until("each message has its own due time", SHORT, || {
        let page = relay.admin().get("/v1/queue").unwrap().json();
        let messages = page["messages"].as_array().unwrap();
        messages.len() == 12 && messages.iter().all(|message| message["due"].is_string())
    });
    assert_eq!(relay.primary_state(), PrimaryState::Up);
    assert_eq!(primary.count(), 0);

    let output = relay.command(&["queue", "flush", "example.org"]);
    assert!(output.ok, "{}", output.text);
    primary.wait_count(12, LONG);
    relay.wait_empty(LONG);
}
