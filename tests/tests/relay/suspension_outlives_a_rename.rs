//! A person's suspension is of the mail, not of a tenant's name: another name, and a restart, change nothing.

use std::time::Duration;

use backupmx_relay_config::status::PrimaryState;
use backupmx_tests::{Config, LONG, Mail, Place, Relay, ScriptedPrimary, stays};

#[test]
fn by_a_new_config_and_by_a_restart() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let config = Config::new(&place);
    let mut relay = Relay::start(&place, config.clone());
    assert!(relay.command(&["queue", "suspend", "example.org"]).ok);
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    let held = |relay: &Relay, name: &str| {
        let status = relay.status();
        assert_eq!(status.tenants[0].name, name);
        status.tenants[0].suspended && status.queue.messages == 1 && primary.count() == 0
    };
    relay.change_config(config.clone().set("/tenants/0/name", "renamed"));
    relay.wait_primary(PrimaryState::Recovering);
    stays("it is held under another name", Duration::from_secs(2), || held(&relay, "renamed"));

    relay.stop();
    relay.write_config(config.set("/tenants/0/name", "again"));
    relay.start_again();
    relay.wait_primary(PrimaryState::Recovering);
    stays("it is held after a restart", Duration::from_secs(2), || held(&relay, "again"));

    assert!(relay.command(&["queue", "resume", "again"]).ok);
    primary.wait_count(1, LONG);
    relay.wait_empty(LONG);
    assert!(!relay.status().tenants[0].suspended);
}
