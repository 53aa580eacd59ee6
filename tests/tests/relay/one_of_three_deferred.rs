//! A 4xx for one recipient of three holds the message for that one only.

use backupmx_tests::{Answer, Config, LONG, Mail, Place, Relay, SHORT, ScriptedPrimary, Step, wait_until};

#[test]
fn the_others_get_it_once() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    primary.script(|step, _| match step {
        Step::Rcpt("full@example.org") => Answer::reply("452 4.2.2 mailbox full"),
        _ => Answer::Normal,
    });
    let relay = Relay::start(&place, Config::new(&place));
    let mail = Mail::to("a@example.org").and_to("full@example.org").and_to("c@example.org");
    relay.session().mail(&mail).expect(250);
    let first = primary.wait_count(1, SHORT).remove(0);
    assert_eq!(first.to, ["a@example.org", "c@example.org"]);
    wait_until("the recipients' outcomes are known", SHORT, || {
        let page = relay.admin().get("/v1/queue").unwrap().json();
        let outcomes: Vec<_> = page["messages"][0]["recipients"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|recipient| recipient["outcome"].as_str().unwrap_or_default().to_owned())
            .collect();
        outcomes == ["Delivered", "Pending", "Delivered"]
    });

    primary.behave();
    assert!(relay.command(&["queue", "flush", "--all"]).ok);
    let second = primary.wait_count(2, LONG).remove(1);
    assert_eq!(second.to, ["full@example.org"]);
    relay.wait_empty(LONG);
}
