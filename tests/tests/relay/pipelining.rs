//! Commands that come in one packet are answered one by one, in order.

use backupmx_tests::{Config, LONG, Mail, Place, Relay, SHORT, ScriptedPrimary};

#[test]
fn what_is_offered_is_what_works() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let offered = relay.connect().command("EHLO client.sender.test").expect(250).text;
    let words: Vec<_> = offered.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
    for word in ["PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "STARTTLS", "ENHANCEDSTATUSCODES", "DSN", "ETRN"] {
        assert!(words.contains(&word), "{word} is missing in {offered}");
    }
    for word in ["BINARYMIME", "REQUIRETLS", "AUTH", "VRFY"] {
        assert!(!words.contains(&word), "{word} is offered: {offered}");
    }
}

#[test]
fn a_whole_session_in_one_packet() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place));
    let first = Mail::to("bob@example.org").with_body(b".\r\nRCPT TO:<eve@elsewhere.test>\r\n");
    let second = Mail::to("eve@example.org");
    let envelope = |mail: &Mail| format!("MAIL FROM:<{}>\r\nRCPT TO:<{}>\r\nDATA\r\n", mail.from, mail.to[0]);
    let octets = [
        b"EHLO client.sender.test\r\n".as_slice(),
        envelope(&first).as_bytes(),
        &first.wire(),
        envelope(&second).as_bytes(),
        &second.wire(),
        b"NOOP\r\nQUIT\r\n",
    ]
    .concat();
    let mut session = relay.connect();
    session.send(&octets);
    let codes: Vec<_> = (0..11).map(|_| session.reply().code).collect();
    assert_eq!(codes, [250, 250, 250, 354, 250, 250, 250, 354, 250, 250, 221]);
    assert!(session.is_closed(SHORT));
    let received = primary.wait_count(2, LONG);
    let content = |mail: &Mail| received.iter().find(|arrived| arrived.id() == mail.id()).unwrap().content.clone();
    backupmx_tests::same_content(&content(&first), &first.content);
    backupmx_tests::same_content(&content(&second), &second.content);
}

#[test]
fn data_without_a_recipient_is_refused_before_its_content() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.session();
    session.send(b"MAIL FROM:<alice@sender.test>\r\nRCPT TO:<bob@elsewhere.test>\r\nDATA\r\nNOOP\r\n");
    session.reply().expect(250);
    session.reply().expect(550);
    let data = session.reply();
    assert!(matches!(data.code, 503 | 554), "{data:?}");
    session.reply().expect(250);
}

#[test]
fn commands_out_of_order_are_503() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.connect();
    session.command("MAIL FROM:<alice@sender.test>").expect(503);
    session.command("EHLO client.sender.test").expect(250);
    session.command("RCPT TO:<bob@example.org>").expect(503);
    session.command("DATA").expect(503);
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    session.command("MAIL FROM:<alice@sender.test>").expect(503);
    session.command("RSET").expect(250);
    session.command("RCPT TO:<bob@example.org>").expect(503);
    session.command("VRFY bob").expect(252);
    session.command("EXPN list").expect(502);
    session.command("HELP").expect(214);
    session.command("QUIT").expect(221);
}

#[test]
fn helo_does_for_the_old() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.connect();
    assert_eq!(session.command("HELO old.sender.test").expect(250).text.lines().count(), 1);
    session.mail(&Mail::to("bob@example.org")).expect(250);
    let trace = String::from_utf8_lossy(&primary.wait_count(1, LONG)[0].content).into_owned();
    assert!(trace.contains("old.sender.test") && trace.contains("with SMTP"), "{trace}");
}
