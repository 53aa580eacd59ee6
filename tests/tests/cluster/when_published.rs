//! `activation: WhenPublished`: the relay answers 451 until its MX records are seen at the zone's own servers.

use serde_json::json;

use crate::stage::Stage;

#[test]
fn mail_is_taken_when_the_records_are_out() {
    let stage = Stage::new("activation");
    let domain = stage.domain().to_owned();
    // A person's records are in the way at first.
    stage.zones.set(&domain, &domain, "MX", &[&format!("5 mail.{domain}.")]);
    stage.apply(&json!({"acceptance": {"activation": "WhenPublished"}, "dns": {"mode": "Manual"}}));
    stage.wait_reason("RelaysReady", "True", "AllReady");
    let relay = stage.smtp("a");
    stage.wait_answer(relay, &stage.recipient(), 451);
    let address = relay.ip().to_string();
    stage.zones.set(&domain, &stage.hostname("a"), "A", &[&address]);
    stage.zones.set(&domain, &domain, "MX", &[&format!("10 mail.{domain}."), &format!("20 mx1.{domain}.")]);
    stage.wait_answer(relay, &stage.recipient(), 250);
}
