//! One batch: which requests go into it, and its records in order. No I/O.

use std::collections::{HashSet, VecDeque};

use super::{
    StoreError,
    committer::Book,
    jobs::{Copy, Draft, Fate, Job},
    record::{DoneNote, Link, Note, encode},
};
use crate::message::MessageId;

/// Requests in a batch, at most: their buffers go to the kernel in one call.
const JOBS: usize = 500;
/// Octets in a batch, at most, unless one request alone has more.
const OCTETS: usize = 8 << 20;

/// Takes the requests of the next batch off the front. Copies have a batch to themselves, so that none can meet the
/// end of its message halfway.
pub(super) fn pick(backlog: &mut VecDeque<Job>) -> Vec<Job> {
    // What was delivered is recorded before new mail where there is more than one batch of it: it would come again.
    if backlog.len() > JOBS || backlog.iter().map(Job::length).sum::<usize>() > OCTETS {
        backlog.make_contiguous().sort_by_key(|job| !matches!(job, Job::Change { .. }));
    }
    let mut picked = Vec::new();
    let mut octets = 0;
    while let Some(job) = backlog.front() {
        let alone = matches!(job, Job::Copies { .. });
        octets += job.length();
        if !picked.is_empty() && (alone || octets > OCTETS || picked.len() >= JOBS) {
            break;
        }
        picked.extend(backlog.pop_front());
        if alone {
            break;
        }
    }
    picked
}

/// Answers, and takes away, the changes to messages that are not held, or that end earlier in the same batch.
pub(super) fn refuse(jobs: &mut Vec<Job>, book: &Book) {
    let mut ending = HashSet::new();
    let refused = jobs.extract_if(.., |job| match job {
        Job::Change { id, fate, .. } => {
            let held = book.index.locate(*id).is_some() && !ending.contains(id);
            if held && matches!(fate, Fate::Done) {
                ending.insert(*id);
            }
            !held
        }
        Job::Store { .. } | Job::Copies { .. } => false,
    });
    for job in refused {
        if let Job::Change { id, .. } = &job {
            let error = StoreError::Unknown(*id);
            job.fail(&error);
        }
    }
}

impl Job {
    fn length(&self) -> usize {
        match self {
            Self::Store { draft, .. } => draft.length(),
            Self::Change { fate, reports, .. } => {
                let fate = if let Fate::Keep(_, octets) = fate { octets.len() } else { 64 };
                fate + reports.iter().map(Draft::length).sum::<usize>()
            }
            Self::Copies { copies, .. } => copies.iter().map(|copy| copy.octets.len()).sum(),
        }
    }

    /// Answers that it is durable.
    pub(super) fn succeed(self) {
        // Nobody may be waiting any more; it is done all the same.
        match self {
            Self::Store { draft, reply } => {
                let _ = reply.send(Ok(draft.keep()));
            }
            Self::Change { reports, reply, .. } => {
                let ids = reports.into_iter().map(Draft::keep).collect();
                if let Some(reply) = reply {
                    let _ = reply.send(Ok(ids));
                }
            }
            Self::Copies { reply, .. } => {
                let _ = reply.send(Ok(()));
            }
        }
    }

    /// Answers that nothing was kept.
    pub(super) fn fail(self, error: &StoreError) {
        match self {
            Self::Store { draft, reply } => {
                drop(draft);
                let _ = reply.send(Err(error.clone()));
            }
            Self::Change { reply, reports, .. } => {
                drop(reports);
                if let Some(reply) = reply {
                    let _ = reply.send(Err(error.clone()));
                }
            }
            Self::Copies { reply, .. } => {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}

impl Draft {
    /// Gives its room back, lets its file stay, and returns its id. It is held by now, and so not in flight.
    fn keep(self) -> MessageId {
        drop((self.lease, self.passage));
        if let Some(large) = self.large {
            large.keep();
        }
        self.note.id
    }
}

/// A record of a batch.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) note: Note,
    /// Where it is, from the first record of the batch.
    pub(super) offset: u32,
    pub(super) length: u32,
    /// It is in another segment already.
    pub(super) is_copy: bool,
}

#[derive(Debug)]
enum Part<'a> {
    Borrowed(&'a [u8]),
    Owned(Vec<u8>),
}

/// The records of a batch.
#[derive(Debug, Default)]
pub(super) struct Assembly<'a> {
    items: Vec<Item>,
    parts: Vec<Part<'a>>,
    length: usize,
}

impl<'a> Assembly<'a> {
    /// Lays out the records of some requests.
    pub(super) fn new(jobs: &'a [Job], book: &Book) -> Self {
        let mut assembly = Self::default();
        for job in jobs {
            assembly.add(job, book);
        }
        assembly
    }

    fn add(&mut self, job: &'a Job, book: &Book) {
        match job {
            Job::Store { draft, .. } => self.draft(draft),
            Job::Change { id, fate, reports, .. } => {
                match fate {
                    Fate::Keep(note, octets) => {
                        self.push(Note::State(note.clone()), octets.len(), false);
                        self.parts.push(Part::Borrowed(octets));
                    }
                    Fate::Done => {
                        let Some(at) = book.index.locate(*id) else { return };
                        let segments = book.ledger.holders(at.message.spot.segment);
                        let note = Note::Done(DoneNote { id: *id, segments });
                        let link = if reports.is_empty() { Link::Last } else { Link::More };
                        let octets = encode(&note, &[], 0, link);
                        self.push(note, octets.len(), false);
                        self.parts.push(Part::Owned(octets));
                    }
                }
                reports.iter().for_each(|report| self.draft(report));
            }
            Job::Copies { copies, .. } => copies.iter().for_each(|copy| self.copy(copy, book)),
        }
    }

    fn draft(&mut self, draft: &'a Draft) {
        self.push(Note::Message(draft.note.clone()), draft.length(), false);
        self.parts.push(Part::Borrowed(&draft.head));
        if !draft.body.is_empty() {
            self.parts.push(Part::Borrowed(&draft.body));
        }
    }

    /// Adds a copy, unless what it is a copy of is no longer needed.
    fn copy(&mut self, copy: &'a Copy, book: &Book) {
        let current = book.index.locate(copy.note.id());
        let (note, octets) = match &copy.note {
            Note::Message(_) if current.is_some_and(|at| at.message.spot == copy.from) => {
                (copy.note.clone(), Part::Borrowed(&copy.octets[..]))
            }
            Note::State(_) if current.and_then(|at| at.state).is_some_and(|state| state.spot == copy.from) => {
                (copy.note.clone(), Part::Borrowed(&copy.octets[..]))
            }
            Note::Done(done) => {
                let there = |segment: &&u32| **segment != copy.from.segment && book.ledger.contains(**segment);
                let segments: Vec<_> = done.segments.iter().filter(there).copied().collect();
                if segments.is_empty() {
                    return;
                }
                let note = Note::Done(DoneNote { id: done.id, segments });
                let octets = encode(&note, &[], 0, Link::Last);
                (note, Part::Owned(octets))
            }
            _ => return,
        };
        let length = match &octets {
            Part::Borrowed(octets) => octets.len(),
            Part::Owned(octets) => octets.len(),
        };
        self.push(note, length, true);
        self.parts.push(octets);
    }

    fn push(&mut self, note: Note, length: usize, is_copy: bool) {
        let cut = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.items.push(Item { note, offset: cut(self.length), length: cut(length), is_copy });
        self.length += length;
    }

    /// Octets of all records.
    pub(super) const fn length(&self) -> u64 {
        self.length as u64
    }

    /// How many records there are.
    pub(super) fn records(&self) -> u32 {
        u32::try_from(self.items.len()).unwrap_or(u32::MAX)
    }

    /// The octets, in order.
    pub(super) fn parts(&self) -> Vec<&[u8]> {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Borrowed(octets) => *octets,
                Part::Owned(octets) => &octets[..],
            })
            .collect()
    }

    pub(super) fn into_items(self) -> Vec<Item> {
        self.items
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn what_was_delivered_does_not_wait_behind_more_than_one_batch() {
        let other = || Job::Copies { copies: Vec::new(), reply: oneshot::channel().0 };
        let done = |id| Job::Change { id: MessageId::from_u64(id), fate: Fate::Done, reports: Vec::new(), reply: None };
        let mut backlog: VecDeque<Job> = (0..=JOBS).map(|_| other()).collect();
        backlog.extend([done(1), done(2)]);
        let picked = pick(&mut backlog);
        let ids: Vec<u64> = picked
            .iter()
            .map(|job| match job {
                Job::Change { id, .. } => id.as_u64(),
                Job::Store { .. } | Job::Copies { .. } => panic!("{job:?} came first"),
            })
            .collect();
        assert_eq!((ids, backlog.len()), (vec![1, 2], JOBS + 1));
    }
}
