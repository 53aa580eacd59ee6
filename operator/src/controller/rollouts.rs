//! How many relays that take mail are being replaced over the whole cluster. Pure: time is a parameter.
//!
//! Passes run side by side, and a replacement that one has begun is in the cache of the others a moment later only. So
//! what was begun is counted here until the cache has certainly seen it.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use tokio::time::Instant;

/// How long what was begun is counted here: the watches lag by less.
const SEEN: Duration = Duration::from_secs(30);

/// A Deployment, by namespace and name.
pub type Place = (String, String);

/// The replacements that were begun a moment ago.
#[derive(Debug, Default)]
pub struct Rollouts(HashMap<Place, Instant>);

impl Rollouts {
    /// Whether one more relay that takes mail may be replaced now; then it counts. `unready` are those that take none,
    /// `most` how many there may be.
    pub fn admit(&mut self, relay: &Place, unready: &BTreeSet<Place>, most: usize, now: Instant) -> Admission {
        self.0.retain(|_, begun| now.duration_since(*begun) < SEEN);
        let others = unready.iter().chain(self.0.keys()).filter(|other| *other != relay).collect::<BTreeSet<_>>();
        if others.len() >= most {
            return Admission::Wait;
        }
        self.0.insert(relay.clone(), now);
        Admission::Go
    }
}

/// Whether a relay may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Go,
    /// Others are being replaced.
    Wait,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(name: &str) -> Place {
        ("mail".to_owned(), name.to_owned())
    }

    #[test]
    fn passes_side_by_side_begin_no_more_than_may_be() {
        let (mut rollouts, now) = (Rollouts::default(), Instant::now());
        let mut admit = |name: &str, second: u64, unready: &[&str]| {
            let unready = unready.iter().map(|name| relay(name)).collect();
            rollouts.admit(&relay(name), &unready, 2, now + Duration::from_secs(second))
        };
        assert_eq!(admit("a", 0, &[]), Admission::Go);
        assert_eq!(admit("b", 0, &[]), Admission::Go);
        assert_eq!(admit("c", 0, &[]), Admission::Wait, "the cache has not seen the two yet");
        assert_eq!(admit("a", 1, &[]), Admission::Go, "its own turn again");
        assert_eq!(admit("c", 5, &["a", "b"]), Admission::Wait, "and none is counted twice");
        assert_eq!(admit("c", 40, &["b"]), Admission::Go, "a is ready again");
        assert_eq!(admit("d", 41, &["b"]), Admission::Wait);
    }
}
