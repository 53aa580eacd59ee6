//! Time as the relay uses it: the wall clock for what is written down, a monotonic one for what is waited for.
//!
//! Pure code never reads a clock; it is handed a [`Timestamp`] or a [`Moment`]. Only shells call [`Clock`].

use std::{
    fmt,
    ops::{Add, Sub},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A moment of the wall clock: milliseconds since 1970-01-01T00:00:00Z. Survives a restart; may jump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(u64);

impl Timestamp {
    /// That many milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this; zero where `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// As RFC 3339 writes it, in UTC, to the second.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let moment = OffsetDateTime::from_unix_timestamp(i64::try_from(self.0 / 1000).unwrap_or(i64::MAX))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        moment.format(&Rfc3339).unwrap_or_default()
    }

    /// The moment that [`Self::rfc3339`] wrote; none where the text is no such moment since 1970.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok().map(Self)
    }

    /// As RFC 5322 3.3 writes it in a Date field, in UTC.
    #[must_use]
    pub fn rfc5322(self) -> String {
        let moment = OffsetDateTime::from_unix_timestamp(i64::try_from(self.0 / 1000).unwrap_or(i64::MAX))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let format = time::macros::format_description!(
            "[weekday repr:short], [day padding:none] [month repr:short] [year] [hour]:[minute]:[second] +0000"
        );
        moment.format(&format).unwrap_or_default()
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

/// A moment of the monotonic clock: time since the program started. Never jumps; means nothing after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// Later than any other.
    pub const MAX: Self = Self(Duration::MAX);

    /// That long after the start.
    #[must_use]
    pub const fn after_start(span: Duration) -> Self {
        Self(span)
    }

    /// The time from `earlier` to this; zero where `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span))
    }
}

/// The real clocks. Cheap to copy; one is made at the start of the program and handed to every shell.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose [`Moment`]s count from now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The wall clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    /// The monotonic clock.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment(self.start.elapsed())
    }

    /// The instant at which the monotonic clock will show that moment, for timers.
    #[must_use]
    pub fn instant(&self, moment: Moment) -> tokio::time::Instant {
        (self.start + moment.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_dates_as_the_standards_do() {
        let moment = Timestamp::from_millis(1_767_225_600_000);
        assert_eq!(moment.rfc3339(), "2026-01-01T00:00:00Z");
        assert_eq!(Timestamp::from_rfc3339("2026-01-01T00:00:00Z"), Some(moment));
        assert_eq!(Timestamp::from_rfc3339("1969-12-31T23:59:59Z"), None);
        assert_eq!(moment.rfc5322(), "Thu, 1 Jan 2026 00:00:00 +0000");
    }
}
