use backupmx_relay_config::status::PrimaryState;

use super::{super::*, bench::*};
use crate::clock::Timestamp;

#[test]
fn is_probed_at_once_at_the_start() {
    let mut bench = Bench::new(Backlog::Empty);
    assert_eq!(bench.state(), PrimaryState::Unknown);
    assert_eq!(bench.wake(), 0);
    assert_eq!(bench.tick(), [Effect::Resolve]);
    assert_eq!(bench.tick(), [], "one look-up at a time");
    let effects = bench.send(Event::Resolved(Ok(vec![listed(2), listed(1)])));
    assert_eq!(effects, [Effect::Probe(key(1)), Effect::Probe(key(2))]);
    assert_eq!(bench.health.concurrency(), 0);
    let effects = bench.send(Event::Probed(key(2), Ok(())));
    assert!(changed(&effects, (PrimaryState::Unknown, PrimaryState::Up)), "{effects:?}");
    assert_eq!(bench.health.concurrency(), 1);
    assert_eq!(bench.health.usable_endpoints().collect::<Vec<_>>(), [&listed(2)], "the other is still being probed");
}

#[test]
fn a_first_contact_with_held_mail_is_a_recovery() {
    let mut bench = Bench::new(Backlog::Held);
    bench.round(&[1], &[1]);
    assert_eq!(bench.state(), PrimaryState::Recovering);
    assert!(!bench.health.reject_is_final());
}

#[test]
fn is_down_only_when_every_endpoint_fails() {
    let mut bench = Bench::new(Backlog::Empty);
    let _ = bench.tick();
    let _ = bench.send(Event::Resolved(Ok(vec![listed(1), listed(2), listed(3)])));
    let _ = bench.send(Event::Probed(key(1), Err(failed())));
    let _ = bench.send(Event::Probed(key(3), Err(closing())));
    assert_eq!(bench.state(), PrimaryState::Unknown);
    let effects = bench.send(Event::Probed(key(2), Err(failed())));
    assert_eq!(bench.state(), PrimaryState::Down);
    assert!(effects.contains(&Effect::ReviewExpiry));
    assert_eq!(bench.health.concurrency(), 0);
    assert_eq!(bench.health.last_error(), Some("mail2.example.org (192.0.2.2:25): connection refused"));
}

#[test]
fn probes_of_a_primary_that_is_down_slide_from_min_to_max() {
    let mut bench = Bench::down();
    let mut delays = Vec::new();
    for _ in 0..9 {
        let before = bench.second;
        bench.second = bench.wake();
        delays.push(bench.second - before);
        assert_eq!(bench.round(&[1], &[]), [key(1)]);
        assert_eq!(bench.health.last_failed_probe(), Some(bench.now().wall));
    }
    assert_eq!(delays, [30, 45, 68, 102, 152, 228, 300, 300, 300]);
}

#[test]
fn each_endpoint_has_its_own_back_off() {
    let mut bench = Bench::down();
    bench.second = 30;
    assert_eq!(bench.round(&[1, 2], &[]), [key(1), key(2)], "a new endpoint is probed at once");
    bench.second = 60;
    assert_eq!(bench.round(&[1, 2], &[]), [key(2)], "30 s after its first failure");
    bench.second = 75;
    assert_eq!(bench.round(&[1, 2], &[]), [key(1)], "45 s after its second failure");
}

#[test]
fn a_failed_look_up_is_a_failed_probe_with_the_same_back_off() {
    let mut bench = Bench::new(Backlog::Empty);
    let mut delays = Vec::new();
    for _ in 0..8 {
        let before = bench.second;
        bench.second = bench.wake();
        delays.push(bench.second - before);
        assert_eq!(bench.tick(), [Effect::Resolve]);
        let effects = bench.send(Event::Resolved(Err("no answer from 192.0.2.53".to_owned())));
        assert_eq!(bench.state(), PrimaryState::Down);
        assert!(effects.contains(&Effect::ReviewExpiry));
        assert_eq!(bench.health.last_failed_probe(), Some(bench.now().wall));
    }
    assert_eq!(delays, [0, 30, 45, 68, 102, 152, 228, 300], "{delays:?}");
    assert_eq!(bench.health.last_error(), Some("no answer from 192.0.2.53"));
    bench.second = bench.wake();
    assert_eq!(bench.round(&[1], &[1]), [key(1)]);
    assert_eq!(bench.state(), PrimaryState::Recovering);
}

#[test]
fn no_address_at_all_is_a_failed_look_up() {
    let mut bench = Bench::new(Backlog::Empty);
    let _ = bench.tick();
    let _ = bench.send(Event::Resolved(Ok(Vec::new())));
    assert_eq!(bench.state(), PrimaryState::Down);
}

#[test]
fn a_look_up_or_probe_that_never_ends_has_failed() {
    let mut bench = Bench::new(Backlog::Empty);
    let _ = bench.tick();
    assert_eq!(bench.wake(), 120);
    bench.second = 120;
    let _ = bench.tick();
    assert_eq!(bench.state(), PrimaryState::Down);
    bench.second = 150;
    let _ = bench.tick();
    assert_eq!(bench.send(Event::Resolved(Ok(vec![listed(1)]))), [Effect::Probe(key(1))]);
    assert_eq!(bench.wake(), 270);
    bench.second = 270;
    let effects = bench.tick();
    assert!(effects.contains(&Effect::ReviewExpiry), "{effects:?}");
    bench.second = 271;
    let effects = bench.send(Event::Probed(key(1), Ok(())));
    assert!(changed(&effects, (PrimaryState::Down, PrimaryState::Recovering)), "a late answer is an answer");
}

#[test]
fn an_endpoint_that_is_gone_has_no_say() {
    let mut bench = Bench::down();
    for event in [Event::Probed(key(9), Ok(())), Event::Opened(key(9)), Event::Probed(key(9), Err(failed()))] {
        assert_eq!(bench.send(event), []);
    }
    let mut bench = Bench::up();
    assert_eq!(bench.send(open_failed(9)), []);
    assert_eq!(bench.state(), PrimaryState::Up);
}

#[test]
fn a_moved_primary_is_probed_where_it_is_now() {
    let mut bench = Bench::down();
    bench.second = 30;
    assert_eq!(bench.round(&[2], &[2]), [key(2)]);
    assert_eq!(bench.state(), PrimaryState::Recovering);
    assert_eq!(bench.health.usable_endpoints().count(), 1);
}

#[test]
fn an_idle_primary_is_asked_every_five_minutes() {
    let mut bench = Bench::up();
    assert_eq!(bench.wake(), 300);
    bench.second = 300;
    assert_eq!(bench.round(&[1], &[1]), [key(1)]);
    assert_eq!((bench.state(), bench.wake()), (PrimaryState::Up, 600));
    bench.second = 600;
    bench.round(&[1], &[]);
    assert_eq!(bench.state(), PrimaryState::Suspect);
    bench.answer(&[1], &[]);
    assert_eq!((bench.state(), bench.wake()), (PrimaryState::Down, 630));
}

#[test]
fn a_dead_endpoint_of_a_primary_that_is_up_is_tried_by_its_own_back_off() {
    let mut bench = Bench::new(Backlog::Empty);
    bench.round(&[1, 2], &[2]);
    assert_eq!(bench.state(), PrimaryState::Up);
    assert_eq!(bench.health.usable_endpoints().collect::<Vec<_>>(), [&listed(2)]);
    assert_eq!(bench.wake(), 30);
    bench.second = 30;
    assert_eq!(bench.round(&[1, 2], &[1]), [key(1)]);
    assert_eq!(bench.health.usable_endpoints().collect::<Vec<_>>(), [&listed(1), &listed(2)]);
}

fn may_defer(bench: &Bench) -> bool {
    bench.health.ingress_may_defer_until().is_some_and(|until| bench.now().moment <= until)
}

#[test]
fn clients_are_sent_to_the_primary_only_while_it_is_known_to_answer() {
    let mut bench = Bench::up();
    for (second, may) in [(0, true), (60, true), (61, false)] {
        bench.second = second;
        assert_eq!(may_defer(&bench), may, "after {second} s");
    }
    assert_eq!(bench.send(Event::ClientCame), [Effect::Resolve]);
    assert_eq!(bench.send(Event::ClientCame), [], "once");
    bench.answer(&[1], &[1]);
    assert!(may_defer(&bench));
    assert_eq!(bench.send(Event::ClientCame), [], "it answered a moment ago");
    let mut bench = Bench::down();
    assert_eq!(bench.send(Event::ClientCame), [], "strangers do not set the pace");
    assert!(!may_defer(&bench));
}

#[test]
fn failed_probes_are_forgotten_when_one_succeeds() {
    let mut bench = Bench::down();
    assert_eq!(bench.health.last_failed_probe(), Some(Timestamp::from_millis(WALL * 1000)));
    bench.second = 30;
    bench.round(&[1], &[1]);
    assert_eq!(bench.health.last_failed_probe(), None);
}

#[test]
fn keeps_a_bounded_number_of_endpoints() {
    let mut bench = Bench::new(Backlog::Empty);
    let _ = bench.tick();
    let many = (0..200).map(listed).chain([listed(1)]).collect();
    assert_eq!(bench.send(Event::Resolved(Ok(many))).len(), 64);
}

#[test]
fn mail_past_its_deadline_expires_after_a_failed_probe_only() {
    use crate::schedule::{ClockTrust, may_expire};
    let mut bench = Bench::down();
    let started = Timestamp::from_millis(WALL * 1000);
    let deadline = Timestamp::from_millis((WALL + 10) * 1000);
    let may = |bench: &Bench| {
        may_expire(deadline, &bench.health.expiry_input(bench.now().wall, ClockTrust::Believed, started, None))
    };
    bench.second = 29;
    assert!(!may(&bench), "the last probe was before its deadline");
    bench.second = 30;
    bench.round(&[1], &[]);
    assert!(may(&bench));
    bench.second = 75;
    bench.round(&[1], &[1]);
    assert!(!may(&bench), "it is back");
}

#[test]
fn a_look_up_that_works_starts_its_back_off_over() {
    let mut bench = Bench::down();
    let fail = |bench: &mut Bench| {
        let _ = bench.send(Event::Resolved(Err("SERVFAIL".to_owned())));
        bench.wake() - bench.second
    };
    assert_eq!(fail(&mut bench), 30);
    assert_eq!(fail(&mut bench), 45);
    bench.answer(&[1], &[]);
    assert_eq!(fail(&mut bench), 30);
}
