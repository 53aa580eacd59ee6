//! A primary that turns out to be this relay itself.

use backupmx_relay_config::status::PrimaryState;

use super::{super::*, bench::*};
use crate::{
    clock::Timestamp,
    schedule::{ClockTrust, deadline, may_expire},
};

fn ourselves() -> OpenFailure {
    OpenFailure::Ourselves("the server calls itself mx1.example, as we do".to_owned())
}

/// A look-up is due; of `there` each is ourselves that is in `us`, and no other answers.
fn round(bench: &mut Bench, there: &[u8], us: &[u8]) -> Vec<Effect> {
    assert_eq!(bench.tick(), [Effect::Resolve]);
    let probes = bench.send(Event::Resolved(Ok(there.iter().copied().map(listed).collect())));
    let mut effects = Vec::new();
    for effect in probes {
        let Effect::Probe(probe) = effect else { panic!("{effect:?}") };
        let failure = if us.iter().any(|number| key(*number) == probe) { ourselves() } else { failed() };
        effects.extend(bench.send(Event::Probed(probe, Err(failure))));
    }
    effects
}

#[test]
fn it_is_down_and_said_once() {
    let mut bench = Bench::new(Backlog::Held);
    let effects = round(&mut bench, &[1, 2], &[2]);
    assert_eq!(bench.state(), PrimaryState::Down);
    assert!(bench.health.is_looping());
    assert_eq!(effects.iter().filter(|effect| **effect == Effect::LoopFound).count(), 1);
    bench.second = 30;
    assert!(!round(&mut bench, &[1, 2], &[1, 2]).contains(&Effect::LoopFound), "it is said already");
    assert!(bench.health.is_looping());
}

#[test]
fn its_mail_expires_as_that_of_one_that_is_down() {
    let mut bench = Bench::new(Backlog::Held);
    assert!(round(&mut bench, &[1], &[1]).contains(&Effect::ReviewExpiry));
    let now = bench.now().wall;
    let input = bench.health.expiry_input(now, ClockTrust::Believed, now, None);
    assert!(may_expire(deadline(Timestamp::default(), &Default::default()), &input));
    assert!(!may_expire(now + std::time::Duration::from_secs(1), &input), "not before its time");
}

#[test]
fn it_ends_when_the_server_is_another() {
    let mut bench = Bench::new(Backlog::Held);
    let _ = round(&mut bench, &[1], &[1]);
    bench.second = 30;
    assert_eq!(bench.tick(), [Effect::Resolve]);
    let _ = bench.send(Event::Resolved(Ok(vec![listed(1)])));
    let effects = bench.send(Event::Probed(key(1), Ok(())));
    assert!(effects.contains(&Effect::LoopGone) && effects.contains(&Effect::MakeDue(Reach::Waiting)), "{effects:?}");
    assert_eq!((bench.state(), bench.health.is_looping()), (PrimaryState::Recovering, false));
}

#[test]
fn a_host_that_is_ourselves_beside_a_good_one_is_passed_over() {
    let mut bench = Bench::new(Backlog::Empty);
    assert_eq!(bench.tick(), [Effect::Resolve]);
    let _ = bench.send(Event::Resolved(Ok(vec![listed(1), listed(2)])));
    let _ = bench.send(Event::Probed(key(1), Err(ourselves())));
    let _ = bench.send(Event::Probed(key(2), Ok(())));
    assert_eq!((bench.state(), bench.health.is_looping()), (PrimaryState::Up, false));
    assert_eq!(bench.health.usable_endpoints().collect::<Vec<_>>(), [&listed(2)]);
}
