//! What the API has put in force outlives the process, however late the file is: a relay that was told to take no more
//! mail takes none when it starts anew.

use backupmx_tests::{Config, Mail, Place, Relay, SHORT, wait_until};

/// The SHA-256 of nobody's token.
fn token(digit: &str) -> String {
    digit.repeat(64)
}

fn config(place: &Place, revision: u64, accept: &str) -> Config {
    Config::new(place)
        .set("/revision", revision)
        .set("/admin/api/address", place.at(8025).to_string())
        .set("/admin/api/tokenSha256", token("a"))
        .set("/tenants/0/accept", accept)
}

fn code(relay: &Relay) -> u16 {
    let mut session = relay.session();
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    session.command("RCPT TO:<bob@example.org>").code
}

#[test]
fn a_closed_relay_stays_closed() {
    let place = Place::new();
    let mut relay = Relay::start(&place, config(&place, 5, "Active"));
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    let answer = relay.admin().put("/v1/config", &config(&place, 6, "Defer").yaml());
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(relay.status().config_kept, Some(6), "it is durable before it is said to be in force");
    relay.kill();
    // The file is that of before.
    relay.start_again();
    assert_eq!(code(&relay), 451);
    let status = relay.status();
    assert_eq!((status.config_revision, status.config_kept, status.config_error), (6, Some(6), None));
    // The file comes, and then a later one.
    relay.write_config(config(&place, 6, "Defer"));
    relay.write_config(config(&place, 7, "Active"));
    wait_until("the later file counts", SHORT, || code(&relay) == 250);
    assert_eq!(relay.status().config_kept, Some(7));
}

#[test]
fn who_begins_to_count_anew_is_believed() {
    let place = Place::new();
    let mut relay = Relay::start(&place, config(&place, 5, "Defer"));
    assert_eq!(code(&relay), 451);
    relay.kill();
    // The same volume, in the hands of another.
    relay.write_config(config(&place, 1, "Active").set("/admin/api/tokenSha256", token("b")));
    relay.start_again();
    assert_eq!(code(&relay), 250);
    assert_eq!((relay.status().config_revision, relay.status().config_kept), (1, Some(1)));
}
