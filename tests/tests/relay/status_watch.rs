//! Who waits for a status to change is answered when it does.

use std::{thread, time::Duration};

use backupmx_relay_config::status::{PrimaryState, RelayStatus};
use backupmx_tests::{Config, Mail, Place, Relay, ScriptedPrimary, stays};

/// Asks to be told of a change, for longer than a test waits.
fn watch(relay: &Relay) -> thread::JoinHandle<RelayStatus> {
    let since = relay.status().generation.expect("a relay can wait");
    let admin = relay.admin();
    thread::spawn(move || {
        let answer = admin.get(&format!("/v1/status?since={since}&wait=18s")).expect("it answers");
        let status: RelayStatus = serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}"));
        assert_ne!(status.generation, Some(since), "nothing has changed");
        status
    })
}

#[test]
fn a_queue_that_comes_and_goes_and_a_primary_that_falls() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place));
    relay.wait_primary(PrimaryState::Up);
    let quiet = watch(&relay);
    // What goes straight through is no news.
    let mut session = relay.session();
    for _ in 0..20 {
        session.mail(&Mail::to("bob@example.org")).expect(250);
    }
    primary.wait_count(20, backupmx_tests::LONG);
    stays("nothing is told", Duration::from_secs(1), || !quiet.is_finished());

    primary.stop();
    // Its last answer is believed for a minute; a person who asks does not wait for that.
    assert!(relay.command(&["queue", "flush"]).ok);
    assert_ne!(quiet.join().unwrap().tenants[0].primary.state, PrimaryState::Up);
    relay.wait_primary(PrimaryState::Down);

    let held = watch(&relay);
    session.mail(&Mail::to("bob@example.org")).expect(250);
    let status = held.join().unwrap();
    assert_eq!((status.queue.messages, status.tenants[0].queue.messages), (1, 1));

    let gone = watch(&relay);
    primary.start();
    gone.join().unwrap();
    relay.wait_empty(backupmx_tests::LONG);
}
