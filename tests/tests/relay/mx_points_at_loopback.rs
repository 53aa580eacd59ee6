//! A sender's MX record must not point us into our own network.

use std::time::Duration;

use backupmx_tests::{Answer, LONG, Mail, Place, Relay, ScriptedPrimary, Step, stays, wait_until};

use crate::common::{Senders, reporting, settle};

#[test]
fn a_report_is_not_sent_there() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let primary = ScriptedPrimary::up(&place);
    let config = reporting(&place).set("/resolver/allowPrivate", Vec::<String>::new());
    let relay = Relay::start(&place, config);
    settle(&relay, &primary);
    primary.script(|step, _| match step {
        Step::Rcpt(_) => Answer::reply("550 5.1.1 no such user"),
        _ => Answer::Normal,
    });
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    wait_until("the sender was to be told", LONG, || {
        relay.metric("backupmx_messages_bounced_total{tenant=\"example\"}") == Some(1.0)
    });
    wait_until("the report is given up, and that is counted", LONG, || {
        relay.metric("backupmx_messages_removed_total{reason=\"report_undeliverable\"}") == Some(1.0)
    });
    assert_eq!(relay.held(), 0);
    stays("nobody connects to loopback", Duration::from_secs(3), || senders.mx.connections() == 0);
}
