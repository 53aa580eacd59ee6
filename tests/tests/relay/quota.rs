//! A tenant that holds its share is put off; others are not.

use backupmx_tests::{Config, LONG, Mail, Place, Relay, ScriptedPrimary};

fn code(relay: &Relay, recipient: &str) -> u16 {
    let mut session = relay.session();
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    session.command(&format!("RCPT TO:<{recipient}>")).code
}

#[test]
fn messages() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let config = Config::new(&place).and_tenant("second", "example.net").set("/tenants/0/quota/messages", 3);
    let relay = Relay::start(&place, config);
    for _ in 0..3 {
        relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    }
    assert_eq!(code(&relay, "bob@example.org"), 452);
    assert_eq!(code(&relay, "bob@example.net"), 250);
    primary.start();
    primary.wait_count(3, LONG);
    relay.wait_empty(LONG);
    assert_eq!(code(&relay, "bob@example.org"), 250);
}

#[test]
fn a_message_for_two_of_its_domains_is_one_message() {
    let place = Place::new();
    let _primary = ScriptedPrimary::down(&place);
    let config = Config::new(&place)
        .set("/tenants/0/domains", vec!["example.org", "example.net"])
        .set("/tenants/0/quota/messages", 2);
    let relay = Relay::start(&place, config);
    for answer in [250, 452] {
        relay.session().mail(&Mail::to("bob@example.org").and_to("bob@example.net")).expect(250);
        assert_eq!(code(&relay, "bob@example.org"), answer);
    }
}

#[test]
fn bytes() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place).set("/tenants/0/quota/size", "8Ki"));
    let mail = Mail::to("bob@example.org").with_body(&b"0123456789\r\n".repeat(800));
    relay.session().mail(&mail).expect(250);
    assert_eq!(code(&relay, "bob@example.org"), 452);
}
