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
