use backupmx_relay_config::{Retry, Span, status::PrimaryState};

use super::{super::*, bench::*};
use crate::schedule::Handover;

fn with_retry(min: u64, max: u64) -> Settings {
    let retry = Retry { min: Span::seconds(min), max: Span::seconds(max) };
    Settings::new(&backupmx_relay_config::Delivery { retry, ..delivery() }).unwrap()
}

fn suspended() -> Settings {
    Settings::new(&backupmx_relay_config::Delivery { suspended: true, ..delivery() }).unwrap()
}

#[test]
fn a_retry_that_makes_no_back_off_is_refused() {
    let retry = Retry { min: Span::seconds(30), max: Span::seconds(10) };
    assert!(Settings::new(&backupmx_relay_config::Delivery { retry, ..delivery() }).is_err());
}

#[test]
fn a_shorter_retry_holds_at_once() {
    let mut bench = Bench::with(with_retry(300, 2700), Backlog::Empty);
    bench.round(&[1], &[]);
    assert_eq!(bench.wake(), 300);
    bench.second = 10;
    assert_eq!(bench.send(Event::Configured(with_retry(5, 20))), [Effect::Resolve], "the hosts may be others");
    assert_eq!(bench.answer(&[1], &[]), []);
    assert_eq!(bench.wake(), 30);
    let mut bench = Bench::deferring();
    let _ = bench.send(Event::Configured(with_retry(5, 20)));
    bench.answer(&[1], &[]);
    assert_eq!(bench.wake(), 20);
}

#[test]
fn another_bound_on_connections_holds_at_once() {
    let mut bench = Bench::up();
    let _ = bench.accept(6);
    let fewer = backupmx_relay_config::Delivery { max_connections: 3, ..delivery() };
    let _ = bench.send(Event::Configured(Settings::new(&fewer).unwrap()));
    assert_eq!(bench.health.concurrency(), 3);
}

#[test]
fn suspended_it_is_watched_and_nothing_is_delivered() {
    let mut by_config = Bench::up();
    let _ = by_config.send(Event::Configured(suspended()));
    by_config.answer(&[1], &[]);
    let mut by_person = Bench::up();
    assert_eq!(by_person.send(Event::Suspend), []);
    for mut bench in [by_config, by_person] {
        assert_eq!((bench.health.concurrency(), bench.health.handover()), (0, Handover::Suspended));
        bench.second = 300;
        assert_eq!(bench.round(&[1], &[1]), [key(1)]);
        assert_eq!(bench.state(), PrimaryState::Up);
    }
}

#[test]
fn a_person_does_not_overrule_the_config() {
    let mut bench = Bench::with(suspended(), Backlog::Empty);
    bench.round(&[1], &[1]);
    let _ = bench.send(Event::Resume);
    assert!(bench.health.is_suspended());
    let _ = bench.send(Event::Configured(settings()));
    assert_eq!(bench.health.concurrency(), 1);
}

#[test]
fn no_trial_is_made_while_suspended_and_one_right_afterwards() {
    let mut bench = Bench::deferring();
    let _ = bench.send(Event::Suspend);
    bench.second = 100;
    assert_eq!(bench.tick(), []);
    assert_eq!(bench.send(Event::Flush), [Effect::MakeDue(Reach::Underway)]);
    assert_eq!(bench.send(Event::Resume), [Effect::MakeDue(Reach::Underway), Effect::TryOldest]);

    let mut bench = Bench::storm();
    let _ = bench.send(Event::Configured(suspended()));
    bench.answer(&[1], &[]);
    bench.second = 100;
    assert_eq!(bench.tick(), []);
    let effects = bench.send(Event::Configured(settings()));
    assert_eq!(effects, [Effect::RetryRefused { turn: 0 }, Effect::Resolve]);
}

#[test]
fn a_resumed_primary_that_is_down_is_tried_at_once() {
    let mut bench = Bench::down();
    let _ = bench.send(Event::Suspend);
    bench.second = 1;
    assert_eq!(bench.send(Event::Resume), [Effect::MakeDue(Reach::Underway), Effect::Resolve]);
    assert_eq!(bench.answer(&[1], &[1]), [key(1)]);
}
