//! A storm of rejects goes on after a restart.

use backupmx_relay_config::status::PrimaryState;

use super::{super::*, bench::*};
use crate::schedule::Handover;

/// Another run of the program, `later` seconds after the storm was last noted.
fn restart(bench: &Bench, later: u64, withheld: &[&str]) -> Bench {
    let record = bench.health.storm_record(bench.now().moment).expect("a storm is on");
    let mut next = Bench { health: bench.health.clone(), second: bench.second + later };
    next.health = Health::in_storm_since_before(settings(), record, parties(withheld), next.now());
    next
}

const WITHHELD: [&str; 5] = ["a", "b", "c", "d", "e"];

#[test]
fn nothing_is_delivered_or_expires_and_refused_mail_is_tried() {
    let mut bench = restart(&Bench::storm(), 3600, &WITHHELD);
    assert_eq!((bench.health.handover(), bench.health.concurrency()), (Handover::Storm, 0));
    assert_eq!(bench.tick(), [Effect::Resolve]);
    let _ = bench.send(Event::Resolved(Ok(vec![listed(1)])));
    assert!(bench.send(Event::Probed(key(1), Ok(()))).contains(&Effect::RetryRefused { turn: 0 }));
    assert_eq!((bench.state(), bench.health.handover()), (PrimaryState::Recovering, Handover::Storm));
    let ended = [Effect::StormEnded(StormEnd::Accepted), Effect::RequeueWithheld, Effect::MakeDue(Reach::Waiting)];
    assert_eq!(bench.send(trial_accepted()), ended);
    assert_eq!(bench.health.storm_record(bench.now().moment), None);
}

#[test]
fn while_the_primary_is_down_too() {
    let mut bench = restart(&Bench::storm(), 3600, &WITHHELD);
    bench.round(&[1], &[]);
    assert_eq!((bench.state(), bench.health.handover()), (PrimaryState::Down, Handover::Storm));
    assert!(!bench.health.requeues_withheld());
}

#[test]
fn a_person_who_says_go_on_gets_on_after_a_restart_too() {
    let mut bench = restart(&Bench::storm(), 0, &WITHHELD);
    bench.round(&[1], &[1]);
    let _ = bench.send(Event::Resume);
    assert!(!bench.health.in_storm());
    let _ = bench.send(refused(&WITHHELD));
    assert!(!bench.health.in_storm(), "those were weighed before");
    let _ = bench.send(refused(&["f", "g", "h", "i", "j"]));
    assert!(bench.health.in_storm());
}

#[test]
fn a_storm_whose_mail_is_gone_is_over() {
    let mut bench = restart(&Bench::storm(), 0, &[]);
    bench.round(&[1], &[1]);
    assert!(bench.send(Event::NothingToTry).contains(&Effect::StormEnded(StormEnd::NothingHeld)));
}

#[test]
fn the_day_without_an_answer_goes_on_and_time_switched_off_does_not_count() {
    let mut bench = Bench::storm();
    let _ = bench.send(lost(Purpose::Ordinary));
    bench.answer(&[1], &[]);
    let (mut run, mut away) = (0, 0);
    while bench.health.in_storm() {
        // Each run lasts ten hours; the program is off for two days in between.
        let began = bench.second;
        while bench.health.in_storm() && bench.second < began + 10 * 3600 {
            bench.second = bench.wake();
            bench.round(&[1], &[]);
        }
        away += bench.second - began;
        run += 1;
        assert!(run <= 3, "it never ends");
        if bench.health.in_storm() {
            bench = restart(&bench, 48 * 3600, &WITHHELD);
            bench.round(&[1], &[]);
        }
    }
    assert_eq!(run, 3);
    // Up to a minute is lost at each restart, and a probe is at most five minutes late.
    assert!((24 * 3600..24 * 3600 + 600).contains(&away), "{away}");
}
