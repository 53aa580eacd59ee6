//! A longer hold by arrangement: no mail expires before `extendUntil`, and taking it away ends that at once.

use std::time::Duration;

use backupmx_tests::{LONG, Mail, Place, Relay, ScriptedPrimary, stays};

use crate::common::{Senders, reporting};

#[test]
fn nothing_expires_before_it() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let _primary = ScriptedPrimary::down(&place);
    let config = reporting(&place).set("/tenants/0/hold/maxAge", "1s");
    let mut relay = Relay::start(&place, config.clone().set("/tenants/0/hold/extendUntil", "2999-01-01T00:00:00Z"));
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    stays("the mail is held", Duration::from_secs(4), || relay.held() == 1);
    assert_eq!(senders.mx.count(), 0);

    relay.write_config(config);
    relay.signal(rustix::process::Signal::HUP);
    senders.one_report();
    relay.wait_empty(LONG);
}
