//! `kill -9` at any instant loses nothing that was answered 250, and nothing comes again that was on disk as delivered.

use std::{thread, time::Duration};

use backupmx_tests::{Config, LONG, Place, Relay, ScriptedPrimary};

use crate::{
    common::{Load, each_came_once, wait_all_delivered},
    deliveries::Deliveries,
};

const KILLS: usize = 50;

/// Different from run to run; shown where the test fails, so that it can be thought about.
#[expect(clippy::print_stdout, reason = "a test's output is shown where it fails")]
fn random_pause() -> Duration {
    let pause = Duration::from_millis(u64::from(rand::random::<u8>()) / 2);
    println!("{pause:?}");
    pause
}

/// Kills the relay after a while and starts it again; every third time it is killed once more while it starts, which is
/// when it reads its log, cuts what was not acknowledged, and begins a segment.
fn kill(relay: &mut Relay, round: usize) {
    thread::sleep(random_pause());
    relay.kill();
    if round % 3 == 2 {
        relay.begin_again();
        thread::sleep(random_pause() / 4);
        relay.kill();
    }
    relay.start_again();
}

#[test]
fn nothing_is_lost_while_the_primary_takes_mail() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::up(&place);
    // Small segments: kills also hit their sealing, rewriting and removal.
    let mut relay = Relay::start(&place, Config::new(&place).set("/spool/segmentSize", "1Mi"));
    let load = Load::start(&place, 4, 50);
    for round in 0..KILLS {
        kill(&mut relay, round);
        if round % 5 == 4 {
            primary.stop();
            primary.start();
        }
    }
    let taken = load.finish();
    assert!(taken.len() > KILLS, "only {} messages were taken: this shows little", taken.len());
    wait_all_delivered(&primary, &taken, LONG);
    relay.wait_empty(LONG);
    Deliveries::read(&relay.log()).only_what_was_not_on_disk_comes_again(&primary);
}

#[test]
fn nothing_is_lost_while_the_primary_is_down() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let mut relay = Relay::start(&place, Config::new(&place).set("/spool/segmentSize", "1Mi"));
    let load = Load::start(&place, 4, 50);
    for round in 0..KILLS {
        kill(&mut relay, round);
    }
    let taken = load.finish();
    assert!(taken.len() > KILLS, "only {} messages were taken: this shows little", taken.len());
    primary.start();
    wait_all_delivered(&primary, &taken, LONG);
    relay.wait_empty(LONG);
    each_came_once(&primary);
}
