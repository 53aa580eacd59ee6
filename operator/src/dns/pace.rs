//! How soon a question is asked again. Pure.

use std::time::Duration;

/// The shortest and the longest wait for an answer that is awaited.
const AWAITED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// The shortest and the longest wait for an answer that is as wanted; between them, the records' TTL.
const SETTLED: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(900));

/// What is expected of the next answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// Another one than the last: the records are on their way.
    #[default]
    Awaited,
    /// The same as the last.
    Settled,
}

/// How long to wait. `same` is how often in a row the answer was the same, or was none; `ttl` that of the records, in
/// seconds.
#[must_use]
pub fn wait(pace: Pace, same: u32, ttl: Option<u32>) -> Duration {
    match pace {
        Pace::Awaited => AWAITED.0.mul_f64(1.3f64.powi(i32::try_from(same.min(20)).unwrap_or(20))).min(AWAITED.1),
        Pace::Settled => ttl.map_or(SETTLED.0, |ttl| Duration::from_secs(ttl.into())).clamp(SETTLED.0, SETTLED.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_awaited_is_asked_for_soon_and_then_less_often() {
        let waits: Vec<Duration> = (0..40).map(|same| wait(Pace::Awaited, same, Some(86_400))).collect();
        assert_eq!(waits[0], Duration::from_secs(5));
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(waits[39], Duration::from_secs(60));
        let first_minutes: Duration = waits[..6].iter().sum();
        assert!(first_minutes < Duration::from_secs(90), "{first_minutes:?}");
    }

    #[test]
    fn what_is_settled_is_asked_for_by_its_ttl() {
        for (ttl, wanted) in [(Some(1), 60), (Some(300), 300), (Some(86_400), 900), (None, 60)] {
            assert_eq!(wait(Pace::Settled, 9, ttl), Duration::from_secs(wanted));
        }
    }
}
