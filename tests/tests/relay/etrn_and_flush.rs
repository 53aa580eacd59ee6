//! ETRN and the flush verb hand the mail over at once, long before the next try is due.

use std::time::Duration;

use backupmx_relay_config::status::PrimaryState;
use backupmx_tests::{Config, LONG, Mail, Place, Relay, ScriptedPrimary};

fn held_with_a_far_retry(place: &Place) -> (ScriptedPrimary, Relay) {
    let primary = ScriptedPrimary::down(place);
    let config = Config::new(place)
        .set("/tenants/0/delivery/retry/min", "10m")
        .set("/tenants/0/delivery/retry/max", "10m")
        .and_tenant("second", "example.net");
    let relay = Relay::start(place, config);
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    relay.wait_primary(PrimaryState::Down);
    (primary, relay)
}

#[test]
fn etrn() {
    let place = Place::new();
    let (mut primary, relay) = held_with_a_far_retry(&place);
    primary.start();
    let mut session = relay.session();
    let ours = session.command("ETRN example.org");
    assert_eq!(ours.code / 100, 2, "{ours:?}");
    primary.wait_count(1, LONG);
    // Whoever asks learns nothing of whose mail is held here.
    let others = session.command("ETRN elsewhere.test");
    assert_eq!(others.code, ours.code);
    assert_eq!(others.text.replace("elsewhere.test", "example.org"), ours.text);
}

#[test]
fn etrn_over_and_over_probes_no_more_often() {
    let place = Place::new();
    let (primary, relay) = held_with_a_far_retry(&place);
    let mut counting = ScriptedPrimary::at(place.primary());
    drop(primary);
    counting.script(|_, _| backupmx_tests::Answer::reply("421 4.3.2 not yet"));
    counting.start();
    let mut session = relay.session();
    for _ in 0..20 {
        let reply = session.command("ETRN example.org");
        assert_eq!(reply.code / 100, 2, "{reply:?}");
    }
    backupmx_tests::stays("one probe is made", Duration::from_secs(3), || counting.connections() <= 1);
    assert_eq!(counting.connections(), 1);
}

#[test]
fn flush() {
    let place = Place::new();
    let (mut primary, relay) = held_with_a_far_retry(&place);
    primary.start();
    let output = relay.command(&["queue", "flush", "example.org"]);
    assert!(output.ok, "{}", output.text);
    primary.wait_count(1, LONG);
}
