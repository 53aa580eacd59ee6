//! What the committer is asked to make durable, and the queue in which it is asked.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::{
    LargeBody, StoreError,
    index::Spot,
    record::{MessageNote, Note, StateNote},
    space::Lease,
};
use crate::{in_flight::Passage, message::MessageId};

/// A new message, encoded.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) note: MessageNote,
    /// The record up to its body.
    pub(super) head: Vec<u8>,
    /// The record's body; empty where the content is in a file.
    pub(super) body: Bytes,
    /// The file that holds the content, where one does.
    pub(super) large: Option<LargeBody>,
    /// The room that was set aside for it.
    pub(super) lease: Lease,
    /// Counts it as in flight.
    pub(super) passage: Option<Passage>,
}

impl Draft {
    pub(super) fn length(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

/// What becomes of a message, encoded as far as it can be before its place is known.
#[derive(Debug)]
pub(super) enum Fate {
    Keep(StateNote, Vec<u8>),
    Done,
}

/// The caller's end of a request.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A record to be copied out of a segment that is to go.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) note: Note,
    /// Where it is; skipped if it is no longer the current one when its turn comes.
    pub(super) from: Spot,
    /// The whole record.
    pub(super) octets: Vec<u8>,
}

/// A request.
#[derive(Debug)]
pub(super) enum Job {
    Store { draft: Draft, reply: Reply<MessageId> },
    Change { id: MessageId, fate: Fate, reports: Vec<Draft>, reply: Option<Reply<Vec<MessageId>>> },
    Copies { copies: Vec<Copy>, reply: Reply<()> },
}

/// What the committer is to do next.
#[derive(Debug)]
pub(super) enum Wake {
    /// There are requests.
    Jobs,
    /// There have been none for a while.
    Idle,
    /// Everything asked for is done: write the mark, and leave.
    Close(oneshot::Sender<()>),
    /// Leave at once.
    Abandon,
}

#[derive(Debug, Default)]
enum Door {
    #[default]
    Open,
    Closing(Option<oneshot::Sender<()>>),
    Abandoned,
}

#[derive(Debug, Default)]
struct Inner {
    jobs: VecDeque<Job>,
    door: Door,
}

/// The committer's queue. It needs no bound of its own: each request waits for its answer, and their number and octets
/// are bounded by the sessions and by the memory for messages in flight.
#[derive(Debug, Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    more: Condvar,
}

impl Queue {
    /// Asks for something; once the spool is closing, the request is dropped, and with it the caller's answer.
    pub(super) fn push(&self, job: Job) {
        let mut inner = self.inner.lock();
        if matches!(inner.door, Door::Open) {
            inner.jobs.push_back(job);
            // The committer only waits on an empty queue.
            if inner.jobs.len() == 1 {
                self.more.notify_one();
            }
        }
    }

    /// Takes no more requests, and tells when all are done; at once where it was closed before.
    pub(super) fn close(&self) -> oneshot::Receiver<()> {
        let (done, closed) = oneshot::channel();
        let mut inner = self.inner.lock();
        if matches!(inner.door, Door::Open) {
            inner.door = Door::Closing(Some(done));
            self.more.notify_one();
        }
        closed
    }

    /// Makes the committer leave without another write.
    pub(super) fn abandon(&self) {
        let mut inner = self.inner.lock();
        inner.door = Door::Abandoned;
        inner.jobs.clear();
        self.more.notify_one();
    }

    /// Requests that wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.inner.lock().jobs.len()
    }

    /// Moves all requests to the end of `into`; where there are none, and `into` is empty too, waits for one.
    pub(super) fn take(&self, into: &mut VecDeque<Job>, idle: Option<Duration>) -> Wake {
        let mut inner = self.inner.lock();
        loop {
            if matches!(inner.door, Door::Abandoned) {
                return Wake::Abandon;
            }
            into.append(&mut inner.jobs);
            if !into.is_empty() {
                return Wake::Jobs;
            }
            if let Door::Closing(done) = &mut inner.door {
                return done.take().map_or(Wake::Abandon, Wake::Close);
            }
            match idle {
                Some(idle) => {
                    if self.more.wait_for(&mut inner, idle).timed_out() && inner.jobs.is_empty() {
                        return Wake::Idle;
                    }
                }
                None => self.more.wait(&mut inner),
            }
        }
    }
}
