//! How time passes for a lease: by the monotonic clock of this machine alone. Pure: the instants are parameters.
//!
//! The clocks of two operators need not agree, and one may be set while it runs. So what others wrote of time into the
//! record is never read: it counts when their record was seen here to change, and when our own request began.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::LeaseSpec;
use tokio::time::Instant;

use super::decide::RENEW_DEADLINE;

/// The record as it was last seen to change.
#[derive(Debug, Default)]
pub struct Observed(Option<(LeaseSpec, Instant)>);

impl Observed {
    /// For how long the record has not changed, as seen from here.
    pub fn unchanged(&mut self, record: Option<&LeaseSpec>, now: Instant) -> Duration {
        match (&self.0, record) {
            (Some((seen, since)), Some(record)) if seen == record => now.duration_since(*since),
            (_, record) => {
                self.0 = record.map(|record| (record.clone(), now));
                Duration::ZERO
            }
        }
    }
}

/// A lease that is ours.
#[derive(Clone, Copy, Debug)]
pub struct Term {
    /// When the request began that it is ours by. Others may count from then on, whenever the answer came.
    asked: Instant,
}

impl Term {
    /// By a request that began then.
    #[must_use]
    pub const fn begun(asked: Instant) -> Self {
        Self { asked }
    }

    /// How long it may still be relied on without being renewed.
    #[must_use]
    pub fn left(self, now: Instant) -> Duration {
        RENEW_DEADLINE.saturating_sub(now.duration_since(self.asked))
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{
        apimachinery::pkg::apis::meta::v1::MicroTime,
        jiff::{SignedDuration, Timestamp},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::lease::decide::{Act, EVERY, HOLDS, WRITE_TIMEOUT, decide};

    /// Another's record, renewed at a moment of its own clock: so many seconds from a moment that is the same for all.
    fn record(renewed: i64) -> LeaseSpec {
        let clock = "2027-01-15T08:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(renewed);
        LeaseSpec {
            holder_identity: Some("them".into()),
            lease_duration_seconds: i32::try_from(HOLDS.as_secs()).ok(),
            renew_time: Some(MicroTime(clock)),
            ..LeaseSpec::default()
        }
    }

    /// What is done at these seconds, where the other's record says these moments of its clock.
    fn acts(seen: &[(u64, i64)]) -> Vec<bool> {
        let (start, mut observed) = (Instant::now(), Observed::default());
        let taken = |(second, renewed): &(u64, i64)| {
            let record = record(*renewed);
            let unchanged = observed.unchanged(Some(&record), start + Duration::from_secs(*second));
            decide(Some(&record), "us", unchanged) != Act::Wait
        };
        seen.iter().map(taken).collect()
    }

    #[test]
    fn another_s_clock_says_nothing() {
        for (what, seen, wanted) in [
            ("it is a day behind, and renews", vec![(0, -86400), (14, -86386), (28, -86372)], [false, false, false]),
            ("it is a day ahead, and has ended", vec![(0, 86400), (14, 86400), (15, 86400)], [false, false, true]),
            ("it is set back at each renewal", vec![(0, 0), (14, -3600), (28, -7200)], [false, false, false]),
            ("it is set so that a renewal looks as one before", vec![(0, 0), (10, 5), (20, 0)], [false, false, false]),
            ("it is seen for the first time, and is old", vec![(0, -86400), (1, -86400), (2, -86400)], [false; 3]),
        ] {
            assert_eq!(acts(&seen), wanted, "{what}");
        }
    }

    #[test]
    fn a_record_that_is_gone_is_nobody_s_and_one_that_comes_back_is_fresh() {
        let (start, mut observed) = (Instant::now(), Observed::default());
        let at = |second| start + Duration::from_secs(second);
        assert_eq!(observed.unchanged(Some(&record(0)), at(0)), Duration::ZERO);
        assert_eq!(observed.unchanged(None, at(10)), Duration::ZERO);
        assert_eq!(observed.unchanged(Some(&record(0)), at(20)), Duration::ZERO);
        assert_eq!(observed.unchanged(Some(&record(0)), at(30)), Duration::from_secs(10));
    }

    #[test]
    fn an_answer_that_comes_late_makes_the_term_no_longer() {
        let start = Instant::now();
        let term = Term::begun(start);
        let answered = start + Duration::from_secs(9);
        assert_eq!(term.left(answered), RENEW_DEADLINE - Duration::from_secs(9));
        assert_eq!(term.left(start + RENEW_DEADLINE + EVERY), Duration::ZERO);
    }

    proptest! {
        /// Whatever the other's clock says and however late the answers come, it has ended before we begin.
        #[test]
        fn no_two_lead(clock in -1_000_000i64..1_000_000, written in 0u64..4_000, looks in prop::collection::vec(100u64..4_000, 1..40)) {
            let start = Instant::now();
            let at = |millisecond| start + Duration::from_millis(millisecond);
            // The other asked at the start; its write took effect a while later, and it never wrote again.
            let term = Term::begun(start);
            let (mut observed, mut now) = (Observed::default(), written);
            for wait in looks {
                let unchanged = observed.unchanged(Some(&record(clock)), at(now));
                if decide(Some(&record(clock)), "us", unchanged) != Act::Wait {
                    // A write that it began at the last moment has ended too.
                    prop_assert_eq!(term.left(at(now) - WRITE_TIMEOUT), Duration::ZERO);
                }
                now += wait;
            }
        }
    }
}
