//! The look-up of the primary's hosts: each round of probes begins with one, as the primary may have moved.

use std::time::Duration;

use super::Now;
use crate::{clock::Moment, schedule::Backoff};

/// A look-up that has not ended after this time has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a look-up stands.
#[derive(Clone, Copy, Debug)]
enum Progress {
    /// None is wanted.
    Idle,
    /// One is due then.
    Due(Moment),
    /// One is under way since then.
    Running(Moment),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct LookUp {
    progress: Progress,
    backoff: Backoff,
}

impl LookUp {
    pub(super) const fn due(backoff: Backoff, now: Moment) -> Self {
        Self { progress: Progress::Due(now), backoff }
    }

    /// Asks for one now, if none is under way.
    pub(super) const fn want(&mut self, now: Moment) {
        if !self.is_running() {
            self.progress = Progress::Due(now);
        }
    }

    /// Starts one where one is due, or `wanted` by an endpoint. Says whether it did.
    pub(super) fn start(&mut self, wanted: bool, now: Moment) -> bool {
        let start = match self.progress {
            Progress::Idle => wanted,
            Progress::Due(due) => wanted || due <= now,
            Progress::Running(_) => false,
        };
        if start {
            self.progress = Progress::Running(now);
        }
        start
    }

    pub(super) const fn succeeded(&mut self) {
        self.progress = Progress::Idle;
        self.backoff.reset();
    }

    /// It failed; the next is due after the back-off.
    pub(super) fn failed(&mut self, now: Now) {
        self.progress = Progress::Due(now.moment + self.backoff.next(now.jitter));
    }

    pub(super) const fn restart_backoff(&mut self) {
        self.backoff.reset();
    }

    pub(super) const fn is_running(&self) -> bool {
        matches!(self.progress, Progress::Running(_))
    }

    pub(super) fn is_overdue(&self, now: Moment) -> bool {
        matches!(self.progress, Progress::Running(since) if since + PATIENCE <= now)
    }

    /// When the next one is due.
    pub(super) const fn next_due(&self) -> Option<Moment> {
        match self.progress {
            Progress::Due(due) => Some(due),
            Progress::Idle | Progress::Running(_) => None,
        }
    }

    /// When the one that is under way is given up.
    pub(super) fn next_overdue(&self) -> Option<Moment> {
        match self.progress {
            Progress::Running(since) => Some(since + PATIENCE),
            Progress::Idle | Progress::Due(_) => None,
        }
    }

    pub(super) fn set_backoff(&mut self, backoff: Backoff, now: Moment) {
        self.backoff = self.backoff.with_bounds_of(&backoff);
        if let Progress::Due(due) = self.progress {
            self.progress = Progress::Due(due.min(now + backoff.max()));
        }
    }
}
