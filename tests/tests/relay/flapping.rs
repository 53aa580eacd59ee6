//! A primary that comes and goes all the time gets its mail all the same.

use std::{
    thread,
    time::{Duration, Instant},
};

use backupmx_tests::{Config, LONG, Place, Relay, ScriptedPrimary};

use crate::common::{Load, duplicates_are_explained, wait_all_delivered};

#[test]
fn everything_arrives_and_only_cut_answers_make_it_arrive_twice() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let relay = Relay::start(&place, Config::new(&place));
    let load = Load::start(&place, 2, 20);
    let mut faults = Vec::new();
    for round in 0..8 {
        primary.start();
        thread::sleep(Duration::from_millis(300 + 150 * (round % 4)));
        faults.push(Instant::now());
        primary.stop();
        faults.push(Instant::now());
        thread::sleep(Duration::from_millis(100 * (round % 3)));
    }
    let taken = load.finish();
    primary.start();
    wait_all_delivered(&primary, &taken, LONG);
    relay.wait_empty(LONG);
    duplicates_are_explained(&primary, &faults, Duration::from_millis(200));
}
