//! The scripted primary takes mail as a server does, and fails as it is told.

use backupmx_tests::{Answer, Mail, Place, SHORT, ScriptedPrimary, Smtp, Step, smtp_source, swaks};

#[test]
fn it_takes_mail_byte_for_byte() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let mail = Mail::to("bob@example.org").and_to("eve@example.org").with_body(b".\r\n..\r\n8-bit \xe4\xff\r\n");
    Smtp::session(place.primary()).mail(&mail).expect(250);
    let received = primary.wait_count(1, SHORT).remove(0);
    assert_eq!(received.content, mail.content);
    assert_eq!(received.to, mail.to);
    assert_eq!(received.id(), mail.id());
}

#[test]
fn it_does_what_its_script_says() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    primary.script(|step, visit| match step {
        Step::Rcpt("eve@example.org") => Answer::reply("550 5.1.1 no such user"),
        Step::Dot(_) if visit.transaction == 0 => Answer::Cut,
        _ => Answer::Normal,
    });
    let mut session = Smtp::session(place.primary());
    assert!(session.try_mail(&Mail::to("bob@example.org")).is_err(), "the first reply to the dot is cut off");
    let mut session = Smtp::session(place.primary());
    session.command("MAIL FROM:<>").expect(250);
    session.command("RCPT TO:<eve@example.org>").expect_text(550, "5.1.1");
    session.mail(&Mail::to("bob@example.org")).expect(250);
    assert_eq!(primary.wait_count(2, SHORT).len(), 2, "what was cut off had been taken");
}

#[test]
fn it_goes_down_and_comes_up_on_the_same_port() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::up(&place);
    let mut session = Smtp::session(place.primary());
    primary.stop();
    assert!(session.is_closed(SHORT));
    assert!(Smtp::try_open(place.primary()).is_err());
    primary.start();
    Smtp::session(place.primary()).mail(&Mail::to("bob@example.org")).expect(250);
    assert_eq!((primary.count(), primary.connections()), (1, 2));
}

#[test]
fn other_peoples_programs_agree_with_it() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let output = smtp_source(place.primary(), &["-m", "20", "-s", "4", "-t", "bob@example.org"]);
    assert!(output.ok, "{}", output.text);
    let output = swaks(place.primary(), &["--to", "bob@example.org", "--from", "alice@sender.test"]);
    assert!(output.ok, "{}", output.text);
    primary.wait_count(21, SHORT);
}
