//! What DNS says of clients, kept with their messages although nobody waits for it.
//!
//! It is part of a message's state, so it outlives a restart and a rewrite of its segment as every state does, and
//! takes no memory once it is written. Until then it is here: readers see it at once, the next state that is written
//! of the message has it, and what no worker's state took along is written by itself, in batches, a moment later.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    Claim, Spool,
    committer::Shared,
    jobs::{Fate, Job},
    read,
    record::{Link, Note, StateNote, encode},
};
use crate::message::{MessageId, MessageState, Observed};

/// Messages whose results are not on the disk yet, at most.
pub(super) const CROWD: usize = 10_000;

/// So many are written at once.
const BATCH: usize = 500;

/// Why something is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotObserved {
    /// The message is not held any more.
    Gone,
    /// Too many results wait for the disk.
    Crowded,
}

/// What is not on the disk yet.
#[derive(Debug, Default)]
pub(super) struct Overlay(Mutex<HashMap<MessageId, Waiting>>);

#[derive(Clone, Debug)]
struct Waiting {
    recipients: usize,
    observed: Observed,
}

impl Overlay {
    /// Completes a state that was read, or is to be written; true where something was added.
    pub(super) fn complete(&self, id: MessageId, state: &mut MessageState) -> bool {
        if !state.observed.is_empty() {
            return false;
        }
        match self.0.lock().get(&id) {
            Some(waiting) => {
                state.observed = waiting.observed.clone();
                true
            }
            None => false,
        }
    }

    /// It is on the disk, or its message is gone.
    pub(super) fn remove(&self, id: MessageId) {
        self.0.lock().remove(&id);
    }

    fn insert(&self, id: MessageId, waiting: Waiting) -> Result<(), NotObserved> {
        let mut all = self.0.lock();
        if all.len() >= CROWD {
            return Err(NotObserved::Crowded);
        }
        all.insert(id, waiting);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Adds something about a message that nobody knows.
    #[cfg(test)]
    pub(super) fn fill(&self, id: MessageId) {
        self.0.lock().insert(id, Waiting { recipients: 1, observed: Observed::default() });
    }

    fn some(&self) -> Vec<(MessageId, Waiting)> {
        self.0.lock().iter().take(BATCH).map(|(id, waiting)| (*id, waiting.clone())).collect()
    }
}

impl Spool {
    /// Whether a message is held.
    #[must_use]
    pub fn is_held(&self, id: MessageId) -> bool {
        self.shared.book.lock().index.locate(id).is_some()
    }

    /// Keeps with a message what DNS says of its client. Waits for nothing; it is on the disk with the next state of the
    /// message, or after the next [`Self::record_observed`]. `recipients` is how many the message has.
    ///
    /// # Errors
    /// Nothing is kept.
    pub fn observe(&self, id: MessageId, recipients: usize, observed: Observed) -> Result<(), NotObserved> {
        if !self.is_held(id) {
            return Err(NotObserved::Gone);
        }
        self.shared.overlay.insert(id, Waiting { recipients, observed })
    }

    /// Writes what [`Self::observe`] was told, some hundreds of messages at once; those that a worker has are left for
    /// the next time, as is everything while new mail has no room.
    pub async fn record_observed(self: &Arc<Self>) {
        let waiting = self.shared.overlay.some();
        if waiting.is_empty() || self.shared.space.available() == 0 {
            return;
        }
        let mut written = Vec::with_capacity(waiting.len());
        for (id, waiting) in waiting {
            match self.claim_one(id) {
                Some(claim) => written.extend(self.write_observed(claim, waiting)),
                None if self.is_held(id) => {}
                None => self.shared.overlay.remove(id),
            }
        }
        for (claim, answer) in written {
            if matches!(answer.await, Ok(Ok(_))) {
                self.shared.overlay.remove(claim.id());
            }
        }
    }

    /// Has a state written that is the message's own, completed. None where it can't be read now, or has it already.
    fn write_observed(&self, claim: Claim, waiting: Waiting) -> Option<(Claim, Answer)> {
        let id = claim.id();
        let Some(fate) = completed(&self.shared, id, waiting) else {
            self.shared.overlay.remove(id);
            return None;
        };
        let (reply, answer) = oneshot::channel();
        self.shared.queue.push(Job::Change { id, fate, reports: Vec::new(), reply: Some(reply) });
        Some((claim, answer))
    }
}

type Answer = oneshot::Receiver<Result<Vec<MessageId>, super::StoreError>>;

fn completed(shared: &Shared, id: MessageId, waiting: Waiting) -> Option<Fate> {
    let (location, domains) = {
        let book = shared.book.lock();
        (book.index.locate(id)?, book.index.domains(id)?)
    };
    let mut state = read::state(shared, &location, waiting.recipients).ok()?;
    if !state.observed.is_empty() {
        return None;
    }
    state.observed = waiting.observed;
    // A flush makes mail due in memory only; it stays due.
    state.due = location.due;
    let note = StateNote { id, standing: state.standing, due: state.due, attempts: state.attempts, domains };
    let json = serde_json::to_vec(&state).ok()?;
    let octets = encode(&Note::State(note.clone()), &json, 0, Link::Last);
    Some(Fate::Keep(note, octets))
}
