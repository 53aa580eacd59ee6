//! A message that was put off by a primary that is up waits for its own time, over a restart too, and holds up no other.

use std::time::Duration;

use backupmx_tests::{Answer, Config, LONG, Mail, Place, Relay, SHORT, ScriptedPrimary, Step, stays, wait_until};

fn due(relay: &Relay) -> Option<String> {
    let page = relay.admin().get("/v1/queue").unwrap().json();
    page["messages"][0]["due"].as_str().map(str::to_owned)
}

#[test]
fn it_outlives_a_restart() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    primary.script(|step, _| match step {
        Step::Rcpt("full@example.org") => Answer::reply("452 4.2.2 mailbox full"),
        _ => Answer::Normal,
    });
    let mut relay = Relay::start(&place, Config::new(&place));
    relay.session().mail(&Mail::to("full@example.org")).expect(250);
    wait_until("the message has its own due time", SHORT, || due(&relay).is_some());
    let before = due(&relay);

    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    primary.wait_count(1, SHORT);
    relay.kill();
    relay.start_again();
    assert_eq!(due(&relay), before);
    let tried = primary.transactions();
    stays("it is left alone", Duration::from_secs(2), || primary.transactions() == tried);

    // A primary that was down and comes back gets it at once, whatever its time.
    primary.behave();
    assert!(relay.command(&["queue", "flush"]).ok);
    primary.wait_count(2, LONG);
    relay.wait_empty(LONG);
}
