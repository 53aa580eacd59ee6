//! A stranger cannot relay: a domain that is not ours is refused, always.

use backupmx_tests::{Config, Place, Relay, ScriptedPrimary};

#[test]
fn it_is_refused_for_good() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place));
    for recipient in [
        "bob@elsewhere.test",
        "bob@sub.example.org",
        "bob@example.org.elsewhere.test",
        "bob@xexample.org",
        "bob@org",
        "postmaster@elsewhere.test",
    ] {
        let mut session = relay.session();
        session.command("MAIL FROM:<alice@example.org>").expect(250);
        session.command(&format!("RCPT TO:<{recipient}>")).expect_text(550, "5.7.1");
        // RFC 5321 3.3 allows either.
        let reply = session.command("DATA");
        assert!(matches!(reply.code, 503 | 554), "{reply:?}");
    }
    assert_eq!((relay.held(), primary.count()), (0, 0));
}

#[test]
fn an_address_literal_is_no_domain_of_ours() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.session();
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    let reply = session.command("RCPT TO:<bob@[127.0.0.1]>");
    assert_eq!(reply.code / 100, 5, "{reply:?}");
}

#[test]
fn case_and_ascii_form_do_not_matter() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place).set("/tenants/0/domains/-", "bücher.test"));
    let mut session = relay.session();
    session.command("MAIL FROM:<alice@sender.test> SMTPUTF8").expect(250);
    for recipient in ["bob@EXAMPLE.Org", "bob@xn--bcher-kva.test", "bob@bücher.test"] {
        session.command(&format!("RCPT TO:<{recipient}>")).expect(250);
    }
}
