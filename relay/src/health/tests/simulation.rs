//! What must hold whatever a primary does.

use backupmx_relay_config::{Retry, Span, status::PrimaryState};
use proptest::prelude::*;

use super::world::{Lot, MOODS, Mood, PROBE, SECOND, World};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever the primary did before: once it is well for good, it is found to be within one probe, and everything
    /// that waits is handed over, withheld mail too.
    #[test]
    fn a_primary_that_is_back_gets_its_mail(
        moods in prop::collection::vec((prop::sample::select(&MOODS[..]), 1_u64..1800), 0..8),
        arrivals in prop::collection::vec(0_u64..7_200_000, 0..80),
        held in 0_usize..40,
        min in 1_u64..60,
        more in 0_u64..600,
    ) {
        let retry = Retry { min: Span::seconds(min), max: Span::seconds(min + more) };
        let mut ends = 0;
        let mut moods: Vec<(Mood, u64)> = moods
            .into_iter()
            .map(|(mood, length)| {
                ends += length * SECOND;
                (mood, ends)
            })
            .collect();
        moods.push((Mood::Well, u64::MAX));
        let mut world = World::new(retry, moods, &arrivals, held);
        world.run(ends);
        let before = world.health.state();
        let waiting = world.waiting() as u64;
        let stuck = world.health.in_storm() || matches!(before, PrimaryState::Down | PrimaryState::Deferring);

        // One probe, and what was under way when the last mood ended.
        let probe = (min + more + 5) * SECOND;
        world.run(ends + probe);
        let after = world.health.state();
        prop_assert!(
            matches!(after, PrimaryState::Up | PrimaryState::Recovering) && !world.health.in_storm()
                || (before == PrimaryState::Deferring && waiting == 0 && after == before),
            "{:?} after {:?}", after, before
        );
        // Where it was up all the time, each message may wait for its own time; else all go at once.
        let drain = if stuck { waiting * 1100 } else { 46 * 60 * SECOND + waiting * 1100 };
        let last_arrival = arrivals.iter().copied().max().unwrap_or(0);
        world.run(ends + probe + drain);
        if last_arrival <= ends {
            prop_assert_eq!(world.waiting(), 0, "{:?} {:?}", before, world.mail);
        }
        world.run(ends.max(last_arrival) + probe + 46 * 60 * SECOND);
        prop_assert_eq!(world.waiting(), 0, "{:?}", world.mail);
        prop_assert_eq!(world.health.state(), PrimaryState::Up);
    }

    /// A primary that is away is tried at least every `retry.max`, however long it takes, and not much more often.
    #[test]
    fn a_primary_that_is_down_is_tried_as_often_as_configured(
        mood in prop::sample::select(&[Mood::Refuses, Mood::NoName, Mood::Busy][..]),
        held in 0_usize..3,
        min in 1_u64..60,
        more in 0_u64..600,
    ) {
        let retry = Retry { min: Span::seconds(min), max: Span::seconds(min + more) };
        let mut world = World::new(retry, vec![(mood, u64::MAX)], &[], held);
        world.run(3 * 3600 * SECOND);
        prop_assert_eq!(world.health.state(), PrimaryState::Down);
        // The back-off begins when a probe ends.
        prop_assert!(world.longest_rest <= (min + more) * SECOND + PROBE, "{} ms", world.longest_rest);
        prop_assert!(world.steps <= 5 * (3 * 3600 / min + 100), "{} steps", world.steps);
        prop_assert_eq!(world.waiting(), held);
    }

    /// No reject of a primary that comes back broken reaches a sender, however little mail tells that it is.
    #[test]
    fn a_primary_that_comes_back_broken_bounces_nothing(
        held in 1_usize..200,
        hours in 1_u64..24,
        broken in prop::sample::select(&[Mood::RejectsAll, Mood::RejectsContent][..]),
    ) {
        let moods = vec![(Mood::Refuses, 60 * SECOND), (broken, hours * 3600 * SECOND), (Mood::Well, u64::MAX)];
        let mut world = World::new(Retry::default(), moods, &[], held);
        world.run(hours * 3600 * SECOND);
        prop_assert_eq!(world.health.in_storm(), held >= 5);
        prop_assert_eq!(world.waiting(), held);
        world.run((hours + 1) * 3600 * SECOND);
        prop_assert!(world.mail.iter().all(|lot| *lot == Lot::Delivered), "{:?}", world.mail);
    }
}
