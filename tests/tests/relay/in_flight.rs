//! What is coming in is counted until it is held: a relay that was told to take no more, and reports neither, is empty
//! for good.

use backupmx_relay_config::status::RelayStatus;
use backupmx_tests::{Config, LONG, Mail, Place, Relay, SHORT, ScriptedPrimary, Smtp, stays, wait_until};

use crate::common::Load;

/// The counts in flight, of all and of the tenant, and what is held.
fn counts(status: &RelayStatus) -> (u64, u64, u64) {
    let tenant = status.tenants[0].in_flight;
    (status.in_flight.expect("it says"), tenant.expect("it says"), status.queue.messages)
}

/// A session that has begun a message, and what is left of it.
fn begin(relay: &Relay, mail: &Mail) -> (Smtp, Vec<u8>) {
    let mut session = relay.session();
    session.envelope("alice@sender.test", &["bob@example.org"]);
    session.command("DATA").expect(354);
    let mut wire = mail.wire();
    let rest = wire.split_off(wire.len() / 2);
    session.send(&wire);
    (session, rest)
}

#[test]
fn a_message_begun_before_the_door_was_shut_is_counted_and_then_held() {
    let place = Place::new();
    let mut relay = Relay::start(&place, Config::new(&place));
    assert_eq!(counts(&relay.status()), (0, 0, 0));
    let (mut by_data, rest) = begin(&relay, &Mail::to("bob@example.org"));
    let mut by_chunks = relay.session();
    by_chunks.envelope("alice@sender.test", &["bob@example.org"]);
    by_chunks.send(b"BDAT 4\r\nA: b");
    by_chunks.reply().expect(250);
    assert_eq!(counts(&relay.status()), (2, 2, 0));

    relay.change_config(Config::new(&place).set("/tenants/0/accept", "Defer"));
    assert_eq!(counts(&relay.status()), (2, 2, 0), "they go on under the config that they were begun under");
    let mut late = relay.session();
    late.command("MAIL FROM:<alice@sender.test>").expect(250);
    late.command("RCPT TO:<bob@example.org>").expect(451);
    assert_eq!(counts(&relay.status()), (2, 2, 0), "what is put off is not in flight");

    by_data.send(&rest);
    by_data.reply().expect(250);
    assert_eq!(counts(&relay.status()), (1, 1, 1));
    by_chunks.send(b"BDAT 4 LAST\r\n\r\n\r\n");
    by_chunks.reply().expect(250);
    assert_eq!(counts(&relay.status()), (0, 0, 2));
}

#[test]
fn a_message_that_never_comes_is_not_waited_for() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place).and_tenant("second", "example.net"));
    let (cut_off, _) = begin(&relay, &Mail::to("bob@example.org"));
    let mut reset = relay.session();
    reset.envelope("alice@sender.test", &["bob@example.net"]);
    let status = relay.status();
    assert_eq!(counts(&status), (2, 1, 0));
    assert_eq!(status.tenants[1].in_flight, Some(1));
    reset.command("RSET").expect(250);
    assert_eq!(counts(&relay.status()), (1, 1, 0));
    cut_off.drop_connection();
    wait_until("the loss of the connection is noticed", SHORT, || counts(&relay.status()) == (0, 0, 0));
}

#[test]
fn an_empty_relay_behind_a_shut_door_stays_empty() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place));
    let put = |revision: u64, accept: &str| {
        let document = Config::new(&place).set("/revision", revision).set("/tenants/0/accept", accept);
        assert_eq!(relay.admin().put("/v1/config", &document.yaml()).status, 200);
    };
    let load = Load::start(&place, 4, 5);
    for round in 1..=10 {
        let (open, shut) = (2 * round, 2 * round + 1);
        put(open, "Active");
        let before = primary.count();
        wait_until("mail goes through it", LONG, || primary.count() >= before + 20);
        put(shut, "Defer");
        wait_until("it reports itself empty", LONG, || {
            let status = relay.status();
            status.config_revision >= shut && counts(&status) == (0, 0, 0)
        });
        let delivered = primary.count();
        stays("nothing more comes out of it", std::time::Duration::from_millis(100), || {
            primary.count() == delivered && relay.status().queue.messages == 0
        });
    }
    load.finish();
}
