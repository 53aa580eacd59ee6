//! `kill -9` at any instant loses nothing that was answered 250.

use std::{
    thread,
    time::{Duration, Instant},
};

use backupmx_tests::{Config, LONG, Place, Relay, ScriptedPrimary};

use crate::common::{Load, duplicates_are_explained, wait_all_delivered};

const KILLS: usize = 50;

/// How long after an arrival a kill may still explain that it comes again: the primary's answer is on its way, or it was
/// read and its record is not durable yet (at most 100 ms); the rest is for a machine that is busy.
const UNRECORDED: Duration = Duration::from_millis(400);

/// Different from run to run, and shown, so that it can be thought about.
fn random_pause() -> Duration {
    Duration::from_millis(u64::from(rand::random::<u8>()) / 2)
}

fn kill_over_and_over(primary: &mut ScriptedPrimary, primary_flaps: bool, place: &Place) {
    // Small segments: kills also hit their sealing, rewriting and removal.
    let mut relay = Relay::start(place, Config::new(place).set("/spool/segmentSize", "1Mi"));
    let load = Load::start(place, 4, 50);
    let mut faults = Vec::new();
    for round in 0..KILLS {
        thread::sleep(random_pause());
        relay.kill();
        faults.push(Instant::now());
        relay.start_again();
        if primary_flaps && round % 5 == 4 {
            primary.stop();
            faults.push(Instant::now());
            primary.start();
        }
    }
    let taken = load.finish();
    assert!(taken.len() > KILLS, "only {} messages were taken: this shows little", taken.len());
    wait_all_delivered(primary, &taken, LONG);
    relay.wait_empty(LONG);
    duplicates_are_explained(primary, &faults, UNRECORDED);
}

#[test]
fn nothing_is_lost_while_the_primary_takes_mail() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::up(&place);
    kill_over_and_over(&mut primary, true, &place);
}

#[test]
fn nothing_is_lost_while_the_primary_is_down() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let mut relay = Relay::start(&place, Config::new(&place).set("/spool/segmentSize", "1Mi"));
    let load = Load::start(&place, 4, 50);
    for _ in 0..KILLS {
        thread::sleep(random_pause());
        relay.kill();
        relay.start_again();
    }
    let taken = load.finish();
    primary.start();
    wait_all_delivered(&primary, &taken, LONG);
    relay.wait_empty(LONG);
    duplicates_are_explained(&primary, &[], UNRECORDED);
}
