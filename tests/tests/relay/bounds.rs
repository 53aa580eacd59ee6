//! Every bound on a client holds, and says so.

use std::process::Command;

use backupmx_tests::{Config, Mail, Place, Relay, SHORT, ScriptedPrimary, Smtp, run, wait_until};

#[test]
fn connections_from_one_address() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place).set("/limits/connectionsPerAddress", 3));
    wait_until("the connections of the start are over", SHORT, || relay.metric("backupmx_connections") == Some(0.0));
    let held: Vec<_> = (0..3).map(|_| relay.session()).collect();
    let mut refused = Smtp::open(place.smtp());
    refused.reply().expect(421);
    assert!(refused.is_closed(SHORT));
    drop(held);
    wait_until("there is room again", SHORT, || Smtp::open(place.smtp()).reply().code == 220);
}

#[test]
fn refused_recipients() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.session();
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    for number in 1..10 {
        session.command(&format!("RCPT TO:<user{number}@elsewhere.test>")).expect(550);
    }
    let last = session.command("RCPT TO:<user10@elsewhere.test>");
    if last.code != 421 {
        last.expect(550);
        session.reply().expect(421);
    }
    assert!(session.is_closed(SHORT));
}

#[test]
fn unknown_commands() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place).set("/limits/errors", 5));
    let mut session = relay.session();
    for _ in 0..10 {
        let reply = session.command("GET / HTTP/1.1");
        if reply.code == 421 {
            assert!(session.is_closed(SHORT));
            return;
        }
        assert_eq!(reply.code / 100, 5, "{reply:?}");
    }
    panic!("ten unknown commands were let through");
}

#[test]
fn recipients_of_a_message() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place).set("/limits/recipients", 100));
    let mut session = relay.session();
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    for number in 0..100 {
        session.command(&format!("RCPT TO:<user{number}@example.org>")).expect(250);
    }
    session.command("RCPT TO:<one.more@example.org>").expect_text(452, "4.5.3");
    session.data(&Mail::to("bob@example.org").wire()).expect(250);
}

#[test]
fn messages_of_a_session() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place).set("/limits/messagesPerSession", 2));
    let mut session = relay.session();
    session.mail(&Mail::to("bob@example.org")).expect(250);
    session.mail(&Mail::to("bob@example.org")).expect(250);
    session.command("MAIL FROM:<alice@sender.test>").expect(421);
}

#[test]
fn length_of_lines() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place).set("/limits/textLine", 2000));
    let mut session = relay.session();
    session.command(&format!("NOOP {}", "x".repeat(3000))).expect(500);
    session.command("NOOP").expect(250);
    let long = Mail::to("bob@example.org").with_body(&[&[b'x'; 3000][..], b"\r\n"].concat());
    let reply = session.mail(&long);
    assert_eq!(reply.code / 100, 5, "{reply:?}");
    session.mail(&Mail::to("bob@example.org").with_body(&[&[b'x'; 1998][..], b"\r\n"].concat())).expect(250);
    primary.wait_count(1, SHORT);
}

#[test]
fn a_line_without_end_takes_no_memory() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let before = resident(&relay);
    let mut session = relay.session();
    // The relay may close at some point, which is as good.
    for _ in 0..256 {
        if session.try_send(&[b'x'; 256 << 10]).is_err() {
            break;
        }
    }
    let grown = resident(&relay).saturating_sub(before);
    assert!(grown < 16 << 20, "64 MiB without a line end took {} KiB", grown >> 10);
    relay.session().command("NOOP").expect(250);
}

/// The memory that the relay has in use, in bytes.
fn resident(relay: &Relay) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/statm", relay.id())).unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn open_files() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place).set("/limits/connectionsPerAddress", 500));
    let limit = run(Command::new("prlimit").args(["--nofile=80", "--pid", &relay.id().to_string()]));
    assert!(limit.ok, "{}", limit.text);
    let mut early = relay.session();
    let mut flood: Vec<_> = (0..200).map(|_| Smtp::open(place.smtp())).collect();
    flood.last_mut().unwrap().reply().expect(421);
    // The flood stands, and there are files left to store, to hand over and to administer.
    early.mail(&Mail::to("bob@example.org")).expect(250);
    primary.wait_count(1, SHORT);
    assert_eq!(relay.metric("backupmx_connections"), Some(40.0));
    assert!(!relay.log().contains("failed to accept"), "{}", relay.log());
    drop(flood);
    wait_until("mail is taken again", SHORT, || {
        Smtp::try_open(place.smtp()).and_then(|mut session| session.try_reply()).is_ok_and(|reply| reply.code == 220)
    });
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    assert!(relay.log().lines().count() < 2000, "the log is flooded");
}

#[test]
fn the_limit_on_open_files_is_raised_and_what_is_short_is_said() {
    let place = Place::new();
    let mut command = Command::new("prlimit");
    command.arg("--nofile=256:1000").arg(Relay::program());
    let relay = Relay::start_by(&place, Config::new(&place), &mut command);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", relay.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("1000"), "{line}");
    let warning = "limits.connections is 2000, but the limit on open files allows 750 only";
    assert!(relay.log().contains(warning), "{}", relay.log());
}
