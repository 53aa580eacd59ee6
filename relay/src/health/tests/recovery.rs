use backupmx_relay_config::status::PrimaryState;

use super::{super::*, bench::*};
use crate::board::Withheld;

#[test]
fn the_first_success_drains_at_once_on_a_ramp() {
    let mut bench = Bench::down();
    bench.second = 30;
    assert_eq!(bench.tick(), [Effect::Resolve]);
    assert_eq!(bench.send(Event::Resolved(Ok(vec![listed(1)]))), [Effect::Probe(key(1))]);
    let effects = bench.send(Event::Probed(key(1), Ok(())));
    assert!(changed(&effects, (PrimaryState::Down, PrimaryState::Recovering)), "{effects:?}");
    assert_eq!(effects[1..], [Effect::RequeueWithheld, Effect::MakeDue(Reach::Waiting)]);
    let mut widths = vec![bench.health.concurrency()];
    for _ in 0..6 {
        let _ = bench.accept(1);
        widths.push(bench.health.concurrency());
    }
    assert_eq!(widths, [1, 5, 5, 5, 5, 5, 10]);
    assert_eq!(bench.state(), PrimaryState::Recovering);
}

#[test]
fn a_session_or_a_message_that_works_is_as_good_as_a_probe() {
    for event in [Event::Opened(key(1)), accepted()] {
        let mut bench = Bench::down();
        let effects = bench.send(event);
        assert!(changed(&effects, (PrimaryState::Down, PrimaryState::Recovering)), "{effects:?}");
    }
}

#[test]
fn twenty_acceptances_end_it() {
    let mut bench = Bench::recovering();
    assert!(!bench.accept(19).contains(&Effect::FinaliseWithheld));
    assert!(!bench.health.reject_is_final());
    let effects = bench.accept(1);
    assert!(changed(&effects, (PrimaryState::Recovering, PrimaryState::Up)), "{effects:?}");
    assert_eq!(effects.last(), Some(&Effect::FinaliseWithheld));
    assert!(bench.health.reject_is_final());
    assert_eq!(bench.health.concurrency(), 10);
}

#[test]
fn ten_minutes_below_the_threshold_end_it() {
    let mut bench = Bench::recovering();
    let _ = bench.send(refused(&["a", "b", "c", "d"]));
    let _ = bench.accept(1);
    bench.second = 300;
    let _ = bench.send(Event::Opened(key(1)));
    bench.second = 629;
    assert!(!bench.tick().contains(&Effect::FinaliseWithheld));
    assert_eq!(bench.wake(), 630);
    bench.second = 630;
    assert!(bench.tick().contains(&Effect::FinaliseWithheld));
    assert_eq!(bench.state(), PrimaryState::Up);
}

#[test]
fn time_in_which_nothing_may_be_delivered_does_not_end_it() {
    let mut bench = Bench::recovering();
    let _ = bench.send(Event::Suspend);
    bench.second = 10_000;
    bench.round(&[1], &[1]);
    assert_eq!(bench.state(), PrimaryState::Recovering);
    let _ = bench.send(Event::Resume);
    bench.second = 10_300;
    bench.round(&[1], &[1]);
    bench.second = 10_599;
    let _ = bench.send(Event::Opened(key(1)));
    assert_eq!(bench.state(), PrimaryState::Recovering);
    bench.second = 10_600;
    assert!(bench.tick().contains(&Effect::FinaliseWithheld));
}

#[test]
fn a_suspect_goes_on_with_the_same_trial_on_a_new_ramp() {
    let mut bench = Bench::recovering();
    let _ = bench.accept(19);
    let _ = bench.send(lost(Purpose::Ordinary));
    bench.answer(&[1], &[1]);
    assert_eq!((bench.state(), bench.health.concurrency()), (PrimaryState::Recovering, 1));
    assert!(bench.accept(1).contains(&Effect::FinaliseWithheld));
}

#[test]
fn a_relapse_starts_the_trial_anew() {
    let mut bench = Bench::recovering();
    let _ = bench.accept(19);
    let _ = bench.send(lost(Purpose::Ordinary));
    bench.answer(&[1], &[]);
    assert_eq!(bench.state(), PrimaryState::Down);
    bench.second = bench.wake();
    bench.round(&[1], &[1]);
    assert_eq!((bench.state(), bench.health.concurrency()), (PrimaryState::Recovering, 1));
    assert!(!bench.accept(19).contains(&Effect::FinaliseWithheld));
}

#[test]
fn no_reject_is_final_but_of_a_primary_that_is_up() {
    let is_final = |bench: &Bench| bench.health.reject_is_final();
    assert!(is_final(&Bench::up()));
    for bench in [Bench::new(Backlog::Empty), Bench::down(), Bench::recovering(), Bench::deferring(), Bench::storm()] {
        assert!(!is_final(&bench), "{:?}", bench.state());
    }
}

#[test]
fn a_person_and_a_ready_service_hurry_everything() {
    for event in [Event::Flush, Event::EndpointsReady, Event::Resume, Event::Etrn] {
        let mut bench = Bench::down();
        bench.second = 1;
        assert_eq!(bench.send(event.clone()), [Effect::MakeDue(Reach::Underway), Effect::Resolve]);
        assert_eq!(bench.answer(&[1], &[1]), [key(1)]);
        assert_eq!(bench.state(), PrimaryState::Recovering);
        let mut bench = Bench::up();
        let effects = bench.send(event.clone());
        // One that is up is asked again too, but not at a stranger's word.
        let asked = event != Event::Etrn;
        assert_eq!(effects, [Effect::MakeDue(Reach::Underway), Effect::Resolve][..1 + usize::from(asked)]);
        let mut bench = Bench::deferring();
        bench.second = 1;
        assert_eq!(bench.send(event), [Effect::MakeDue(Reach::Underway), Effect::TryOldest]);
    }
}

#[test]
fn a_hurry_by_a_person_starts_the_back_off_over_and_one_by_a_stranger_does_not() {
    for (event, next) in [(Event::Flush, 30), (Event::EndpointsReady, 30), (Event::Etrn, 68)] {
        let mut bench = Bench::down();
        bench.second = 30;
        bench.round(&[1], &[]);
        assert_eq!(bench.wake(), 75);
        bench.second = 40;
        let _ = bench.send(event.clone());
        bench.answer(&[1], &[]);
        assert_eq!(bench.wake() - 40, next, "{event:?}");
    }
}

#[test]
fn who_asks_while_a_probe_is_under_way_has_another_at_once() {
    let mut bench = Bench::down();
    bench.second = 30;
    assert_eq!(bench.tick(), [Effect::Resolve]);
    assert_eq!(bench.send(Event::Resolved(Ok(vec![listed(1)]))), [Effect::Probe(key(1))]);
    // Its connection hangs; meanwhile the primary's host comes up.
    bench.second = 40;
    assert_eq!(bench.send(Event::Flush), [Effect::MakeDue(Reach::Underway)]);
    let effects = bench.send(Event::Probed(key(1), Err(failed())));
    assert!(effects.contains(&Effect::Resolve), "{effects:?}");
    assert_eq!(bench.answer(&[1], &[]), [key(1)]);
    assert_eq!(bench.wake() - 40, 30, "once");
}

#[test]
fn strangers_hurry_once_in_thirty_seconds() {
    let mut bench = Bench::up();
    for (second, heeded) in [(0, true), (1, false), (29, false), (30, true), (59, false), (61, true)] {
        bench.second = second;
        assert_eq!(!bench.send(Event::Etrn).is_empty(), heeded, "at second {second}");
    }
    for second in 70..75 {
        bench.second = second;
        assert!(
            bench.send(Event::Flush).contains(&Effect::MakeDue(Reach::Underway)),
            "a person may as often as they like"
        );
    }
}

#[test]
fn time_alone_does_not_end_it_for_a_primary_that_refuses_all() {
    for event in [refused(&["a"]), content_refused(&["a"])] {
        let mut bench = Bench::recovering();
        let _ = bench.send(event.clone());
        for round in 1..=5 {
            assert_eq!(bench.health.withheld_may_expire(), round > 1, "round {round}");
            let waits = if round > 1 { Withheld::ForAPerson } else { Withheld::ForItsTrial };
            assert_eq!(bench.health.withheld(), waits, "round {round}");
            bench.second = 30 + round * 600 - 200;
            let _ = bench.send(Event::Opened(key(1)));
            bench.second = 30 + round * 600;
            let effects = bench.tick();
            assert_eq!(effects, [Effect::RequeueWithheld], "round {round}: what was refused is tried again");
            assert_eq!((bench.state(), bench.health.concurrency()), (PrimaryState::Recovering, 1), "mail goes on");
            let _ = bench.send(event.clone());
        }
        let _ = bench.accept(1);
        assert!(!bench.health.withheld_may_expire());
        assert_eq!(bench.health.withheld(), Withheld::ForItsTrial);
        bench.second += 300;
        let _ = bench.send(Event::Opened(key(1)));
        bench.second += 300;
        assert!(bench.tick().contains(&Effect::FinaliseWithheld));
    }
}

#[test]
fn what_a_person_said_to_go_on_with_is_final_in_time() {
    let mut bench = Bench::storm();
    let _ = bench.send(Event::Resume);
    let _ = bench.send(refused(&["a", "b", "c", "d", "e"]));
    bench.second += 300;
    let _ = bench.send(Event::Opened(key(1)));
    bench.second += 300;
    assert!(bench.tick().contains(&Effect::FinaliseWithheld));
}

#[test]
fn a_trial_in_which_nothing_was_refused_ends_by_time() {
    let mut bench = Bench::recovering();
    bench.second = 330;
    let _ = bench.send(Event::Opened(key(1)));
    bench.second = 630;
    let _ = bench.tick();
    assert_eq!(bench.state(), PrimaryState::Up);
}

#[test]
fn withheld_mail_is_queued_again_when_the_primary_falls() {
    let mut bench = Bench::recovering();
    let _ = bench.send(refused(&["a"]));
    assert!(!bench.health.requeues_withheld());
    let _ = bench.send(lost(Purpose::Ordinary));
    let _ = bench.send(Event::Resolved(Ok(vec![listed(1)])));
    let effects = bench.send(Event::Probed(key(1), Err(failed())));
    assert!(changed(&effects, (PrimaryState::Suspect, PrimaryState::Down)), "{effects:?}");
    assert_eq!(effects[1..], [Effect::RequeueWithheld, Effect::ReviewExpiry], "it may expire");
    assert!(bench.health.requeues_withheld());
    bench.second = bench.wake();
    let _ = bench.tick();
    let _ = bench.send(Event::Resolved(Ok(vec![listed(1)])));
    assert_eq!(bench.send(Event::Probed(key(1), Err(failed()))), [Effect::ReviewExpiry], "once is enough");
}

#[test]
fn withheld_mail_is_queued_again_when_the_primary_defers_all() {
    let mut bench = Bench::recovering();
    let _ = bench.send(refused(&["a"]));
    let effects: Vec<Effect> = (0..10)
        .flat_map(|number| {
            bench.send(transient(&format!("{number}@example.net"), Transient::System, Purpose::Ordinary))
        })
        .collect();
    assert!(changed(&effects, (PrimaryState::Recovering, PrimaryState::Deferring)), "{effects:?}");
    assert_eq!(effects.last(), Some(&Effect::RequeueWithheld));
}
