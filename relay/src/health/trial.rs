//! Single messages that are sent now and then to see whether the primary takes mail.

use std::time::Duration;

use super::Now;
use crate::{clock::Moment, schedule::Backoff};

/// A trial of which nothing was heard for this time is begun again. Longer than all time-outs of a transaction.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

#[derive(Clone, Copy, Debug)]
enum Slot {
    /// The next trial begins then.
    Waiting(Moment),
    /// One may be, or is, under way since then.
    Open(Moment),
}

/// When trials are made: the first after the back-off's first delay, one at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trials {
    slot: Slot,
    backoff: Backoff,
}

impl Trials {
    /// The first trial comes after the first delay of a back-off that is at its start.
    pub(super) fn after(backoff: Backoff, now: Now) -> Self {
        let mut trials = Self { slot: Slot::Waiting(now.moment), backoff };
        trials.wait(now);
        trials
    }

    /// The trial failed, or could not be made.
    pub(super) fn wait(&mut self, now: Now) {
        self.slot = Slot::Waiting(now.moment + self.backoff.next(now.jitter));
    }

    /// The trial was not made, through no fault of the primary: the next one comes after the shortest delay.
    pub(super) fn put_off(&mut self, now: Moment) {
        self.slot = Slot::Waiting(now + self.backoff.min());
    }

    /// The next trial is now, unless one is under way.
    pub(super) const fn hurry(&mut self, now: Moment) {
        if let Slot::Waiting(_) = self.slot {
            self.slot = Slot::Waiting(now);
        }
    }

    /// Whatever was under way is forgotten; the next trial is now.
    pub(super) const fn again(&mut self, now: Moment) {
        self.slot = Slot::Waiting(now);
    }

    pub(super) const fn restart_backoff(&mut self) {
        self.backoff.reset();
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.slot, Slot::Open(_))
    }

    /// A trial begins.
    pub(super) const fn begin(&mut self, now: Moment) {
        self.slot = Slot::Open(now);
    }

    /// When a trial is next begun.
    pub(super) fn next(&self) -> Moment {
        match self.slot {
            Slot::Waiting(until) => until,
            Slot::Open(since) => since + PATIENCE,
        }
    }

    pub(super) fn set_backoff(&mut self, backoff: Backoff, now: Moment) {
        self.backoff = self.backoff.with_bounds_of(&backoff);
        if let Slot::Waiting(until) = self.slot {
            self.slot = Slot::Waiting(until.min(now + backoff.max()));
        }
    }
}
