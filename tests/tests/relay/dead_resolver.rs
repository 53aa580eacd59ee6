//! A resolver that does not answer delays the taking of mail by nothing; delivery waits for it.

use std::time::{Duration, Instant};

use backupmx_tests::{Config, Dns, LONG, Mail, Mode, Place, Relay, ScriptedPrimary};

#[test]
fn mail_is_taken_at_once_and_delivered_when_it_answers() {
    let place = Place::new();
    let dns = Dns::start(&place, &format!("mail.example.org. 1 IN CNAME host.test.\nhost.test. 1 IN A {}", place.ip()));
    dns.set_mode(Mode::Silent);
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place).set("/tenants/0/primary/hosts/0/host", "mail.example.org"));
    let start = Instant::now();
    let mut session = relay.session();
    for number in 0..20 {
        session.mail(&Mail::to(&format!("user{number}@example.org"))).expect(250);
    }
    assert!(start.elapsed() < Duration::from_secs(3), "taking 20 messages took {:?}", start.elapsed());
    assert_eq!(primary.count(), 0);
    dns.set_mode(Mode::Answer);
    primary.wait_count(20, LONG);
    relay.wait_empty(LONG);
}

#[test]
fn a_servfail_is_no_reason_to_give_up() {
    let place = Place::new();
    let dns = Dns::start(&place, &format!("mail.example.org. 1 IN A {}", place.ip()));
    dns.set_mode(Mode::ServFail);
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place).set("/tenants/0/primary/hosts/0/host", "mail.example.org"));
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    relay.wait_primary(backupmx_relay_config::status::PrimaryState::Down);
    let status = relay.status();
    assert!(status.tenants[0].primary.last_error.is_some(), "the status says why: {status:?}");
    dns.set_mode(Mode::Answer);
    primary.wait_count(1, LONG);
}
