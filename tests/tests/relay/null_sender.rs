//! Reports of others (the null sender) are mail like any other.

use backupmx_tests::{Config, LONG, Mail, Place, Relay, ScriptedPrimary, same_content};

#[test]
fn it_is_taken_held_and_delivered() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let relay = Relay::start(&place, Config::new(&place));
    let mail = Mail::to("bob@example.org").from("");
    relay.session().mail(&mail).expect(250);
    relay.wait_held(1);
    primary.start();
    let received = primary.wait_count(1, LONG).remove(0);
    assert_eq!(received.from, "");
    same_content(&received.content, &mail.content);
}
