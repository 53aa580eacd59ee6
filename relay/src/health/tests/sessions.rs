use backupmx_relay_config::status::PrimaryState;

use super::{super::*, bench::*};

#[test]
fn a_session_that_cannot_be_opened_makes_it_suspect_and_a_probe_decides() {
    let mut bench = Bench::up();
    let effects = bench.send(open_failed(1));
    assert!(changed(&effects, (PrimaryState::Up, PrimaryState::Suspect)), "{effects:?}");
    assert_eq!(effects.last(), Some(&Effect::Resolve), "probed at once");
    assert_eq!(bench.health.concurrency(), 0);
    assert!(!bench.health.reject_is_final());
    assert_eq!(bench.answer(&[1], &[1]), [key(1)]);
    assert_eq!(bench.state(), PrimaryState::Recovering);
    let _ = bench.send(open_failed(1));
    bench.answer(&[1], &[]);
    assert_eq!((bench.state(), bench.wake()), (PrimaryState::Down, 30));
}

#[test]
fn while_another_endpoint_is_good_it_stays_up() {
    let mut bench = Bench::new(Backlog::Empty);
    bench.round(&[1, 2], &[1, 2]);
    assert_eq!(bench.send(open_failed(1)), []);
    assert_eq!(bench.state(), PrimaryState::Up);
    assert_eq!(bench.health.usable_endpoints().collect::<Vec<_>>(), [&listed(2)]);
    let _ = bench.send(open_failed(2));
    assert_eq!(bench.state(), PrimaryState::Suspect);
    assert_eq!(bench.answer(&[1, 2], &[]), [key(1), key(2)]);
    assert_eq!(bench.state(), PrimaryState::Down);
}

#[test]
fn a_lost_session_makes_it_suspect() {
    let mut bench = Bench::up();
    let _ = bench.send(lost(Purpose::Ordinary));
    assert_eq!(bench.state(), PrimaryState::Suspect);
    assert_eq!(bench.health.last_error(), Some("mail1.example.org (192.0.2.1:25): connection reset"));
    let mut bench = Bench::new(Backlog::Empty);
    bench.round(&[1, 2], &[1, 2]);
    assert_eq!(bench.send(lost(Purpose::Ordinary)), [Effect::Resolve], "only this endpoint is");
    assert_eq!(bench.health.usable_endpoints().collect::<Vec<_>>(), [&listed(2)]);
    assert_eq!(bench.answer(&[1, 2], &[1]), [key(1)]);
    assert_eq!((bench.state(), bench.health.usable_endpoints().count()), (PrimaryState::Up, 2));
}

fn service_closing(others: u32) -> Event {
    Event::ServiceClosing {
        endpoint: key(1),
        detail: "421 4.7.0 too many".to_owned(),
        others,
        purpose: Purpose::Ordinary,
    }
}

#[test]
fn service_closing_while_others_are_held_halves_the_concurrency() {
    for event in [service_closing(9), Event::OpenFailed { endpoint: key(1), failure: closing(), others: 9 }] {
        let mut bench = Bench::up();
        let _ = bench.accept(6);
        assert_eq!(bench.health.concurrency(), 10);
        assert_eq!(bench.send(event), []);
        assert_eq!((bench.state(), bench.health.concurrency()), (PrimaryState::Up, 5));
    }
}

#[test]
fn service_closing_while_one_other_is_held_leaves_one() {
    let mut bench = Bench::up();
    let _ = bench.accept(6);
    let _ = bench.send(Event::OpenFailed { endpoint: key(1), failure: closing(), others: 1 });
    assert_eq!((bench.state(), bench.health.concurrency()), (PrimaryState::Up, 1));
}

#[test]
fn service_closing_while_none_is_held_is_a_failed_session() {
    for event in [service_closing(0), Event::OpenFailed { endpoint: key(1), failure: closing(), others: 0 }] {
        let mut bench = Bench::up();
        let _ = bench.send(event);
        assert_eq!(bench.state(), PrimaryState::Suspect);
    }
}

#[test]
fn an_open_failure_other_than_421_counts_whatever_is_held() {
    let mut bench = Bench::up();
    let _ = bench.send(Event::OpenFailed { endpoint: key(1), failure: failed(), others: 9 });
    assert_eq!(bench.state(), PrimaryState::Suspect);
}

#[test]
fn a_primary_that_greets_and_fails_every_session_is_down_in_the_end() {
    let mut bench = Bench::up();
    for _ in 0..3 {
        let _ = bench.send(lost(Purpose::Ordinary));
        assert_eq!(bench.state(), PrimaryState::Suspect);
        bench.answer(&[1], &[1]);
        assert_eq!(bench.state(), PrimaryState::Recovering);
    }
    let mut delays = Vec::new();
    for _ in 0..8 {
        let effects = bench.send(lost(Purpose::Ordinary));
        assert_eq!(bench.state(), PrimaryState::Down);
        assert!(!effects.contains(&Effect::ReviewExpiry), "it answers: that is no failed probe");
        assert_eq!(bench.health.last_failed_probe(), None);
        delays.push(bench.wake() - bench.second);
        bench.second = bench.wake();
        bench.round(&[1], &[1]);
        assert_eq!(bench.state(), PrimaryState::Recovering);
    }
    assert!(delays.is_sorted() && delays[0] == 30 && delays[7] == 300, "{delays:?}");
    let _ = bench.send(transient("a@example.net", Transient::Message, Purpose::Ordinary));
    let _ = bench.send(lost(Purpose::Ordinary));
    assert_eq!(bench.state(), PrimaryState::Suspect, "an answer to a message clears its name");
}

#[test]
fn an_acceptance_clears_a_suspect_at_once() {
    let mut bench = Bench::up();
    let _ = bench.send(lost(Purpose::Ordinary));
    let effects = bench.send(accepted());
    assert!(changed(&effects, (PrimaryState::Suspect, PrimaryState::Recovering)), "{effects:?}");
    assert!(effects.contains(&Effect::RequeueWithheld), "rejects were withheld meanwhile");
}

#[test]
fn a_failed_look_up_makes_it_suspect_and_the_next_decides() {
    let mut bench = Bench::up();
    let effects = bench.send(Event::Resolved(Err("SERVFAIL".to_owned())));
    assert!(changed(&effects, (PrimaryState::Up, PrimaryState::Suspect)), "{effects:?}");
    assert_eq!(effects.last(), Some(&Effect::Resolve));
    let mut other = Bench::up();
    let _ = other.send(Event::Resolved(Err("SERVFAIL".to_owned())));
    bench.answer(&[1], &[1]);
    assert_eq!(bench.state(), PrimaryState::Recovering);
    let _ = other.send(Event::Resolved(Err("SERVFAIL".to_owned())));
    assert_eq!((other.state(), other.wake()), (PrimaryState::Down, 45));
}

#[test]
fn mailbox_and_policy_trouble_changes_nothing() {
    let mut bench = Bench::up();
    for number in 0..100 {
        let event = transient(&format!("{number}@example.net"), Transient::Message, Purpose::Ordinary);
        assert_eq!(bench.send(event), []);
    }
    assert_eq!(bench.send(refused(&["a", "b", "c", "d", "e", "f"])), []);
    assert_eq!(bench.state(), PrimaryState::Up);
    assert!(bench.health.reject_is_final());
}

#[test]
fn the_last_failure_is_kept_in_bounds() {
    let mut bench = Bench::up();
    let _ =
        bench.send(Event::SessionLost { endpoint: key(1), detail: "ä".repeat(10_000), purpose: Purpose::Ordinary });
    assert_eq!(bench.health.last_error().map(|error| error.chars().count()), Some(500));
}

#[test]
fn a_real_fall_clears_false_alarms() {
    let mut bench = Bench::up();
    for _ in 0..3 {
        let _ = bench.send(lost(Purpose::Ordinary));
        bench.answer(&[1], &[1]);
    }
    let _ = bench.send(lost(Purpose::Ordinary));
    assert_eq!(bench.state(), PrimaryState::Down);
    bench.second = bench.wake();
    bench.round(&[1], &[]);
    bench.second = bench.wake();
    bench.round(&[1], &[1]);
    let _ = bench.send(lost(Purpose::Ordinary));
    assert_eq!(bench.state(), PrimaryState::Suspect);
}

#[test]
fn a_suspect_that_was_up_is_on_trial_without_its_mail_being_made_due() {
    let mut bench = Bench::up();
    let _ = bench.send(lost(Purpose::Ordinary));
    let _ = bench.send(Event::Resolved(Ok(vec![listed(1)])));
    let effects = bench.send(Event::Probed(key(1), Ok(())));
    assert!(changed(&effects, (PrimaryState::Suspect, PrimaryState::Recovering)), "{effects:?}");
    assert_eq!(effects[1..], [Effect::RequeueWithheld], "one message that kills every session keeps its due time");
    assert!(!bench.health.reject_is_final(), "it may have been started anew");
    let effects = bench.send(refused(&["a", "b", "c", "d", "e"]));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::StormBegan { .. })), "{effects:?}");
}

#[test]
fn a_resolver_that_is_silent_is_no_evidence() {
    let silent = || Event::NoAnswer("timed out".to_owned());
    let mut bench = Bench::up();
    bench.second = 300;
    assert_eq!(bench.tick(), [Effect::Resolve]);
    assert_eq!(bench.send(silent()), [Effect::Probe(key(1))], "the address that is known is asked");
    assert_eq!(bench.state(), PrimaryState::Up);
    let _ = bench.send(Event::Probed(key(1), Ok(())));
    assert_eq!(bench.state(), PrimaryState::Up);

    let mut bench = Bench::new(Backlog::Held);
    assert_eq!(bench.tick(), [Effect::Resolve]);
    let effects = bench.send(silent());
    assert_eq!(bench.state(), PrimaryState::Down, "there is no address to ask");
    assert!(!effects.contains(&Effect::ReviewExpiry), "but it was not tried: {effects:?}");
    assert_eq!((bench.health.last_failed_probe(), bench.health.last_error()), (None, Some("timed out")));
    bench.second = bench.wake();
    bench.round(&[1], &[1]);
    assert_eq!(bench.state(), PrimaryState::Recovering);
}

#[test]
fn a_failure_is_shown_until_the_primary_is_up() {
    let mut bench = Bench::down();
    assert!(bench.health.last_error().is_some());
    bench.second = 30;
    bench.round(&[1], &[1]);
    assert!(bench.health.last_error().is_some(), "why it is on trial");
    let _ = bench.accept(20);
    assert_eq!((bench.state(), bench.health.last_error()), (PrimaryState::Up, None));
}

#[test]
fn a_silent_primary_is_asked_even_if_it_answered_a_moment_ago() {
    let mut bench = Bench::up();
    let _ = bench.send(Event::Opened(key(1)));
    assert_eq!(bench.send(Event::ClientCame), []);
    assert_eq!(bench.send(Event::Stalled), [Effect::Resolve]);
    assert_eq!(bench.send(Event::Stalled), [], "once");
    assert_eq!(bench.answer(&[1], &[]), [key(1)]);
    assert_eq!(bench.state(), PrimaryState::Suspect);
    bench.answer(&[1], &[]);
    assert_eq!(bench.state(), PrimaryState::Down);
    assert_eq!(bench.send(Event::Stalled), [], "its sessions are no news any more");
}

#[test]
fn where_only_sessions_hang_there_is_room_for_another() {
    let mut bench = Bench::up();
    assert_eq!(bench.health.concurrency(), 1);
    let _ = bench.send(Event::Stalled);
    bench.answer(&[1], &[1]);
    assert_eq!((bench.state(), bench.health.concurrency()), (PrimaryState::Up, 5));
    let _ = bench.send(Event::Opened(key(1)));
    assert_eq!(bench.health.concurrency(), 5, "for one answer only");
}
