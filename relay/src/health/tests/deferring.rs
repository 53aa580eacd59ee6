use backupmx_relay_config::status::PrimaryState;

use super::{super::*, bench::*};

fn system(sender: &str) -> Event {
    transient(sender, Transient::System, Purpose::Ordinary)
}

#[test]
fn ten_distinct_senders_in_a_row_make_it() {
    let mut bench = Bench::up();
    for number in 0..9 {
        let _ = bench.send(system(&format!("{number}@example.net")));
        let _ = bench.send(system(&format!("{number}@EXAMPLE.net")));
    }
    let _ = bench.send(transient("x@example.net", Transient::Message, Purpose::Ordinary));
    assert_eq!(bench.state(), PrimaryState::Up);
    let effects = bench.send(system("9@example.net"));
    assert!(changed(&effects, (PrimaryState::Up, PrimaryState::Deferring)), "{effects:?}");
    assert_eq!((bench.health.concurrency(), bench.wake()), (0, 30));
}

#[test]
fn an_acceptance_ends_the_row() {
    let mut bench = Bench::up();
    for round in 0..5 {
        for number in 0..9 {
            let _ = bench.send(system(&format!("{number}@{round}.example.net")));
        }
        let _ = bench.accept(1);
    }
    assert_eq!(bench.state(), PrimaryState::Up);
}

#[test]
fn one_message_is_the_probe_on_the_same_sliding_back_off() {
    let mut bench = Bench::deferring();
    let mut delays = Vec::new();
    for _ in 0..8 {
        delays.push(bench.wake() - bench.second);
        bench.second = bench.wake();
        assert_eq!(bench.tick(), [Effect::TryOldest]);
        assert_eq!(bench.health.concurrency(), 1);
        let effects = bench.send(transient("a@example.net", Transient::System, Purpose::Trial));
        assert!(effects.contains(&Effect::ReviewExpiry));
        assert_eq!((bench.health.concurrency(), bench.state()), (0, PrimaryState::Deferring));
        assert_eq!(bench.health.last_failed_probe(), Some(bench.now().wall));
    }
    assert_eq!(delays, [30, 45, 68, 102, 152, 228, 300, 300], "{delays:?}");
}

#[test]
fn an_acceptance_ends_it_and_drains() {
    let mut bench = Bench::deferring();
    bench.second = 30;
    let _ = bench.tick();
    let effects = bench.send(trial_accepted());
    assert!(changed(&effects, (PrimaryState::Deferring, PrimaryState::Recovering)), "{effects:?}");
    assert!(effects.contains(&Effect::MakeDue(Reach::Waiting)));
    assert!(bench.health.concurrency() >= 1);
    assert_eq!(bench.health.last_failed_probe(), None);
}

#[test]
fn a_trial_that_is_put_off_is_made_after_the_shortest_delay() {
    let mut bench = Bench::deferring();
    for _ in 0..3 {
        bench.second = bench.wake();
        let _ = bench.tick();
        let _ = bench.send(transient("a@example.net", Transient::System, Purpose::Trial));
    }
    bench.second = bench.wake();
    assert_eq!(bench.tick(), [Effect::TryOldest]);
    assert_eq!(bench.send(Event::TrialPutOff), [], "it says nothing of the primary");
    assert_eq!((bench.health.concurrency(), bench.state()), (0, PrimaryState::Deferring));
    assert_eq!(bench.wake() - bench.second, 30);
}

#[test]
fn the_place_is_kept_for_mail_to_come() {
    let mut bench = Bench::deferring();
    bench.second = 30;
    assert!(bench.tick().contains(&Effect::TryOldest));
    assert_eq!(bench.send(Event::NothingToTry), [Effect::RequeueWithheld], "that may be all there is");
    assert_eq!(bench.health.concurrency(), 1);
    bench.second = 35;
    let _ = bench.send(transient("a@example.net", Transient::System, Purpose::Ordinary));
    assert_eq!(bench.health.concurrency(), 0, "whatever is tried is the trial");
}

#[test]
fn a_trial_of_which_nothing_is_heard_is_begun_again() {
    let mut bench = Bench::deferring();
    bench.second = 30;
    let _ = bench.tick();
    bench.second = 30 + 900 - 1;
    assert!(!bench.tick().contains(&Effect::TryOldest));
    bench.second += 1;
    assert!(bench.tick().contains(&Effect::TryOldest));
}

#[test]
fn a_lost_trial_makes_it_suspect_and_an_answer_brings_it_back_where_it_was() {
    let mut bench = Bench::deferring();
    bench.second = 30;
    let _ = bench.tick();
    let _ = bench.send(lost(Purpose::Trial));
    assert_eq!(bench.state(), PrimaryState::Suspect);
    bench.answer(&[1], &[1]);
    assert_eq!((bench.state(), bench.health.concurrency(), bench.wake()), (PrimaryState::Deferring, 0, 75));
}

#[test]
fn it_can_go_down() {
    let mut bench = Bench::deferring();
    let _ = bench.send(open_failed(1));
    bench.answer(&[1], &[]);
    assert_eq!(bench.state(), PrimaryState::Down);
}

#[test]
fn a_row_in_a_recovery_makes_it_too() {
    let mut bench = Bench::recovering();
    for number in 0..10 {
        let _ = bench.send(system(&format!("{number}@example.net")));
    }
    assert_eq!(bench.state(), PrimaryState::Deferring);
    assert!(!bench.health.reject_is_final());
}

#[test]
fn a_trial_that_found_no_session_waits_for_the_next() {
    let mut bench = Bench::deferring();
    bench.second = 30;
    let _ = bench.tick();
    let _ = bench.send(open_failed(1));
    bench.answer(&[1], &[1]);
    assert_eq!((bench.state(), bench.health.concurrency(), bench.wake()), (PrimaryState::Deferring, 0, 75));
}
