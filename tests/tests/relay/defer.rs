//! Mail that is not to be taken now is put off with a 4xx, never refused.

use backupmx_relay_config::status::PrimaryState;
use backupmx_tests::{Config, Mail, Place, Relay, ScriptedPrimary};

fn code(relay: &Relay, recipient: &str) -> u16 {
    let mut session = relay.session();
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    session.command(&format!("RCPT TO:<{recipient}>")).code
}

#[test]
fn a_tenant_that_defers_answers_451() {
    let place = Place::new();
    let config = Config::new(&place).and_tenant("second", "example.net").set("/tenants/0/accept", "Defer");
    let relay = Relay::start(&place, config);
    assert_eq!(code(&relay, "bob@example.org"), 451);
    assert_eq!(code(&relay, "bob@example.net"), 250);
    assert_eq!(code(&relay, "bob@elsewhere.test"), 550);
}

#[test]
fn without_tenants_everything_is_put_off() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place).set("/tenants", Vec::<String>::new()));
    assert_eq!(code(&relay, "bob@example.org"), 451);
}

#[test]
fn while_the_primary_is_up_where_so_configured() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::up(&place);
    let config = Config::new(&place).set("/tenants/0/acceptance/whenPrimaryUp", "Defer");
    let relay = Relay::start(&place, config);
    relay.wait_primary(PrimaryState::Up);
    assert_eq!(code(&relay, "bob@example.org"), 451);
    primary.stop();
    // Its last answer is believed for a minute (`health::tests::probes`); a person who asks does not wait for that.
    assert!(relay.command(&["queue", "flush"]).ok);
    relay.wait_primary(PrimaryState::Down);
    assert_eq!(code(&relay, "bob@example.org"), 250);
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
}

#[test]
fn one_transaction_has_one_primary() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place).and_tenant("second", "example.net"));
    let mut session = relay.connect();
    let offered = session.command("EHLO client.sender.test").expect(250).text;
    assert!(offered.contains("RCPTDOMAINMAX=1"), "{offered}");
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    session.command("RCPT TO:<bob@example.org>").expect(250);
    session.command("RCPT TO:<bob@example.net>").expect_text(452, "4.5.3");
}
