//! Debian's Postfix is the sender, with pipelining and TLS, and a second Postfix the primary.

use backupmx_tests::{Config, LONG, Place, Postfix, Relay, Role, smtp_source, wait_until};

#[test]
fn its_mail_reaches_the_primary_when_that_is_back() {
    let place = Place::new();
    let mut primary = Postfix::make(&place, place.primary(), Role::Primary);
    let relay = Relay::start(&place, Config::new(&place));
    let sender = Postfix::start(&place, place.at(6027), Role::Sender(place.smtp()));
    let output = smtp_source(
        sender.address(),
        &["-m", "50", "-s", "5", "-l", "4096", "-f", "alice@sender.test", "-t", "bob@example.org"],
    );
    assert!(output.ok, "{}", output.text);
    relay.wait_held(50);
    wait_until("the sender's queue is empty", LONG, || sender.queued() == 0);
    primary.start_again();
    wait_until("the primary has it all", LONG, || primary.count() == 50);
    relay.wait_empty(LONG);
    let stored = primary.mailbox().remove(0);
    let text = String::from_utf8_lossy(&stored).into_owned();
    assert!(text.contains("by mx1.backup.test") && text.contains("mail.sender.test"), "{text}");
}
