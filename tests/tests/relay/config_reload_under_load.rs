//! A changed config takes effect at once and drops no session; a bad one changes nothing and is reported.

use backupmx_tests::{Config, LONG, Mail, Place, Relay, SHORT, ScriptedPrimary, wait_until};
use rustix::process::Signal;

use crate::common::{Load, each_came_once, wait_all_delivered};

fn code(relay: &Relay, recipient: &str) -> u16 {
    let mut session = relay.session();
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    session.command(&format!("RCPT TO:<{recipient}>")).code
}

#[test]
fn sessions_and_mail_survive_twenty_changes() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let mut relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.session();
    let load = Load::start(&place, 3, 20);
    for revision in 1..=20 {
        let domain = format!("new{revision}.test");
        relay.write_config(Config::new(&place).set("/revision", revision).and_tenant("second", &domain));
        if revision % 2 == 0 {
            relay.signal(Signal::HUP);
        }
        wait_until("the new tenant is served", SHORT, || code(&relay, &format!("x@{domain}")) == 250);
        assert_eq!(relay.status().config_revision, revision);
        // The session that was there before goes on, with the new config.
        session.mail(&Mail::to("bob@example.org")).expect(250);
    }
    assert_eq!(code(&relay, "x@new1.test"), 550, "a domain that is gone is not ours");
    let taken = load.finish();
    wait_all_delivered(&primary, &taken, LONG);
    relay.wait_empty(LONG);
    each_came_once(&primary);
}

#[test]
fn a_bad_file_keeps_the_old_config() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let good = Config::new(&place).yaml();
    relay.write_config_text(&good.replace("maxAge", "maxAgee").replace("hold: {}", "hold: {maxAgee: 7d}"));
    wait_until("the refusal is reported", SHORT, || relay.status().config_error.is_some());
    let error = relay.status().config_error.unwrap();
    assert!(error.contains("tenants[0].hold") && error.contains("line "), "{error}");
    assert_eq!(relay.metric("backupmx_config_refused_total"), Some(1.0));
    assert_eq!(code(&relay, "bob@example.org"), 250);

    relay.write_config_text(&good);
    wait_until("the refusal is over", SHORT, || relay.status().config_error.is_none());
}

#[test]
fn a_file_with_a_lower_revision_is_reported_too() {
    let place = Place::new();
    let mut relay = Relay::start(&place, Config::new(&place).set("/revision", 5));
    relay.write_config(Config::new(&place).set("/revision", 4).and_tenant("second", "new.test"));
    wait_until("the refusal is reported", SHORT, || relay.status().config_error.is_some());
    let error = relay.status().config_error.unwrap();
    assert!(error.contains("revision 4 is not higher than 5"), "{error}");
    assert_eq!(relay.metric("backupmx_config_error"), Some(1.0));
    assert_eq!(code(&relay, "x@new.test"), 550);

    relay.write_config(Config::new(&place).set("/revision", 6).and_tenant("second", "new.test"));
    wait_until("the refusal is over", SHORT, || relay.status().config_error.is_none());
    assert_eq!(code(&relay, "x@new.test"), 250);
}

#[test]
fn over_the_api_the_revision_must_rise() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place).set("/revision", 5));
    let with = |revision: u64| Config::new(&place).set("/revision", revision).and_tenant("second", "new.test").yaml();
    let answer = relay.admin().put("/v1/config", &with(5));
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert_eq!(code(&relay, "x@new.test"), 550);
    let answer = relay.admin().put("/v1/config", &with(6));
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(code(&relay, "x@new.test"), 250);
    assert_eq!(relay.status().config_revision, 6);
    let answer = relay.admin().put("/v1/config", &with(6));
    assert_eq!(
        (answer.status, answer.json()["revision"].as_u64()),
        (200, Some(6)),
        "what is in force can be put again"
    );
    let other = Config::new(&place).set("/revision", 6).and_tenant("second", "other.test").yaml();
    let answer = relay.admin().put("/v1/config", &other);
    assert_eq!(answer.status, 409, "two that differ may not have one revision: {}", answer.body);
    let answer = relay.admin().put("/v1/config", "contractVersion: 1\nhostnme: x\n");
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(answer.body.contains("hostnme"), "{}", answer.body);
    assert_eq!(code(&relay, "x@new.test"), 250);
}
