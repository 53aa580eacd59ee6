//! How long each step of handing mail over may take is for the config to say; what takes longer is tried again.

use backupmx_tests::{Answer, Config, LONG, Mail, Place, Relay, ScriptedPrimary, Step, wait_until};

#[test]
fn a_primary_that_hangs_is_left_after_the_time_that_the_config_gives() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let relay = Relay::start(&place, Config::new(&place).set("/timeouts/recipient", "1s"));
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    primary.script(|step, visit| match step {
        Step::Rcpt(_) if visit.transaction == 0 => Answer::Hang,
        _ => Answer::Normal,
    });
    primary.start();
    // With what RFC 5321 asks for that would be five minutes.
    primary.wait_count(1, LONG);
    wait_until("the log says why", LONG, || relay.log().contains("lost at RCPT: no answer in 1 s"));
    relay.wait_empty(LONG);
}
