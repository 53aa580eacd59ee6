//! A message over the limit is refused for good, by its declared size or by its content.

use backupmx_tests::{Config, LONG, Mail, Place, Relay, ScriptedPrimary};

#[test]
fn by_size_and_by_content() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let config = Config::new(&place)
        .set("/limits/messageSize", "1Mi")
        .set("/limits/streamAbove", "64Ki")
        .set("/tenants/0/acceptance/maxMessageSize", "512Ki");
    let relay = Relay::start(&place, config);
    let mut session = relay.connect();
    let offered = session.command("EHLO client.sender.test").expect(250).text;
    assert!(offered.lines().any(|line| line == "SIZE 1048576"), "{offered}");

    session.command("MAIL FROM:<alice@sender.test> SIZE=1048577").expect_text(552, "5.3.4");
    session.command("MAIL FROM:<alice@sender.test> SIZE=600000").expect(250);
    session.command("RCPT TO:<bob@example.org>").expect_text(552, "5.3.4");
    session.command("RSET").expect(250);

    // Past the tenant's limit, and past the relay's, whether it is kept in memory or streamed.
    for kibibytes in [600, 3000] {
        let mail = Mail::to("bob@example.org").with_body(&[&[b'x'; 62][..], b"\r\n"].concat().repeat(kibibytes * 16));
        session.mail(&mail).expect_text(552, "5.3.4");
    }
    let mail = Mail::to("bob@example.org").with_body(&[&[b'x'; 62][..], b"\r\n"].concat().repeat(400 * 16));
    session.mail(&mail).expect(250);
    let received = primary.wait_count(1, LONG).remove(0);
    backupmx_tests::same_content(&received.content, &mail.content);
    relay.wait_empty(LONG);
}
