//! When its hold time is over, mail goes back to its sender.

use backupmx_tests::{LONG, Mail, Place, Relay, ScriptedPrimary, wait_until};

use crate::common::{Senders, reporting};

#[test]
fn the_sender_is_told() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let _primary = ScriptedPrimary::down(&place);
    let relay = Relay::start(&place, reporting(&place).set("/tenants/0/hold/maxAge", "2s"));
    let mail = Mail::to("bob@example.org");
    relay.session().mail(&mail).expect(250);
    let text = String::from_utf8_lossy(&senders.one_report().content).into_owned();
    assert!(text.contains("4.4.7") && text.contains(&mail.id()), "{text}");
    relay.wait_empty(LONG);
    assert_eq!(relay.metric("backupmx_messages_expired_total{tenant=\"example\"}"), Some(1.0));
}

#[test]
fn a_forged_sender_is_not() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let _primary = ScriptedPrimary::down(&place);
    let relay = Relay::start(&place, reporting(&place).set("/tenants/0/hold/maxAge", "2s"));
    relay.session().mail(&Mail::to("bob@example.org").from("alice@forged.test")).expect(250);
    wait_until("it is parked", LONG, || relay.status().tenants[0].queue.parked == 1);
    let list = relay.command(&["queue", "list", "--state", "parked"]).out;
    assert!(list.contains("bob@example.org"), "{list}");
    let id = list.split_whitespace().find(|word| word.len() == 11).expect("an id");
    let shown = relay.command(&["queue", "show", id]).out;
    assert!(shown.contains("its sender may be forged (SPF: Fail)"), "{shown}");
    assert!(!shown.contains("(over)"), "it is kept a day, so that a person sees it: {shown}");
    assert_eq!(senders.mx.connections(), 0);
}
