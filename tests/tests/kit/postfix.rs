//! A Postfix of our own takes mail as a primary and sends it on as a sender.

use backupmx_tests::{LONG, Mail, Place, Postfix, Role, ScriptedPrimary, Smtp, wait_until};

#[test]
fn as_a_primary_it_fills_a_mailbox_and_refuses_an_unknown_user() {
    let place = Place::new();
    let mut postfix = Postfix::start(&place, place.primary(), Role::Primary);
    let mail = Mail::to("bob@example.org");
    let mut session = Smtp::session(place.primary());
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    session.command("RCPT TO:<nosuch@example.org>").expect(550);
    session.command("RSET").expect(250);
    session.mail(&mail).expect(250);
    wait_until("Postfix has put it in the mailbox", LONG, || postfix.count() == 1);
    assert!(String::from_utf8_lossy(&postfix.mailbox()[0]).contains(&mail.id()));
    postfix.stop();
    assert!(Smtp::try_open(place.primary()).is_err());
}

#[test]
fn as_a_sender_it_tries_until_the_next_server_takes_the_mail() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let postfix = Postfix::start(&place, place.at(6027), Role::Sender(place.primary()));
    Smtp::session(postfix.address()).mail(&Mail::to("bob@example.org")).expect(250);
    wait_until("Postfix has queued it", LONG, || postfix.queued() == 1);
    primary.start();
    primary.wait_count(1, LONG);
    wait_until("Postfix' queue is empty", LONG, || postfix.queued() == 0);
}
