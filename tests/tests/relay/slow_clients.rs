//! A thousand clients that dribble octets do not keep real mail out.

use std::time::{Duration, Instant};

use backupmx_tests::{Config, LONG, Mail, Place, Relay, SHORT, ScriptedPrimary, Smtp};

const CLIENTS: usize = 1000;

#[test]
fn real_mail_goes_through() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let config = Config::new(&place)
        .set("/limits/connections", 1500)
        .set("/limits/connectionsPerAddress", 1500)
        .set("/limits/connectionsPerNetwork", 1500);
    let relay = Relay::start(&place, config);
    let mut clients: Vec<_> = (0..CLIENTS)
        .map(|_| Smtp::try_open(place.smtp()).expect("a connection; ./tests/run raises the limit of open files"))
        .collect();
    let dribble = |clients: &mut Vec<Smtp>, octet: u8| {
        for client in clients {
            client.try_send(&[octet]).expect("a slow client is not thrown out");
        }
    };
    let mut slowest = Duration::ZERO;
    let mut session = relay.session();
    for octet in b"EHLO slow.sender.test".iter().chain(b"xxxxxxxxx") {
        dribble(&mut clients, *octet);
        let start = Instant::now();
        session.mail(&Mail::to("bob@example.org")).expect(250);
        slowest = slowest.max(start.elapsed());
    }
    assert!(slowest < SHORT, "a message took {slowest:?}");
    primary.wait_count(30, LONG);
    let open = relay.metric("backupmx_connections").unwrap_or_default();
    assert!(open >= CLIENTS as f64, "only {open} connections are open");
    // Each of them is still served.
    for client in &mut clients {
        client.send(b"\r\n");
    }
    for client in &mut clients {
        client.reply().expect(220);
        client.reply().expect(250);
    }
}

#[test]
fn a_silent_client_is_told_goodbye() {
    let place = Place::new();
    let relay =
        Relay::start(&place, Config::new(&place).set("/limits/commandTimeout", "1s").set("/limits/dataTimeout", "1s"));
    let mut silent = relay.session();
    silent.reply().expect(421);
    assert!(silent.is_closed(LONG));

    let mut silent_in_data = relay.session();
    silent_in_data.envelope("alice@sender.test", &["bob@example.org"]);
    silent_in_data.command("DATA").expect(354);
    silent_in_data.send(b"Subject: half a mess");
    silent_in_data.reply().expect(421);
    assert_eq!(relay.held(), 0, "half a message is none");
}

#[test]
fn a_session_ends_in_time_however_busy_it_looks() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place).set("/limits/sessionTimeout", "2s"));
    let mut session = relay.session();
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < LONG, "the session goes on for ever");
        session.send(b"NOOP\r\n");
        if session.reply().code == 421 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(start.elapsed() >= Duration::from_millis(1500), "too early: {:?}", start.elapsed());
}
