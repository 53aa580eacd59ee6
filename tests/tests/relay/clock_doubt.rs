//! While the wall clock is not believed nothing expires, over a restart too, until a person confirms it.

use backupmx_tests::{LONG, Mail, Place, Relay, ScriptedPrimary, wait_until};

use crate::common::{Senders, reporting};

const FAILED: &str = "backupmx_probes_total{tenant=\"example\",result=\"failed\"}";
const FAILED_SORTED: &str = "backupmx_probes_total{result=\"failed\",tenant=\"example\"}";

fn failed_probes(relay: &Relay) -> f64 {
    relay.metric(FAILED).or_else(|| relay.metric(FAILED_SORTED)).unwrap_or_default()
}

#[test]
fn nothing_expires_until_a_person_confirms() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let _primary = ScriptedPrimary::down(&place);
    let mut relay = Relay::start(&place, reporting(&place).set("/tenants/0/hold/maxAge", "3s"));
    let mail = Mail::to("bob@example.org");
    relay.session().mail(&mail).expect(250);
    relay.kill();
    // What a run that saw the clock jump leaves behind.
    std::fs::write(place.file("spool").join("clock-doubted"), "").unwrap();
    relay.start_again();
    assert!(relay.status().clock_jumped);
    // Probes that fail a second apart: five of them are past the hold time of three seconds.
    wait_until("probes have failed past the hold time", LONG, || failed_probes(&relay) >= 5.0);
    assert_eq!(relay.held(), 1);
    assert_eq!(senders.mx.connections(), 0);
    assert!(relay.command(&["queue", "resume", "--all"]).ok);
    let text = String::from_utf8_lossy(&senders.one_report().content).into_owned();
    assert!(text.contains(&mail.id()), "{text}");
    assert!(!relay.status().clock_jumped);
}
