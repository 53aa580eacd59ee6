//! A resolver that does not answer delays the taking of mail by nothing, and the end of the program no more; delivery
//! waits for it.

use std::time::{Duration, Instant};

use backupmx_tests::{Config, Dns, LONG, Mail, Mode, Place, Relay, ScriptedPrimary, results, wait_until};

// A look-up that nobody answers takes 5 s and more: were even a second of it waited for, so many messages would take
// longer than they may.

#[test]
fn mail_is_taken_at_once_and_delivered_when_it_answers() {
    let place = Place::new();
    let dns = Dns::start(&place, &format!("mail.example.org. 1 IN CNAME host.test.\nhost.test. 1 IN A {}", place.ip()));
    dns.set_mode(Mode::Silent);
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place).set("/tenants/0/primary/hosts/0/host", "mail.example.org"));
    let start = Instant::now();
    let mut session = relay.session();
    for number in 0..100 {
        session.mail(&Mail::to(&format!("user{number}@example.org"))).expect(250);
    }
    assert!(
        start.elapsed() < LONG,
        "taking 100 messages took {:?}, as if look-ups had been waited for",
        start.elapsed()
    );
    assert_eq!(primary.count(), 0);
    dns.set_mode(Mode::Answer);
    primary.wait_count(100, LONG);
    relay.wait_empty(LONG);
}

#[test]
fn clients_that_are_looked_up_hold_up_nothing_and_nothing_is_made_up_of_them() {
    let place = Place::new();
    let dns = Dns::start(&place, "");
    dns.set_mode(Mode::Silent);
    let mut primary = ScriptedPrimary::down(&place);
    let config = Config::new(&place).set("/resolver/allowPrivate", vec!["127.0.0.0/8"]);
    let mut relay = Relay::start(&place, config);
    let start = Instant::now();
    let mut session = relay.session();
    for number in 0..100 {
        session.mail(&Mail::to("bob@example.org").from(&format!("alice@sender{number}.test"))).expect(250);
    }
    assert!(
        start.elapsed() < LONG,
        "taking 100 messages took {:?}, as if look-ups had been waited for",
        start.elapsed()
    );
    wait_until("the name server is asked", LONG, || dns.questions() > 0);

    let exit = relay.stop();
    assert!(exit.status.success() && exit.took < Duration::from_secs(10), "{exit:?}");
    relay.start_again();
    assert_eq!(relay.held(), 100);
    primary.start();
    for received in primary.wait_count(100, LONG) {
        // The machine's own list of hosts may name the client; of what DNS would have said nothing is known.
        let found = results(&received.content);
        let known = found.strip_prefix("mx1.backup.test; ").unwrap_or_default();
        assert!(known == "none" || (known.starts_with("iprev=pass") && !known.contains("spf=")), "{found}");
    }
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
