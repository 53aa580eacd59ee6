//! A primary that comes and goes all the time gets its mail all the same.

use std::{thread, time::Duration};

use backupmx_tests::{Config, LONG, Place, Relay, ScriptedPrimary};

use crate::{
    common::{Load, wait_all_delivered},
    deliveries::Deliveries,
};

#[test]
fn everything_arrives_and_only_cut_answers_make_it_arrive_twice() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let relay = Relay::start(&place, Config::new(&place));
    let load = Load::start(&place, 2, 20);
    for round in 0..8 {
        primary.start();
        thread::sleep(Duration::from_millis(300 + 150 * (round % 4)));
        primary.stop();
        thread::sleep(Duration::from_millis(100 * (round % 3)));
    }
    let taken = load.finish();
    primary.start();
    wait_all_delivered(&primary, &taken, LONG);
    relay.wait_empty(LONG);
    Deliveries::read(&relay.log()).only_what_was_not_on_disk_comes_again(&primary);
}
