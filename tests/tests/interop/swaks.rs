//! swaks, in the clear, in TLS, and with pipelining.

use backupmx_tests::{Config, LONG, Place, Relay, ScriptedPrimary, swaks};

#[test]
fn every_way_of_sending() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let _relay = Relay::start(&place, Config::new(&place));
    let ways: [&[&str]; 4] = [&[], &["--tls"], &["--pipeline"], &["--tls", "--pipeline", "--protocol", "ESMTP"]];
    for way in ways {
        let arguments = [&["--from", "alice@sender.test", "--to", "bob@example.org,eve@example.org"], way].concat();
        let output = swaks(place.smtp(), &arguments);
        assert!(output.ok, "{way:?}: {}", output.text);
    }
    primary.wait_count(ways.len(), LONG);
    let output = swaks(place.smtp(), &["--from", "alice@sender.test", "--to", "bob@elsewhere.test"]);
    assert!(!output.ok && output.text.contains("550 5.7.1"), "{}", output.text);
}
