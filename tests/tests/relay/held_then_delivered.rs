//! While the primary is down its mail is held; when it is back it gets every message, byte for byte.

use backupmx_tests::{Config, LONG, Mail, Place, Relay, ScriptedPrimary, same_content};

fn messages() -> Vec<Mail> {
    let body = |octets: &[u8]| Mail::to("bob@example.org").with_body(octets);
    let every_octet: Vec<u8> = (0..=255_u8).filter(|octet| !b"\r\n\0".contains(octet)).collect();
    vec![
        body(b""),
        body(b".\r\n..\r\n.a\r\n...\r\n"),
        body(&[every_octet.as_slice(), b"\r\n"].concat()),
        body(&[&[b'x'; 998][..], b"\r\n"].concat()),
        body(&[&[b'y'; 60_000][..], b"\r\n"].concat()),
        body(&b".0123456789 a line of a message that is streamed to a file of its own\r\n".repeat(60_000)),
        body("trailing spaces   \r\n\ttabs\t\r\n\r\n\r\n".as_bytes()),
        Mail::to("bob@example.org").and_to("eve@example.org").and_to("Carol.Smith+tag@example.org"),
        Mail { content: b"no header at all\r\n".to_vec(), ..Mail::to("bob@example.org") },
        Mail { content: b"\r\n".to_vec(), ..Mail::to("bob@example.org") },
    ]
}

#[test]
fn byte_for_byte() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let relay = Relay::start(&place, Config::new(&place).set("/tenants/0/delivery/maxConnections", 1));
    let messages = messages();
    let mut session = relay.session();
    for mail in &messages {
        session.mail(mail).expect_text(250, "2.");
    }
    relay.wait_held(messages.len() as u64);

    primary.start();
    let received = primary.wait_count(messages.len(), LONG);
    relay.wait_empty(LONG);
    for (arrived, sent) in received.iter().zip(&messages) {
        same_content(&arrived.content, &sent.content);
        assert_eq!((&arrived.from, &arrived.to), (&sent.from, &sent.to));
    }
}

#[test]
fn held_mail_outlives_a_restart() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let mut relay = Relay::start(&place, Config::new(&place));
    let messages = messages();
    let mut session = relay.session();
    for mail in &messages {
        session.mail(mail).expect(250);
    }
    let exit = relay.stop();
    assert!(exit.status.success(), "{exit:?}");
    relay.start_again();
    relay.wait_held(messages.len() as u64);
    primary.start();
    primary.wait_count(messages.len(), LONG);
    relay.wait_empty(LONG);
}

#[test]
fn mail_for_a_primary_that_is_up_goes_through() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place));
    let mail = Mail::to("bob@example.org");
    relay.session().mail(&mail).expect(250);
    same_content(&primary.wait_count(1, LONG)[0].content, &mail.content);
    relay.wait_empty(LONG);
}
