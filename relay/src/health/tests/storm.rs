use backupmx_relay_config::status::PrimaryState;

use super::{super::*, bench::*};
use crate::schedule::Handover;

fn began(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::StormBegan { .. }))
}

fn accept_each(bench: &mut Bench, recipients: &[&str]) {
    for recipient in recipients {
        let Event::Outcome(outcome) = accepted() else { unreachable!() };
        let _ = bench.send(Event::Outcome(Outcome { accepted: parties(&[recipient]), ..outcome }));
    }
}

#[test]
fn refusals_of_distinct_recipients_past_both_bounds_make_one() {
    for (ok, bad, storm) in [
        (&[][..], &["a", "b", "c", "d"][..], false),
        (&[], &["a", "a", "b", "B", "c", "d", "d"], false),
        (&[], &["a", "b", "c", "d", "e"], true),
        (&["u", "v", "w", "x", "y"], &["a", "b", "c", "d", "e"], true),
        (&["u", "v", "w", "x", "y", "z"], &["a", "b", "c", "d", "e"], false),
        (&["u", "v", "w", "x", "y", "z"], &["a", "b", "c", "d", "e", "f"], true),
    ] {
        let mut bench = Bench::recovering();
        accept_each(&mut bench, ok);
        let effects: Vec<Effect> = bad.iter().flat_map(|recipient| bench.send(refused(&[recipient]))).collect();
        assert_eq!(began(&effects), storm, "{ok:?} {bad:?}");
        assert_eq!(bench.health.in_storm(), storm);
    }
}

#[test]
fn refusals_of_a_primary_that_is_up_make_none() {
    let mut bench = Bench::up();
    assert_eq!(bench.send(refused(&["a", "b", "c", "d", "e", "f"])), []);
}

#[test]
fn stops_the_drain_and_expiry() {
    let bench = Bench::storm();
    assert_eq!((bench.health.concurrency(), bench.state()), (0, PrimaryState::Recovering));
    assert_eq!(bench.health.handover(), Handover::Storm);
    assert!(!bench.health.reject_is_final());
}

#[test]
fn one_refused_message_after_another_is_tried_on_the_probe_schedule() {
    let mut bench = Bench::storm();
    let mut delays = Vec::new();
    for turn in 0..8 {
        let before = bench.second;
        bench.second = bench.wake();
        assert_eq!(bench.tick(), [Effect::RetryRefused { turn }]);
        delays.push(bench.second - before);
        assert_eq!(bench.health.concurrency(), 0);
        let _ = bench.send(trial_refused(&["a"]));
        let _ = bench.send(accepted());
        assert!(bench.health.in_storm(), "only the word on a trial ends it");
    }
    assert_eq!(delays, [30, 45, 68, 102, 152, 228, 300, 300], "{delays:?}");
    assert_eq!(bench.state(), PrimaryState::Recovering, "it does not run out");
}

#[test]
fn a_trial_that_is_put_off_does_not_end_it() {
    let mut bench = Bench::storm();
    for _ in 0..3 {
        bench.second = bench.wake();
        assert!(matches!(bench.tick()[..], [Effect::RetryRefused { .. }]));
        assert_eq!(bench.send(Event::TrialPutOff), []);
        assert!(bench.health.in_storm());
        assert_eq!(bench.wake() - bench.second, 30, "nothing of its schedule is used up");
    }
}

#[test]
fn an_acceptance_of_a_trial_ends_it() {
    let mut bench = Bench::storm();
    bench.second = 60;
    let _ = bench.tick();
    let effects = bench.send(trial_accepted());
    assert_eq!(
        effects,
        [Effect::StormEnded(StormEnd::Accepted), Effect::RequeueWithheld, Effect::MakeDue(Reach::Waiting)]
    );
    assert_eq!((bench.health.concurrency(), bench.state()), (1, PrimaryState::Recovering));
    assert!(!bench.health.reject_is_final());
    assert!(!bench.accept(18).contains(&Effect::FinaliseWithheld), "twenty anew");
    assert!(bench.accept(1).contains(&Effect::FinaliseWithheld));
}

#[test]
fn a_person_ends_it() {
    let mut bench = Bench::storm();
    let effects = bench.send(Event::Resume);
    assert_eq!(effects[..2], [Effect::StormEnded(StormEnd::Person), Effect::RequeueWithheld]);
    assert!(!bench.health.in_storm());
    assert_eq!(bench.health.concurrency(), 1);
    assert!(!began(&bench.send(refused(&["a", "b", "c", "d", "e"]))), "these have been weighed");
    assert!(!began(&bench.send(refused(&["f", "g", "h", "i"]))));
    assert!(began(&bench.send(refused(&["j"]))), "new ones count");
    let _ = bench.send(Event::Resume);
    assert!(!began(&bench.send(refused(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]))));
}

#[test]
fn a_flush_tries_a_refused_message_now_but_does_not_end_it() {
    let mut bench = Bench::storm();
    assert_eq!(bench.send(Event::Flush), [Effect::MakeDue(Reach::Underway), Effect::RetryRefused { turn: 0 }]);
    assert_eq!(bench.send(Event::Flush), [Effect::MakeDue(Reach::Underway)], "one at a time");
    assert!(bench.health.in_storm());
}

#[test]
fn is_over_when_no_mail_is_left() {
    let mut bench = Bench::storm();
    bench.second = 60;
    let _ = bench.tick();
    assert!(bench.send(Event::NothingToTry).contains(&Effect::StormEnded(StormEnd::NothingHeld)));
}

#[test]
fn goes_on_when_the_primary_comes_back_once_more() {
    let mut bench = Bench::storm();
    let _ = bench.send(lost(Purpose::Ordinary));
    bench.answer(&[1], &[]);
    assert_eq!(bench.state(), PrimaryState::Down);
    assert_eq!(bench.health.handover(), Handover::Storm);
    bench.second = bench.wake();
    assert_eq!(bench.tick(), [Effect::Resolve]);
    let _ = bench.send(Event::Resolved(Ok(vec![listed(1)])));
    let effects = bench.send(Event::Probed(key(1), Ok(())));
    assert_eq!(effects[1..], [Effect::MakeDue(Reach::Waiting), Effect::RetryRefused { turn: 0 }], "tried at once");
    assert_eq!(bench.health.concurrency(), 0);
    assert!(bench.send(trial_accepted()).contains(&Effect::StormEnded(StormEnd::Accepted)));
}

#[test]
fn a_lost_trial_waits_for_the_next() {
    let mut bench = Bench::storm();
    bench.second = 60;
    let _ = bench.tick();
    let _ = bench.send(lost(Purpose::Trial));
    assert!(!bench.answer(&[1], &[1]).is_empty());
    assert_eq!(bench.state(), PrimaryState::Recovering);
    assert_eq!(bench.wake(), 105);
    bench.second = 105;
    assert_eq!(bench.tick(), [Effect::RetryRefused { turn: 1 }]);
}

#[test]
fn system_trouble_in_a_storm_does_not_make_it_deferring() {
    let mut bench = Bench::storm();
    for number in 0..20 {
        let _ = bench.send(transient(&format!("{number}@example.net"), Transient::System, Purpose::Ordinary));
    }
    assert_eq!((bench.state(), bench.health.in_storm()), (PrimaryState::Recovering, true));
}

#[test]
fn a_relapse_cuts_a_long_wait_short() {
    let mut bench = Bench::storm();
    for turn in 0..6 {
        bench.second = bench.wake();
        assert_eq!(bench.tick(), [Effect::RetryRefused { turn }]);
        let _ = bench.send(trial_refused(&["a"]));
    }
    assert_eq!(bench.wake() - bench.second, 300);
    let _ = bench.send(lost(Purpose::Ordinary));
    bench.answer(&[1], &[]);
    bench.second += 30;
    let _ = bench.tick();
    let _ = bench.send(Event::Resolved(Ok(vec![listed(1)])));
    assert!(bench.send(Event::Probed(key(1), Ok(()))).contains(&Effect::RetryRefused { turn: 6 }));
}

#[test]
fn a_trial_that_found_no_session_waits_for_the_next() {
    let mut bench = Bench::storm();
    bench.second = 60;
    let _ = bench.tick();
    let _ = bench.send(open_failed(1));
    bench.answer(&[1], &[1]);
    assert_eq!((bench.state(), bench.wake()), (PrimaryState::Recovering, 105));
}

#[test]
fn a_trial_that_found_one_endpoint_dead_goes_to_another_at_once() {
    let mut bench = Bench::new(Backlog::Held);
    bench.round(&[1, 2], &[1, 2]);
    let _ = bench.send(refused(&["a", "b", "c", "d", "e"]));
    bench.second = 30;
    assert_eq!(bench.tick(), [Effect::RetryRefused { turn: 0 }]);
    assert_eq!(bench.send(open_failed(1)), [Effect::RetryRefused { turn: 1 }]);
    assert_eq!(bench.health.usable_endpoints().collect::<Vec<_>>(), [&listed(2)]);
}

#[test]
fn the_last_word_on_a_recipient_counts() {
    let mut bench = Bench::recovering();
    let _ = bench.send(refused(&["a", "b", "c", "d"]));
    accept_each(&mut bench, &["a"]);
    assert!(!began(&bench.send(refused(&["e"]))));
    assert!(began(&bench.send(refused(&["f"]))));
    let _ = bench.send(Event::Resume);
    let _ = bench.send(refused(&["s", "t", "u", "v"]));
    assert!(!began(&bench.send(refused(&["b"]))), "weighed already");
    accept_each(&mut bench, &["b"]);
    assert!(began(&bench.send(refused(&["b"]))), "accepted meanwhile: that is news");
}

#[test]
fn breaks_out_even_with_the_twentieth_acceptance() {
    let mut bench = Bench::recovering();
    let _ = bench.accept(19);
    let _ = bench.send(refused(&["a", "b", "c", "d"]));
    let Event::Outcome(last) = accepted() else { unreachable!() };
    let effects = bench.send(Event::Outcome(Outcome { refused: parties(&["e"]), ..last }));
    assert!(began(&effects) && !effects.contains(&Effect::FinaliseWithheld), "{effects:?}");
    assert_eq!(bench.state(), PrimaryState::Recovering);
}

#[test]
fn breaks_out_while_the_primary_is_suspect_too() {
    let mut bench = Bench::recovering();
    let _ = bench.send(refused(&["a", "b", "c", "d"]));
    let _ = bench.send(lost(Purpose::Ordinary));
    assert!(began(&bench.send(refused(&["e"]))));
    assert_eq!(bench.state(), PrimaryState::Suspect);
    bench.answer(&[1], &[1]);
    assert_eq!((bench.state(), bench.health.concurrency()), (PrimaryState::Recovering, 0));
}

#[test]
fn refusals_of_content_count_while_nothing_is_accepted() {
    let each = ["a", "b", "c", "d", "e"];
    let mut bench = Bench::recovering();
    let effects: Vec<Effect> = each.iter().flat_map(|recipient| bench.send(content_refused(&[recipient]))).collect();
    assert!(effects.contains(&Effect::StormBegan { refused: 5, verdicts: 5 }), "{effects:?}");
    let mut bench = Bench::recovering();
    assert!(!began(&bench.send(content_refused(&each))), "that is one bad message");
    assert!(!began(&bench.send(content_refused(&each))));
    let mut bench = Bench::recovering();
    let _ = bench.send(refused(&["a", "b"]));
    let _ = bench.send(content_refused(&["c"]));
    let _ = bench.send(content_refused(&["a"]));
    assert!(!began(&bench.send(content_refused(&["d"]))), "each recipient once");
    assert!(began(&bench.send(content_refused(&["e"]))), "both kinds together");
    let mut bench = Bench::recovering();
    let _ = bench.accept(1);
    let effects: Vec<Effect> = each.iter().flat_map(|recipient| bench.send(content_refused(&[recipient]))).collect();
    assert!(!began(&effects), "it takes other mail: it means this one");
}

fn content_storm() -> Bench {
    let mut bench = Bench::recovering();
    for recipient in ["a", "b", "c", "d", "e"] {
        let _ = bench.send(content_refused(&[recipient]));
    }
    assert!(bench.health.in_storm());
    bench
}

#[test]
fn where_content_is_refused_mail_that_was_not_is_tried_too() {
    let mut bench = content_storm();
    for turn in 0..3 {
        bench.second = bench.wake();
        assert_eq!(bench.tick(), [Effect::RetryRefused { turn }]);
        let _ = bench.send(trial_content_refused(&["a"]));
        bench.second = bench.wake();
        assert_eq!(bench.tick(), [Effect::TryOldest]);
        let _ = bench.send(trial_content_refused(&["f"]));
    }
    bench.second = bench.wake();
    let _ = bench.tick();
    assert!(bench.send(trial_accepted()).contains(&Effect::StormEnded(StormEnd::Accepted)));
}

#[test]
fn where_all_that_is_held_was_refused_the_storm_goes_on() {
    let mut bench = content_storm();
    bench.second = bench.wake();
    let _ = bench.tick();
    let _ = bench.send(trial_content_refused(&["a"]));
    bench.second = bench.wake();
    assert_eq!(bench.tick(), [Effect::TryOldest]);
    assert_eq!(bench.send(Event::NothingToTry), [Effect::RetryRefused { turn: 1 }]);
    assert!(bench.health.in_storm());
    assert!(bench.send(Event::NothingToTry).contains(&Effect::StormEnded(StormEnd::NothingHeld)));
}

#[test]
fn a_primary_that_is_gone_for_a_day_storms_no_longer() {
    let mut bench = Bench::storm();
    let _ = bench.send(lost(Purpose::Ordinary));
    let effects = bench.send(Event::Resolved(Ok(vec![listed(1)])));
    assert_eq!(effects, [Effect::Probe(key(1))]);
    let effects = bench.send(Event::Probed(key(1), Err(failed())));
    assert!(!effects.contains(&Effect::RequeueWithheld), "a broken one that is started anew: {effects:?}");
    let away = bench.second;
    loop {
        bench.second = bench.wake();
        let _ = bench.tick();
        let _ = bench.send(Event::Resolved(Ok(vec![listed(1)])));
        let effects = bench.send(Event::Probed(key(1), Err(failed())));
        if bench.second < away + 24 * 3600 {
            assert_eq!(effects, [Effect::ReviewExpiry]);
            assert_eq!(bench.health.handover(), Handover::Storm);
            continue;
        }
        let ended = [Effect::StormEnded(StormEnd::Gone), Effect::RequeueWithheld, Effect::MakeDue(Reach::Waiting)];
        assert_eq!(effects, [&ended[..], &[Effect::ReviewExpiry]].concat());
        break;
    }
    assert_eq!((bench.health.handover(), bench.health.requeues_withheld()), (Handover::Running, true));
    // Back and still broken: it is weighed anew, those too that were refused before.
    bench.second = bench.wake();
    bench.round(&[1], &[1]);
    assert_eq!(bench.state(), PrimaryState::Recovering);
    assert!(began(&bench.send(refused(&["a", "b", "c", "d", "e"]))));
}

#[test]
fn an_answer_within_the_day_keeps_the_storm() {
    let mut bench = Bench::storm();
    for _ in 0..2 {
        let _ = bench.send(lost(Purpose::Ordinary));
        bench.answer(&[1], &[]);
        let until = bench.second + 20 * 3600;
        while bench.second < until {
            bench.second = bench.wake();
            bench.round(&[1], &[]);
        }
        assert!(bench.health.in_storm());
        bench.second = bench.wake();
        let _ = bench.tick();
        let _ = bench.send(Event::Resolved(Ok(vec![listed(1)])));
        let _ = bench.send(Event::Probed(key(1), Ok(())));
        assert!(bench.health.in_storm());
    }
}
