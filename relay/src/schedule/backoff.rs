//! How long to wait before a primary that failed is tried again.

use std::time::Duration;

use backupmx_relay_config::Retry;

/// The least that a back-off may start with.
const LEAST: Duration = Duration::from_millis(1);

/// How much of a delay chance may take off, in thousandths.
const SPREAD: u32 = 100;

/// A draw of chance, 0 to 999; drawn by the caller, so that everything that uses one is reproducible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jitter(u16);

impl Jitter {
    /// No chance at all: delays are as long as they may be.
    pub const NONE: Self = Self(0);

    /// Any random number.
    #[must_use]
    pub const fn from_random(number: u32) -> Self {
        Self((number % 1000) as u16)
    }
}

/// Why two durations make no back-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackoffError {
    /// The first delay is nothing: the primary would be hammered.
    #[error("expected a first delay of at least 1 ms")]
    Zero,
    /// The bounds are the wrong way round.
    #[error("expected a longest delay ({max:?}) of at least the first ({min:?})")]
    Reversed {
        /// The first delay.
        min: Duration,
        /// The longest delay.
        max: Duration,
    },
}

/// Delays that slide from `min` to `max`, each half as long again as the one before.
///
/// Chance takes up to a tenth off a delay, but never so much that it is shorter than the one before: the sequence never
/// falls, starts with exactly `min`, and ends with exactly `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    /// The last full-length delay that was handed out; none before the first.
    last: Option<Duration>,
}

impl Backoff {
    /// A back-off that starts over with `min`.
    ///
    /// # Errors
    /// `min` is zero, or more than `max`.
    pub fn new(min: Duration, max: Duration) -> Result<Self, BackoffError> {
        if min < LEAST {
            return Err(BackoffError::Zero);
        }
        if max < min {
            return Err(BackoffError::Reversed { min, max });
        }
        Ok(Self { min, max, last: None })
    }

    /// The next delay, between `min` and `max`.
    #[must_use]
    pub fn next(&mut self, jitter: Jitter) -> Duration {
        let Some(last) = self.last else {
            self.last = Some(self.min);
            return self.min;
        };
        let full = (last.saturating_mul(3) / 2).min(self.max);
        self.last = Some(full);
        let off = full.saturating_mul(u32::from(jitter.0) * SPREAD / 1000) / 1000;
        (full - off).max(last)
    }

    /// Starts over: the next delay is `min`.
    pub const fn reset(&mut self) {
        self.last = None;
    }

    /// The first delay.
    #[must_use]
    pub const fn min(&self) -> Duration {
        self.min
    }

    /// The longest delay.
    #[must_use]
    pub const fn max(&self) -> Duration {
        self.max
    }

    /// The same place on the way, between the bounds of another.
    #[must_use]
    pub fn with_bounds_of(self, other: &Self) -> Self {
        Self { last: self.last.map(|last| last.clamp(other.min, other.max)), ..*other }
    }
}

impl TryFrom<Retry> for Backoff {
    type Error = BackoffError;

    fn try_from(retry: Retry) -> Result<Self, Self::Error> {
        Self::new(retry.min.as_duration(), retry.max.as_duration())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(delays: &[u64]) -> Vec<Duration> {
        delays.iter().copied().map(Duration::from_secs).collect()
    }

    #[test]
    fn slides_from_five_to_forty_five_minutes() {
        let mut backoff = Backoff::new(Duration::from_secs(300), Duration::from_secs(2700)).unwrap();
        let delays: Vec<Duration> = (0..8).map(|_| backoff.next(Jitter::NONE)).collect();
        assert_eq!(delays[..3], seconds(&[300, 450, 675]));
        assert_eq!(delays[6..], seconds(&[2700, 2700]));
    }

    #[test]
    fn stays_where_both_bounds_are_one() {
        let mut backoff = Backoff::new(Duration::from_secs(300), Duration::from_secs(300)).unwrap();
        assert!((0..1000).all(|n| backoff.next(Jitter::from_random(n)) == Duration::from_secs(300)));
    }

    #[test]
    fn refuses_bounds_that_make_none() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(2));
        assert_eq!(Backoff::new(long, short), Err(BackoffError::Reversed { min: long, max: short }));
        assert_eq!(Backoff::new(Duration::ZERO, short), Err(BackoffError::Zero));
    }

    proptest! {
        #[test]
        fn starts_at_min_never_falls_and_reaches_max(
            min in 1_u64..100_000, more in 0_u64..10_000_000, chances in prop::collection::vec(any::<u32>(), 200)
        ) {
            let (min, max) = (Duration::from_millis(min), Duration::from_millis(min + more));
            let mut backoff = Backoff::new(min, max).unwrap();
            let delays: Vec<Duration> =
                chances.iter().map(|chance| backoff.next(Jitter::from_random(*chance))).collect();
            prop_assert_eq!(delays[0], min);
            prop_assert!(delays.is_sorted(), "{:?}", delays);
            prop_assert!(delays.iter().all(|delay| (min..=max).contains(delay)));
            prop_assert_eq!(delays.last(), Some(&max));
            backoff.reset();
            prop_assert_eq!(backoff.next(Jitter::from_random(7)), min);
        }

        #[test]
        fn new_bounds_hold_at_once(steps in 0_u32..40, min in 1_u64..1000, more in 0_u64..100_000) {
            let mut backoff = Backoff::new(Duration::from_secs(30), Duration::from_secs(300)).unwrap();
            for _ in 0..steps {
                let _ = backoff.next(Jitter::NONE);
            }
            let (min, max) = (Duration::from_secs(min), Duration::from_secs(min + more));
            let mut moved = backoff.with_bounds_of(&Backoff::new(min, max).unwrap());
            prop_assert!((min..=max).contains(&moved.next(Jitter::from_random(999))));
        }
    }
}
