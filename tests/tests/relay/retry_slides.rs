//! A primary that is down is tried less and less often, from `retry.min` to `retry.max`.

use std::time::Duration;

use backupmx_tests::{Answer, Config, LONG, Mail, Place, Relay, ScriptedPrimary, wait_until};

#[test]
fn from_min_to_max() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    primary.script(|_, _| Answer::reply("421 4.3.2 not today"));
    let config =
        Config::new(&place).set("/tenants/0/delivery/retry/min", "1s").set("/tenants/0/delivery/retry/max", "4s");
    let relay = Relay::start(&place, config);
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    wait_until("it was tried eight times", LONG, || primary.connections() >= 8);
    let visits = primary.visits();
    let gaps: Vec<_> = visits.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let last = gaps[gaps.len() - 1];
    assert!(last > Duration::from_millis(2500) && last < Duration::from_millis(6000), "in the end every 4 s: {gaps:?}");
    // The first tries may come in quick succession: one suspects, the next decides.
    assert!(
        gaps[1..].iter().all(|gap| *gap >= Duration::from_millis(600)),
        "no more often than every second: {gaps:?}"
    );
}
