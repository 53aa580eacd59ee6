//! A sender is told once that the mail is late.

use std::time::Duration;

use backupmx_tests::{LONG, Mail, Place, Relay, ScriptedPrimary, stays};

use crate::common::{Senders, reporting};

#[test]
fn once_and_the_mail_stays() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let mut primary = ScriptedPrimary::down(&place);
    let relay = Relay::start(&place, reporting(&place).set("/tenants/0/hold/warnSenderAfter", "1s"));
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    relay.session().mail(&Mail::to("bob@example.org").from("alice@forged.test")).expect(250);
    let text = String::from_utf8_lossy(&senders.one_report().content).to_lowercase();
    assert!(text.contains("action: delayed"), "{text}");
    stays("there is one warning only", Duration::from_secs(3), || senders.mx.count() == 1);
    assert_eq!(relay.held(), 2);
    primary.start();
    primary.wait_count(2, LONG);
    relay.wait_empty(LONG);
    assert_eq!(senders.mx.count(), 1);
}
