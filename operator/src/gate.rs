//! Which relays may take a new pod template now. Pure.
//!
//! A new template replaces the pod, and for that while the relay takes no mail. So the relays of a resource go one at
//! a time, each ready before the next; one that is not ready has nothing to lose and goes first, whatever else is
//! under way: a template that was broken must not block its own repair.

use crate::validated::RelayName;

/// Where a relay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has no Deployment yet.
    Absent,
    /// Its template is the one that is wanted.
    Current(Readiness),
    /// Its template is another.
    Stale(Readiness),
}

/// Whether a relay takes mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It does, on its newest template.
    Ready,
    /// It does not, or its pod is being replaced.
    Unready,
}

/// One relay of the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub name: RelayName,
    /// Where it stands.
    pub standing: Standing,
}

/// The relays that may take the wanted template now. `free` is how many more ready relays may be replaced over the
/// whole cluster.
#[must_use]
pub fn open(relays: &[Candidate], free: usize) -> Vec<RelayName> {
    use Readiness::{Ready, Unready};
    let named = |standing: Standing| relays.iter().filter(move |relay| relay.standing == standing);
    // A Deployment that is made, or one that is as wanted, interrupts nobody.
    let harmless = relays
        .iter()
        .filter(|relay| matches!(relay.standing, Standing::Absent | Standing::Current(_)))
        .map(|relay| relay.name.clone());
    let repair = named(Standing::Stale(Unready)).next();
    let all_ready =
        relays.iter().all(|relay| matches!(relay.standing, Standing::Current(Ready) | Standing::Stale(Ready)));
    let next = if all_ready && free > 0 { named(Standing::Stale(Ready)).next() } else { None };
    harmless.chain(repair.or(next).map(|relay| relay.name.clone())).collect()
}

/// The relays that leave and may take the wanted template now. Those that serve go first, and wait for none that
/// leaves: it may be broken for reasons of its own, such as a node that is gone.
#[must_use]
pub fn open_leaving(serving: &[Candidate], leaving: &[Candidate], free: usize) -> Vec<RelayName> {
    let calm = serving.iter().all(|relay| relay.standing == Standing::Current(Readiness::Ready));
    open(leaving, if calm { free } else { 0 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Readiness::{Ready, Unready};
    use Standing::{Absent, Current, Stale};

    fn relays(standings: &[Standing]) -> Vec<Candidate> {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        standings
            .iter()
            .zip(names)
            .map(|(standing, name)| Candidate { name: name.parse().unwrap(), standing: *standing })
            .collect()
    }

    fn opened(standings: &[Standing], free: usize) -> String {
        open(&relays(standings), free).iter().map(RelayName::as_str).collect()
    }

    #[test]
    fn one_at_a_time_and_the_broken_first() {
        for (what, standings, free, wanted) in [
            ("a first start", vec![Absent, Absent], 0, "ab"),
            ("all as wanted", vec![Current(Ready), Current(Ready)], 1, "ab"),
            ("the first of two", vec![Stale(Ready), Stale(Ready)], 1, "a"),
            ("the first is not ready yet", vec![Current(Unready), Stale(Ready)], 1, "a"),
            ("the first is ready", vec![Current(Ready), Stale(Ready)], 1, "ab"),
            ("a broken one before a good one", vec![Stale(Ready), Stale(Unready)], 1, "b"),
            ("the repair of a broken one", vec![Stale(Unready), Stale(Ready)], 1, "a"),
            ("a repair while another starts", vec![Current(Unready), Stale(Unready)], 1, "ab"),
            ("the cluster has no slot free", vec![Stale(Ready), Stale(Ready)], 0, ""),
            ("a repair needs no slot", vec![Stale(Unready), Stale(Ready)], 0, "a"),
            ("a new one holds the others back", vec![Absent, Stale(Ready)], 1, "a"),
            ("a single relay", vec![Stale(Ready)], 1, "a"),
        ] {
            assert_eq!(opened(&standings, free), wanted, "{what}");
        }
    }

    #[test]
    fn what_leaves_goes_after_what_serves_and_its_repair_waits_for_nothing() {
        let opened = |serving: &[Standing], leaving: &[Standing], free| -> String {
            let leaving = relays(leaving);
            open_leaving(&relays(serving), &leaving, free).iter().map(RelayName::as_str).collect()
        };
        for (what, serving, leaving, free, wanted) in [
            ("all leave", vec![], vec![Stale(Ready), Stale(Ready)], 1, "a"),
            ("one serves, as wanted", vec![Current(Ready)], vec![Stale(Ready)], 1, "a"),
            ("one serves, and goes first", vec![Stale(Ready)], vec![Stale(Ready)], 1, ""),
            ("one serves, and is being replaced", vec![Current(Unready)], vec![Stale(Ready)], 1, ""),
            ("a repair", vec![Current(Unready)], vec![Stale(Unready)], 0, "a"),
            ("no slot", vec![Current(Ready)], vec![Stale(Ready)], 0, ""),
        ] {
            assert_eq!(opened(&serving, &leaving, free), wanted, "{what}");
        }
        assert_eq!(open(&relays(&[Stale(Ready)]), 1).len(), 1, "a leaving relay holds no other back");
    }

    fn any_standing() -> impl Strategy<Value = Standing> {
        prop_oneof![
            Just(Absent),
            Just(Current(Ready)),
            Just(Current(Unready)),
            Just(Stale(Ready)),
            Just(Stale(Unready))
        ]
    }

    proptest! {
        #[test]
        fn never_takes_the_last_ready_relay_beside_an_unready_one(
            standings in prop::collection::vec(any_standing(), 1..8), free in 0usize..3,
        ) {
            let relays = relays(&standings);
            let opened = open(&relays, free);
            let interrupted = relays
                .iter()
                .filter(|relay| relay.standing == Stale(Ready) && opened.contains(&relay.name))
                .count();
            prop_assert!(interrupted <= 1);
            let unready = standings.iter().any(|s| matches!(s, Absent | Current(Unready) | Stale(Unready)));
            prop_assert!(interrupted == 0 || !unready);
        }

        #[test]
        fn a_rollout_ends(mut standings in prop::collection::vec(any_standing(), 1..8)) {
            for _ in 0..=standings.len() {
                let relays = relays(&standings);
                let opened = open(&relays, 1);
                for (standing, relay) in standings.iter_mut().zip(&relays) {
                    // Whatever was let through is ready by the next pass.
                    if opened.contains(&relay.name) {
                        *standing = Current(Ready);
                    }
                }
            }
            prop_assert!(standings.iter().all(|s| *s == Current(Ready)), "{:?}", standings);
        }
    }
}
