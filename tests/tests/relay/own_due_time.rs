//! A message that was put off by a primary that is up waits for its own time, and holds up no other.

use std::time::Duration;

use backupmx_tests::{Answer, Config, LONG, Mail, Place, Relay, SHORT, ScriptedPrimary, Step, stays, wait_until};
use serde_json::Value;

/// The first message in the queue, as the API shows it.
fn first(relay: &Relay) -> Value {
    relay.admin().get("/v1/queue").unwrap().json()["messages"][0].clone()
}

#[test]
fn it_is_left_alone_and_delivered_in_the_end() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    primary.script(|step, _| match step {
        Step::Rcpt("full@example.org") => Answer::reply("452 4.2.2 mailbox full"),
        _ => Answer::Normal,
    });
    let mut relay = Relay::start(&place, Config::new(&place));
    relay.session().mail(&Mail::to("full@example.org")).expect(250);
    wait_until("the message has its own due time", SHORT, || first(&relay)["due"].is_string());
    let tried = primary.transactions();
    stays("it is left alone", Duration::from_secs(2), || primary.transactions() == tried);
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    primary.wait_count(1, SHORT);
    // The primary has it before the relay's own record of that is on the disk.
    relay.wait_held(1);

    // A primary that a new process meets for the first time is tried with all mail; what was learned is not forgotten.
    relay.kill();
    relay.start_again();
    assert!(first(&relay)["attempts"].as_u64() >= Some(1), "{}", first(&relay));
    assert_eq!(relay.held(), 1, "what was delivered does not come back");
    // A try that is under way when a flush comes sets the next due time after it.
    wait_until("it was tried again", SHORT, || {
        let message = first(&relay);
        message["attempts"].as_u64() >= Some(2) && message["busy"] == false
    });
    primary.behave();
    assert!(relay.command(&["queue", "flush"]).ok);
    assert_eq!(primary.wait_count(2, LONG)[1].to, ["full@example.org"]);
    relay.wait_empty(LONG);
}
