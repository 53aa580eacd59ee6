//! What is pipelined before the TLS handshake is thrown away, and TLS works.

use backupmx_tests::{Config, Mail, Place, Relay, SHORT, ScriptedPrimary};

#[test]
fn commands_before_the_handshake_are_not_carried_over() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.session();
    session.send(b"STARTTLS\r\nMAIL FROM:<evil@sender.test>\r\nRCPT TO:<bob@example.org>\r\n");
    session.reply().expect(220);
    let mut session = session.tls();
    // The first reply in TLS is the one to the first command in TLS.
    let offered = session.command("EHLO client.sender.test").expect(250).text;
    assert!(offered.contains("PIPELINING"), "{offered}");
    assert!(!offered.contains("STARTTLS"), "{offered}");
    session.command("RCPT TO:<bob@example.org>").expect(503);
}

#[test]
fn mail_goes_through_tls() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.session().start_tls();
    session.command("MAIL FROM:<alice@sender.test>").expect(503);
    session.command("EHLO client.sender.test").expect(250);
    session.mail(&Mail::to("bob@example.org")).expect(250);
    let received = primary.wait_count(1, SHORT).remove(0);
    let trace = String::from_utf8_lossy(&received.content).lines().take(4).collect::<Vec<_>>().join(" ");
    assert!(trace.contains("ESMTPS") && trace.contains("client.sender.test"), "{trace}");
    session.command("STARTTLS").expect(503);
}
