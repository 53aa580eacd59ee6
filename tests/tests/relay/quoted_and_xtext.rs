//! Quoted local parts and xtext are passed on as they came, and never become commands.

use backupmx_tests::{Config, LONG, Mail, Place, Relay, ScriptedPrimary};

#[test]
fn what_is_valid_is_passed_on_unchanged() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.session();
    session.command(r#"MAIL FROM:<"al> ice \" x"@sender.test> RET=HDRS ENVID=QQ314159+2B+20x"#).expect(250);
    session
        .command(r#"RCPT TO:<"b> ob"@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;b+20ob+40example.org"#)
        .expect(250);
    let mail = Mail::to("bob@example.org");
    session.data(&mail.wire()).expect(250);
    let received = primary.wait_count(1, LONG).remove(0);
    assert_eq!(received.from, r#""al> ice \" x"@sender.test"#);
    assert_eq!(received.to, [r#""b> ob"@example.org"#]);
    for parameter in ["RET=HDRS", "ENVID=QQ314159+2B+20x"] {
        assert!(received.mail_parameters.contains(parameter), "{}", received.mail_parameters);
    }
    let parameters = received.rcpt_parameters[0].to_ascii_uppercase();
    assert!(parameters.contains("NOTIFY=FAILURE,DELAY"), "{parameters}");
    assert!(received.rcpt_parameters[0].contains("ORCPT=rfc822;b+20ob+40example.org"), "{parameters}");
}

#[test]
fn what_would_inject_is_refused() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.session();
    for mail in [
        "MAIL FROM:<alice@sender.test> ENVID=a+0D+0ARCPT+20TO",
        "MAIL FROM:<alice@sender.test> ENVID=a+0",
        "MAIL FROM:<alice@sender.test> ENVID=a+zz",
        "MAIL FROM:<alice@sender.test> ENVID=",
        "MAIL FROM:<alice@sender.test> UNKNOWN=1",
        "MAIL FROM:<al ice@sender.test>",
        "MAIL FROM:<alice@sender.test",
    ] {
        let reply = session.command(mail);
        assert_eq!(reply.code / 100, 5, "{mail}: {reply:?}");
    }
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    for recipient in [
        "RCPT TO:<>",
        "RCPT TO:<bob>",
        "RCPT TO:<bob@>",
        r#"RCPT TO:<"unclosed@example.org>"#,
        "RCPT TO:<bob@example.org> ORCPT=rfc822;a+0D+0AX",
        "RCPT TO:<bob@example.org> NOTIFY=NEVER,FAILURE",
    ] {
        let reply = session.command(recipient);
        assert_eq!(reply.code / 100, 5, "{recipient}: {reply:?}");
    }
    session.command("RCPT TO:<bob@example.org>").expect(250);
}

#[test]
fn local_parts_that_the_primary_might_route_on_are_refused() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.session();
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    for local in [r#""victim@other.test""#, "victim%other.test", "other.test!victim", r#""a!b""#, r#""a%b""#] {
        session.command(&format!("RCPT TO:<{local}@example.org>")).expect_text(550, "5.7.1");
    }
}
