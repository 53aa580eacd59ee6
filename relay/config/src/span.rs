//! Lengths of time as people write them: an integer and a unit, `30s`, `5m`, `12h`, `7d`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time in whole seconds, written as an integer and one of `s`, `m`, `h`, `d`.
///
/// At most ten years, so that adding one to a timestamp cannot overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

/// What is wrong with a text that should be a [`Span`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration: an integer and s, m, h or d, such as 30s, 5m or 7d, at most 3650d; got {}", crate::wording::Got(.0))]
pub struct SpanError(String);

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const MAX: u64 = 3650 * DAY;

impl Span {
    /// A span of that many seconds; more than ten years are cut to ten years.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(if seconds > MAX { MAX } else { seconds })
    }

    /// A span of that many minutes.
    #[must_use]
    pub const fn minutes(minutes: u64) -> Self {
        Self::seconds(minutes.saturating_mul(MINUTE))
    }

    /// A span of that many days.
    #[must_use]
    pub const fn days(days: u64) -> Self {
        Self::seconds(days.saturating_mul(DAY))
    }

    /// The span in seconds.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// The span as the standard library's duration.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.as_duration()
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || SpanError(text.to_owned());
        let unit = match text.as_bytes().last() {
            Some(b's') => 1,
            Some(b'm') => MINUTE,
            Some(b'h') => HOUR,
            Some(b'd') => DAY,
            _ => return Err(wrong()),
        };
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        match count.checked_mul(unit) {
            Some(seconds) if seconds <= MAX => Ok(Self(seconds)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = match self.0 {
            0 => (0, 's'),
            s if s.is_multiple_of(DAY) => (s / DAY, 'd'),
            s if s.is_multiple_of(HOUR) => (s / HOUR, 'h'),
            s if s.is_multiple_of(MINUTE) => (s / MINUTE, 'm'),
            s => (s, 's'),
        };
        write!(f, "{count}{unit}")
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::load::scalar(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["0s", "30s", "5m", "45m", "12h", "7d", "90s", "3650d"] {
            assert_eq!(text.parse::<Span>().map(|s| s.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("60s".parse::<Span>().map(|s| s.to_string()), Ok("1m".to_owned()));
    }

    #[test]
    fn refuses_what_is_not_an_integer_and_a_unit() {
        for text in ["", "7", "d", "7 d", "-7d", "+7d", "1.5h", "7w", "7D", "PT5M", "3651d", "99999999999999999999s"] {
            assert!(text.parse::<Span>().is_err(), "{text:?} was taken");
        }
    }
}
