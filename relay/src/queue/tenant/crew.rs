//! The workers of a tenant's task: how many run, and the single message that is sent as a trial.

use std::{collections::HashSet, sync::atomic::Ordering, time::Duration};

use tokio::{
    task::{Id, JoinError},
    time::Instant,
};
use tracing::error;

use super::{SILENCE, Task};
use crate::{
    clock::Timestamp,
    health::Event,
    queue::{lot::Note, worker},
    spool::Claim,
};

impl Task {
    /// Starts workers where there is mail, and wakes those that have nothing to do.
    pub(super) fn look_after_workers(&mut self) {
        let lot = &self.tools.lot;
        self.reroute();
        let paused = self.leaving || self.paused_until.is_some();
        let allowed =
            if paused { 0 } else { self.health.concurrency().saturating_sub(u32::from(self.trial.is_some())) };
        let before = lot.allowed.swap(allowed, Ordering::Relaxed);
        let context = &self.tools.context;
        let ready = if allowed == 0 { 0 } else { self.ready(context.clock.now()) };
        if ready > 0 || allowed < before {
            lot.news.notify_waiters();
        }
        let idle = lot.idle.load(Ordering::Relaxed);
        let wanted = usize::try_from(ready.saturating_sub(u64::from(idle))).unwrap_or(usize::MAX);
        let busy: HashSet<u32> = self.workers.values().copied().collect();
        for rank in (0..allowed).filter(|rank| !busy.contains(rank)).take(wanted) {
            let id = self.crew.spawn(worker::work(self.tools.clone(), rank)).id();
            self.workers.insert(id, rank);
        }
        let sessions = self.crew.len();
        lot.sessions.store(u32::try_from(sessions).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// A worker or the trial has ended.
    pub(super) fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(problem) => {
                error!(tenant = %self.tenant.name, "a delivery failed: {problem}");
                problem.id()
            }
        };
        if self.trial == Some(id) {
            self.trial = None;
        }
        self.workers.remove(&id);
    }

    /// How many messages can be claimed now, about: one for several of the tenant's domains counts for each, and one whose
    /// time comes now may not.
    pub(super) fn ready(&self, now: Timestamp) -> u64 {
        let spool = &self.tools.context.spool;
        let lanes = self.tenant.domains.iter().map(|lane| spool.lane(lane));
        lanes.map(|lane| lane.ready + u64::from(lane.next_due.is_some_and(|due| due <= now))).sum()
    }

    /// When the next message with a due time of its own is due, where it could go out.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.health.concurrency() == 0 || self.leaving {
            return None;
        }
        let context = &self.tools.context;
        let due = self.tenant.domains.iter().filter_map(|lane| context.spool.lane(lane).next_due).min()?;
        Some(Instant::now() + due.since(context.clock.now()).max(Duration::from_millis(50)))
    }

    /// When sessions that say nothing are looked into.
    pub(super) fn silence_ends(&self) -> Option<Instant> {
        (!self.crew.is_empty()).then(|| self.heard + SILENCE)
    }

    pub(super) fn try_one(&mut self, claim: Option<Claim>) {
        if self.trial.is_some() || self.leaving {
            return;
        }
        match claim {
            Some(claim) => {
                self.trial = Some(self.crew.spawn(worker::try_one(self.tools.clone(), claim)).id());
            }
            None => {
                let notes = self.tools.notes.clone();
                tokio::spawn(async move { notes.send(Note::Event(Event::NothingToTry)).await });
            }
        }
    }
}
