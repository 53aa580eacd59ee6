//! What was delivered is on disk as such within 100 ms, so that a relay that dies then delivers it once.

use backupmx_tests::{Config, LONG, Place, Relay, ScriptedPrimary, wait_until};

use crate::{
    common::{Load, wait_all_delivered},
    deliveries::Deliveries,
};

const HELD: u64 = 300;
const BOUND_MS: i64 = 100;

#[test]
fn a_delivery_is_on_disk_within_100_ms_of_the_answer_while_mail_comes_in() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let relay = Relay::start(&place, Config::new(&place));
    let load = Load::start(&place, 4, 50);
    wait_until("enough is held", LONG, || relay.held() >= HELD);
    primary.start();
    let taken = load.finish();
    wait_all_delivered(&primary, &taken, LONG);
    relay.wait_empty(LONG);
    let took = Deliveries::read(&relay.log()).until_recorded();
    assert!(took <= BOUND_MS, "one in ten deliveries took {took} ms and more to be on disk");
}
