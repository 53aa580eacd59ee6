//! How fast Events are written. Pure: time is a parameter.
//!
//! A primary that many resources share, and that goes away, is a moment for each of them; so is an operator's start. The
//! API server keeps Events where it keeps everything else.

use std::time::Duration;

use tokio::time::Instant;

/// How many may be written at once.
pub const BURST: u32 = 50;
/// How long it takes until one more may be.
pub const EVERY: Duration = Duration::from_millis(200);

/// How fast Events are written: a bucket that holds [`BURST`] and gets one more in [`EVERY`].
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// When it is full again.
    full: Instant,
}

impl Pace {
    /// A full bucket.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { full: now }
    }

    /// Takes one out, and says how long to wait before it is used.
    #[must_use]
    pub fn take(&mut self, now: Instant) -> Duration {
        self.full = self.full.max(now) + EVERY;
        self.full.duration_since(now).saturating_sub(EVERY * BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_go_at_once_and_the_others_one_by_one() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for number in 0..BURST {
            assert_eq!(pace.take(start), Duration::ZERO, "{number}");
        }
        assert_eq!(pace.take(start), EVERY);
        assert_eq!(pace.take(start), EVERY * 2);
        let later = start + EVERY * 2;
        assert_eq!(pace.take(later), EVERY, "those before it have waited");
        assert_eq!(pace.take(start + Duration::from_secs(3600)), Duration::ZERO);
    }
}
