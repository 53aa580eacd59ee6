//! Mail to the bare postmaster is taken and has an address.

use backupmx_tests::{Config, LONG, Mail, Place, Relay, ScriptedPrimary};

#[test]
fn it_goes_to_the_first_domain() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place));
    relay.session().mail(&Mail::to("Postmaster")).expect(250);
    assert_eq!(primary.wait_count(1, LONG)[0].to[0].to_ascii_lowercase(), "postmaster@example.org");
}

#[test]
fn or_to_the_configured_address() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place).set("/postmaster", "mail.team@example.org"));
    relay.session().mail(&Mail::to("postmaster")).expect(250);
    assert_eq!(primary.wait_count(1, LONG)[0].to, ["mail.team@example.org"]);
}

#[test]
fn with_a_list_of_recipients_it_is_taken_all_the_same() {
    let place = Place::new();
    let config = Config::new(&place)
        .set("/tenants/0/acceptance/recipients/mode", "List")
        .set("/tenants/0/acceptance/recipients/list", vec!["info", "bob@example.org"]);
    let relay = Relay::start(&place, config);
    let mut session = relay.session();
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    for recipient in ["INFO@example.org", "bob@example.org", "postmaster@example.org", "postmaster"] {
        session.command(&format!("RCPT TO:<{recipient}>")).expect(250);
    }
    session.command("RCPT TO:<eve@example.org>").expect_text(550, "5.1.1");
}
