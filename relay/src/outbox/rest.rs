//! How long destinations rest after failures, and how many reports a domain gets in a minute. Pure but for the lock.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;

use super::route::Route;
use crate::clock::{Moment, Timestamp};

/// The rest after the first failure.
const FIRST: Duration = Duration::from_secs(60);
/// The longest rest.
const LONGEST: Duration = Duration::from_secs(3600);
/// Destinations remembered; beyond it those that have rested are forgotten.
const REMEMBERED: usize = 10_000;
/// The window of the rate.
const MINUTE: Duration = Duration::from_secs(60);

/// The rest after so many failures in a row.
pub(super) fn rest_after(failures: u32) -> Duration {
    FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST)
}

/// A destination that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// In a row.
    pub(super) failures: u32,
    /// When it may be tried again.
    pub(super) until: Moment,
    /// When it was tried last.
    pub(super) at: Timestamp,
    /// What happened.
    pub(super) problem: String,
}

/// The destinations that have failed.
#[derive(Debug, Default)]
pub(super) struct Routes(Mutex<HashMap<Route, Failed>>);

impl Routes {
    /// What is known against a destination that must rest now.
    pub(super) fn resting(&self, route: &Route, now: Moment) -> Option<Failed> {
        self.0.lock().get(route).filter(|failed| failed.until > now).cloned()
    }

    /// It failed once more; returns what is known now.
    pub(super) fn failed(&self, route: &Route, problem: String, wall: Timestamp, now: Moment) -> Failed {
        let mut routes = self.0.lock();
        if routes.len() >= REMEMBERED {
            routes.retain(|_, failed| failed.until > now);
        }
        let failures = routes.get(route).map_or(0, |failed| failed.failures).saturating_add(1);
        let failed = Failed { failures, until: now + rest_after(failures), at: wall, problem };
        routes.insert(route.clone(), failed.clone());
        failed
    }

    /// It works.
    pub(super) fn works(&self, route: &Route) {
        self.0.lock().remove(route);
    }
}

/// Reports sent to one domain in the current minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rate {
    began: Moment,
    sent: u32,
}

impl Rate {
    /// Counts one more, or says how long to wait for it.
    pub(super) fn take(&mut self, most: u32, now: Moment) -> Result<(), Duration> {
        let within = now.since(self.began);
        if within >= MINUTE || self.sent == 0 {
            *self = Self { began: now, sent: 0 };
        } else if self.sent >= most {
            return Err(MINUTE - within);
        }
        self.sent += 1;
        Ok(())
    }

    /// Whether nothing of it matters any more.
    pub(super) fn is_over(&self, now: Moment) -> bool {
        now.since(self.began) >= MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    #[test]
    fn a_rest_doubles_from_a_minute_to_an_hour() {
        let minutes: Vec<u64> = (1..=8).map(|failures| rest_after(failures).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(rest_after(u32::MAX), LONGEST);
    }

    #[test]
    fn a_destination_rests_until_it_works() {
        let routes = Routes::default();
        let route = Route::Exchangers("example.net".parse().unwrap());
        assert_eq!(routes.resting(&route, at(0)), None);
        routes.failed(&route, "first".to_owned(), Timestamp::from_millis(5), at(0));
        assert_eq!(routes.resting(&route, at(59)).map(|failed| failed.problem), Some("first".to_owned()));
        assert_eq!(routes.resting(&route, at(60)), None);
        let again = routes.failed(&route, "second".to_owned(), Timestamp::from_millis(9), at(60));
        assert_eq!((again.failures, again.until), (2, at(180)));
        routes.works(&route);
        assert_eq!(routes.failed(&route, String::new(), Timestamp::from_millis(9), at(200)).failures, 1);
    }

    #[test]
    fn a_domain_gets_so_many_in_a_minute() {
        let mut rate = Rate::default();
        assert_eq!(rate.take(2, at(100)), Ok(()));
        assert_eq!(rate.take(2, at(110)), Ok(()));
        assert_eq!(rate.take(2, at(120)), Err(Duration::from_secs(40)));
        assert!(!rate.is_over(at(159)));
        assert_eq!(rate.take(2, at(160)), Ok(()));
        assert_eq!(rate.take(2, at(161)), Ok(()));
        assert_eq!(rate.take(2, at(161)), Err(Duration::from_secs(59)));
    }
}
