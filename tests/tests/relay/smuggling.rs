//! Bare LF and bare CR never end a message (SMTP smuggling): such a message is refused, and what follows in it is not
//! taken for commands.

use std::time::Duration;

use backupmx_tests::{Config, Place, Relay, ScriptedPrimary, Smtp, stays};

/// Each would be taken for the end of a message by some server.
const ENDS: [(&str, &[u8]); 8] = [
    ("LF.LF", b"\n.\n"),
    ("LF.CRLF", b"\n.\r\n"),
    ("CR.CR", b"\r.\r"),
    ("CR.CRLF", b"\r.\r\n"),
    ("LF.CR", b"\n.\r"),
    ("CRLF.LF", b"\r\n.\n"),
    ("CRLF.CR", b"\r\n.\r"),
    ("CRLF.CRCRLF", b"\r\n.\r\r\n"),
];

const SMUGGLED: &[u8] =
    b"MAIL FROM:<evil@sender.test>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n";

fn attempt(session: &mut Smtp, end: &[u8], split: bool, name: &str) {
    session.envelope("alice@sender.test", &["bob@example.org"]);
    session.command("DATA").expect(354);
    session.send(b"Subject: outer\r\n\r\nbody");
    if split {
        let octets: Vec<&[u8]> = end.chunks(1).collect();
        session.send_split(&octets);
    } else {
        session.send(end);
    }
    session.send(SMUGGLED);
    let reply = session.reply();
    assert_eq!(reply.code / 100, 5, "{name}: {reply:?}");
    // Were the rest taken for commands, their replies would come here, or a 503.
    session.command("NOOP").expect(250);
}

#[test]
fn no_message_is_taken_and_the_session_stays_in_step() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place));
    for split in [false, true] {
        for (name, end) in ENDS {
            attempt(&mut relay.session(), end, split, name);
        }
    }
    stays("nothing reaches the primary", Duration::from_millis(500), || primary.count() == 0);
    assert_eq!(relay.held(), 0);
}

#[test]
fn a_dot_is_stuffed_and_unstuffed_over_any_split() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.session();
    session.envelope("alice@sender.test", &["bob@example.org"]);
    session.command("DATA").expect(354);
    session.send_split(&[b"Subject: x\r", b"\n\r\n.", b".\r", b"\n..x\r\n", b"\r", b"\n", b".", b"\r", b"\n"]);
    session.reply().expect(250);
    let received = primary.wait_count(1, backupmx_tests::SHORT).remove(0);
    backupmx_tests::same_content(&received.content, b"Subject: x\r\n\r\n.\r\n.x\r\n\r\n");
}

#[test]
fn a_bare_line_end_in_a_command_is_no_line_end() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    for line in ["NOOP\nNOOP", "NOOP\rNOOP", "MAIL FROM:<a@sender.test>\nRCPT TO:<bob@example.org>"] {
        let mut session = relay.session();
        let reply = session.command(line);
        assert_eq!(reply.code / 100, 5, "{line:?}: {reply:?}");
        session.command("NOOP").expect(250);
    }
}
