//! The committer: the one thread that writes the log.
//!
//! It takes whatever has been asked for since the last time, writes it as one batch, makes it durable with one sync,
//! and only then changes the index and answers everybody. No lock is held over a write.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    StoreError,
    batch::{self, Assembly, Item},
    folder::Folder,
    index::Index,
    jobs::{Job, Queue, Wake},
    keeper::{Chore, Chores},
    large::failed,
    ledger::{Ledger, Stage},
    observe::Overlay,
    read::Files,
    record::{Note, Place, SegmentId},
    segment::Segment,
    space::Space,
    volume::{Volume, is_full},
};
use crate::{message::MessageId, metrics::Metrics};

/// After that long without a request, a mark tells that everything before it was durable.
const IDLE: Duration = Duration::from_millis(100);

/// What is held, and which segment is needed for what.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) index: Index,
    pub(super) ledger: Ledger,
}

/// What the spool's threads and its users share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) folder: Folder,
    pub(super) volume: Arc<dyn Volume>,
    pub(super) space: Arc<Space>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) book: Mutex<Book>,
    pub(super) files: Files,
    pub(super) queue: Queue,
    pub(super) chores: Chores,
    /// What is known of clients and not written yet.
    pub(super) overlay: Overlay,
    /// Wakes whoever waits for claimable mail.
    pub(super) changed: Notify,
    pub(super) largest_id: AtomicU64,
}

impl Shared {
    /// An id that was never given before.
    pub(super) fn next_id(&self) -> MessageId {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let next = |largest: u64| Some(now.max(largest + 1).min(MessageId::MAX.as_u64()));
        let last = self.largest_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_default();
        MessageId::from_u64(now.max(last + 1))
    }
}

/// The committer.
#[derive(Debug)]
pub(super) struct Committer {
    shared: Arc<Shared>,
    /// None after a failure, until the next batch.
    active: Option<Segment>,
    next_segment: SegmentId,
    /// The sequence of the next batch.
    sequence: u64,
    /// The last batch that is not a mark has no mark after it.
    unmarked: bool,
    backlog: VecDeque<Job>,
}

impl Drop for Committer {
    fn drop(&mut self) {
        // However the thread ends, nobody may wait for an answer that never comes.
        self.shared.queue.abandon();
    }
}

/// Why a batch was not made durable.
#[derive(Debug)]
enum Failure {
    /// There is no room; the segment is as it was.
    Full,
    /// The segment was given up.
    Io(io::Error),
}

impl Committer {
    /// A committer that has opened a new segment.
    pub(super) fn start(shared: Arc<Shared>, segment: SegmentId, sequence: u64) -> io::Result<Self> {
        let mut committer =
            Self { shared, active: None, next_segment: segment, sequence, unmarked: false, backlog: VecDeque::new() };
        // A start on a full volume must work: mail that is held can still go out.
        match committer.open() {
            Err(error) if !is_full(&error) => Err(error),
            _ => Ok(committer),
        }
    }

    /// Works until the spool is closed or dropped.
    pub(super) fn run(mut self) {
        loop {
            let idle = self.unmarked.then_some(IDLE);
            let shared = Arc::clone(&self.shared);
            match shared.queue.take(&mut self.backlog, idle) {
                Wake::Jobs => {
                    let jobs = batch::pick(&mut self.backlog);
                    self.commit(jobs);
                }
                Wake::Idle => self.mark(),
                Wake::Close(done) => {
                    if self.unmarked {
                        self.mark();
                    }
                    self.seal(Stage::Sealed);
                    self.shared.chores.close();
                    let _ = done.send(());
                    return;
                }
                Wake::Abandon => return,
            }
        }
    }

    /// Makes some requests durable, and answers them.
    fn commit(&mut self, mut jobs: Vec<Job>) {
        let started = Instant::now();
        // A full volume turns new mail away and tries the rest again; a failed one gets one more segment.
        for attempt in 1.. {
            batch::refuse(&mut jobs, &self.shared.book.lock());
            let assembly = Assembly::new(&jobs, &self.shared.book.lock());
            if assembly.records() == 0 {
                jobs.into_iter().for_each(Job::succeed);
                return;
            }
            match self.write(&assembly) {
                Ok(offset) => {
                    let items = assembly.into_items();
                    self.shared.metrics.commit_records.observe(items.len() as f64);
                    self.apply(&items, offset);
                    jobs.into_iter().for_each(Job::succeed);
                    self.shared.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
                    return;
                }
                Err(Failure::Full) => {
                    let (stores, others): (Vec<_>, Vec<_>) =
                        jobs.into_iter().partition(|job| matches!(job, Job::Store { .. }));
                    let again = !stores.is_empty();
                    stores.into_iter().for_each(|job| job.fail(&StoreError::Full));
                    jobs = others;
                    if !again {
                        jobs.into_iter().for_each(|job| job.fail(&StoreError::Full));
                        return;
                    }
                }
                Err(Failure::Io(error)) => {
                    self.shared.metrics.commit_failures.inc();
                    tracing::error!(%error, "failed to write to the spool; the segment was given up");
                    if attempt >= 2 {
                        let error = failed(&error);
                        jobs.into_iter().for_each(|job| job.fail(&error));
                        return;
                    }
                }
            }
        }
    }

    fn write(&mut self, assembly: &Assembly<'_>) -> Result<u32, Failure> {
        let length = assembly.length();
        let limit = self.shared.space.segment_size();
        if self.active.as_ref().is_some_and(|active| !active.is_empty() && active.length() + length > limit) {
            self.seal(Stage::Sealed);
        }
        if self.active.is_none() {
            self.open().map_err(|error| if is_full(&error) { Failure::Full } else { Failure::Io(error) })?;
        }
        let Some(active) = &mut self.active else { return Err(Failure::Full) };
        let before = active.length();
        let volume = &*self.shared.volume;
        match active.append(volume, assembly.records(), &assembly.parts()) {
            Ok(offset) => {
                self.sequence = active.next();
                self.shared.space.add(active.length() - before);
                Ok(offset)
            }
            Err(error) if is_full(&error) && active.cut(volume).is_ok() => Err(Failure::Full),
            Err(error) => {
                // After a failed sync nobody knows what is on the disk: nothing is written here again.
                let _ = active.cut(volume);
                self.seal(Stage::Poisoned);
                Err(Failure::Io(error))
            }
        }
    }

    /// Opens the next segment.
    fn open(&mut self) -> io::Result<()> {
        let shared = &self.shared;
        let largest = MessageId::from_u64(shared.largest_id.load(Ordering::Relaxed));
        let id = self.next_segment;
        self.next_segment = id.checked_add(1).ok_or(io::ErrorKind::FileTooLarge)?;
        let segment = Segment::create(&shared.folder, &*shared.volume, id, self.sequence, largest)?;
        shared.space.add(segment.length());
        shared.book.lock().ledger.add(id, Stage::Active, segment.length());
        self.active = Some(segment);
        Ok(())
    }

    /// Closes the segment that is being written.
    fn seal(&mut self, stage: Stage) {
        let Some(active) = self.active.take() else { return };
        self.unmarked = false;
        self.shared.book.lock().ledger.set_stage(active.id(), stage);
        self.shared.chores.push(Chore::Sidecar(active.id(), active.sidecar()));
    }

    /// Writes an empty batch: it tells a later start that the one before it was durable.
    fn mark(&mut self) {
        self.unmarked = false;
        let Some(active) = &mut self.active else { return };
        let before = active.length();
        match active.append(&*self.shared.volume, 0, &[]) {
            Ok(_) => {
                self.sequence = active.next();
                let length = active.length();
                self.shared.book.lock().ledger.grow(active.id(), length);
                self.shared.space.add(length - before);
            }
            Err(error) if is_full(&error) && active.cut(&*self.shared.volume).is_ok() => {}
            Err(error) => {
                tracing::error!(%error, "failed to write to the spool; the segment was given up");
                self.shared.metrics.commit_failures.inc();
                let _ = active.cut(&*self.shared.volume);
                self.seal(Stage::Poisoned);
            }
        }
    }

    /// Brings the index in line with a batch that has just become durable.
    fn apply(&mut self, items: &[Item], offset: u32) {
        let Some(active) = &mut self.active else { return };
        self.unmarked = true;
        let mut gone = Vec::new();
        let mut emptied = false;
        let mut book = self.shared.book.lock();
        let Book { index, ledger } = &mut *book;
        ledger.grow(active.id(), active.length());
        for item in items {
            let at = active.note(&item.note, offset + item.offset, item.length);
            match &item.note {
                Note::Message(note) if item.is_copy => {
                    if let Some(old) = index.move_message(note.id, at) {
                        ledger.credit(at);
                        emptied |= ledger.debit(old);
                    }
                }
                Note::State(note) if item.is_copy => {
                    if let Some(old) = index.move_state(note.id, at) {
                        ledger.credit(at);
                        emptied |= ledger.debit(old);
                    }
                }
                Note::Message(note) => {
                    if index.insert(note, at) {
                        ledger.credit(at);
                    }
                }
                Note::State(note) => {
                    if let Ok(old) = index.set_state(note, at) {
                        ledger.credit(at);
                        emptied |= old.is_some_and(|old| ledger.debit(old));
                    }
                }
                Note::Done(note) => {
                    ledger.pin(active.id(), &note.segments);
                    if item.is_copy {
                        continue;
                    }
                    if let Some(removed) = index.remove(note.id) {
                        emptied |= ledger.debit(removed.message);
                        emptied |= removed.state.is_some_and(|state| ledger.debit(state));
                        if removed.place == Place::File {
                            gone.push((note.id, removed.size));
                        }
                    }
                }
            }
        }
        let changed = index.has_changed();
        drop(book);
        if changed {
            self.shared.changed.notify_one();
        }
        if !gone.is_empty() {
            self.shared.chores.push(Chore::Content(gone));
        }
        if emptied {
            self.shared.chores.push(Chore::Tidy);
        }
    }
}
