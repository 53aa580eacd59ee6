//! Whether the wall clock is believed.

use std::time::Duration;

use crate::clock::{Moment, Timestamp};

/// The largest difference that a correction of the clock may make.
const LARGEST: Duration = Duration::from_secs(3600);

/// Whether the wall clock is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockTrust {
    /// It went as the monotonic clock did.
    #[default]
    Believed,
    /// It jumped, and no person has said yet that it is right.
    Doubted,
}

/// A jump of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// It is that much later than it should be.
    Ahead(Duration),
    /// It is that much earlier than it should be, or than it was when the program last ran.
    Back(Duration),
}

/// Compares the wall clock with the monotonic one: one that jumps by more than an hour is doubted, and nothing expires,
/// until a person confirms it.
///
/// At start there is no monotonic clock to compare with. A wall clock earlier than it was when last seen has jumped; a
/// later one has not, as the machine was switched off meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct ClockWatch {
    last: Last,
    trust: ClockTrust,
}

#[derive(Clone, Copy, Debug)]
enum Last {
    /// Nothing is known.
    Never,
    /// Seen by an earlier run of the program.
    Before(Timestamp),
    /// Seen by this one.
    Seen(Timestamp, Moment),
}

impl ClockWatch {
    /// A watch at the start of the program. `last_seen` is the latest moment that is known to have passed (of the last
    /// run, or of the newest message); `trust` is what the last run ended with, [`ClockTrust::Believed`] where that was
    /// not kept.
    #[must_use]
    pub const fn new(last_seen: Option<Timestamp>, trust: ClockTrust) -> Self {
        let last = match last_seen {
            Some(wall) => Last::Before(wall),
            None => Last::Never,
        };
        Self { last, trust }
    }

    /// Looks at both clocks. Returns the jump since the last look, where there was one; from then on the wall clock is
    /// doubted. Called at least every few minutes.
    pub fn step(&mut self, wall: Timestamp, moment: Moment) -> Option<Jump> {
        let jump = match self.last {
            Last::Never => None,
            Last::Before(last) => (last.since(wall) > LARGEST).then(|| Jump::Back(last.since(wall))),
            Last::Seen(last, then) => {
                let expected = last + moment.since(then);
                let (ahead, back) = (wall.since(expected), expected.since(wall));
                if ahead > LARGEST {
                    Some(Jump::Ahead(ahead))
                } else if back > LARGEST {
                    Some(Jump::Back(back))
                } else {
                    None
                }
            }
        };
        self.last = Last::Seen(wall, moment);
        if jump.is_some() {
            self.trust = ClockTrust::Doubted;
        }
        jump
    }

    /// A person says that the wall clock is right.
    pub const fn confirm(&mut self) {
        self.trust = ClockTrust::Believed;
    }

    /// Whether the wall clock is believed.
    #[must_use]
    pub const fn trust(&self) -> ClockTrust {
        self.trust
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3600;
    const YEAR_2026: u64 = 1_767_225_600;

    fn wall(second: u64) -> Timestamp {
        Timestamp::from_millis((YEAR_2026 + second) * 1000)
    }

    fn moment(second: u64) -> Moment {
        Moment::after_start(Duration::from_secs(second))
    }

    fn running() -> ClockWatch {
        let mut watch = ClockWatch::new(None, ClockTrust::Believed);
        assert_eq!(watch.step(wall(10 * HOUR), moment(0)), None);
        watch
    }

    #[test]
    fn doubts_a_jump_of_more_than_an_hour_either_way() {
        for (then, jump) in [
            (10 * HOUR + 60, None),
            (11 * HOUR + 60, None),
            (11 * HOUR + 61, Some(Jump::Ahead(Duration::from_secs(HOUR + 1)))),
            (9 * HOUR + 60, None),
            (9 * HOUR + 59, Some(Jump::Back(Duration::from_secs(HOUR + 1)))),
            (100_000 * HOUR, Some(Jump::Ahead(Duration::from_secs(99_990 * HOUR - 60)))),
        ] {
            let mut watch = running();
            assert_eq!(watch.step(wall(then), moment(60)), jump, "at {then}");
            let trust = if jump.is_some() { ClockTrust::Doubted } else { ClockTrust::Believed };
            assert_eq!(watch.trust(), trust);
        }
    }

    #[test]
    fn doubts_until_a_person_confirms() {
        let mut watch = running();
        assert!(watch.step(wall(20 * HOUR), moment(60)).is_some());
        assert_eq!(watch.step(wall(20 * HOUR + 60), moment(120)), None);
        assert!(watch.step(wall(10 * HOUR + 180), moment(180)).is_some(), "jumped back: that is no confirmation");
        assert_eq!(watch.trust(), ClockTrust::Doubted);
        watch.confirm();
        assert_eq!(watch.step(wall(10 * HOUR + 240), moment(240)), None);
        assert_eq!(watch.trust(), ClockTrust::Believed);
    }

    #[test]
    fn at_start_an_earlier_clock_has_jumped_and_a_later_one_has_not() {
        for (now, jump) in [
            (10 * HOUR, None),
            (500 * HOUR, None),
            (9 * HOUR, None),
            (9 * HOUR - 1, Some(Jump::Back(Duration::from_secs(HOUR + 1)))),
        ] {
            let mut watch = ClockWatch::new(Some(wall(10 * HOUR)), ClockTrust::Believed);
            assert_eq!(watch.step(wall(now), moment(5)), jump, "at {now}");
        }
    }

    #[test]
    fn doubt_outlives_a_restart_where_it_was_kept() {
        let mut watch = ClockWatch::new(Some(wall(0)), ClockTrust::Doubted);
        assert_eq!(watch.step(wall(1), moment(0)), None);
        assert_eq!(watch.trust(), ClockTrust::Doubted);
    }

    proptest! {
        #[test]
        fn a_clock_that_is_only_corrected_is_believed(
            steps in prop::collection::vec((0_u64..100_000, -1800_i64..1800), 1..100)
        ) {
            let mut watch = ClockWatch::new(None, ClockTrust::Believed);
            let mut passed = 0;
            for (step, error) in steps {
                passed += step;
                // At most half an hour off either way: two looks differ by at most an hour.
                let shown = wall((passed + 100 * HOUR).saturating_add_signed(error));
                prop_assert_eq!(watch.step(shown, moment(passed)), None);
            }
            prop_assert_eq!(watch.trust(), ClockTrust::Believed);
        }
    }
}
