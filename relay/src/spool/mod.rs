//! The spool: accepted mail on disk, in a log that is only ever added to.
//!
//! One thread, the committer, gathers whatever is to be made durable, writes it as one batch with one `writev`, syncs
//! once, and only then answers (group commit without an added delay). Everything is a record in a batch: a message, a
//! message's state, a message's end. What must happen together is in one batch. The log is cut into segments; a segment
//! goes when nothing in it is needed any more, and one that is mostly waste is rewritten.
//!
//! | file | what it is |
//! |---|---|
//! | `lock` | locked while a relay has the folder; names its process |
//! | `log/0000000001.seg` | a segment of the log |
//! | `log/0000000001.idx` | its sidecar: what a start needs to know of it; a cache |
//! | `large/*.msg` | the content of one large message each |
//! | `quarantine/` | damaged parts, for people to look at; `*.torn` was never acknowledged |

mod batch;
mod committer;
mod error;
mod folder;
mod frame;
mod index;
mod jobs;
mod keeper;
mod lane;
mod large;
mod ledger;
mod model;
mod observe;
mod quarantine;
mod read;
mod record;
mod recover;
mod scan;
mod segment;
mod sidecar;
mod sorted;
mod space;
#[cfg(test)]
mod tests;
mod volume;
mod wire;

use std::{
    sync::{Arc, atomic::AtomicU64},
    thread::JoinHandle,
};

use backupmx_relay_config::DomainName;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use self::{
    committer::{Committer, Shared},
    folder::{Folder, failed},
    jobs::{Draft, Fate, Job},
    record::{Domains, FIXED, Link, MessageNote, Note, Place, StateNote, encode},
    space::Space,
    volume::{System, Volume},
};
pub use self::{
    error::{OpenError, ReadError, StoreError},
    large::LargeBody,
    model::{Body, Change, Content, Held, LaneStatus, NewMessage, Options, Reach, Recovery, Summary, Then, Usage},
    observe::NotObserved,
    quarantine::SetAside,
    record::Maker,
};
use crate::{
    clock::Timestamp,
    message::{Envelope, MessageId, MessageState, Origin},
    metrics::Metrics,
};

/// Octets that a record takes beside its content, about.
const OVERHEAD: u64 = 1024;

/// A message that one worker has to itself; given back when this is dropped.
#[derive(Debug)]
pub struct Claim {
    id: MessageId,
    spool: Arc<Spool>,
}

impl Claim {
    /// The message.
    #[must_use]
    pub const fn id(&self) -> MessageId {
        self.id
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let shared = &self.spool.shared;
        if shared.book.lock().index.release(self.id) {
            shared.changed.notify_one();
        }
    }
}

/// The spool. Dropped without [`Self::close`], it is left as a crash would leave it: nothing that was answered is lost.
#[derive(Debug)]
pub struct Spool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Spool {
    /// Opens a spool, or makes one: takes the lock, reads the log, sets damage aside. Blocks.
    ///
    /// # Errors
    /// Another process holds the folder, another build wrote it, or the file system fails.
    pub fn open(options: &Options, metrics: Arc<Metrics>, _now: Timestamp) -> Result<(Arc<Self>, Recovery), OpenError> {
        Self::open_on(options, metrics, Arc::new(System))
    }

    fn open_on(
        options: &Options,
        metrics: Arc<Metrics>,
        volume: Arc<dyn Volume>,
    ) -> Result<(Arc<Self>, Recovery), OpenError> {
        let path = &options.path;
        let folder = Folder::open(path, &*volume)?;
        let space = Space::new(Arc::clone(&volume), path.clone(), options.size, options.segment_size)
            .map_err(|source| failed("ask for the space of", path, source))?;
        let start = recover::recover(&folder, &*volume, &space)?;
        metrics.quarantined.inc_by(start.recovery.damage.len() as u64);
        let shared = Arc::new(Shared {
            folder,
            volume,
            space: Arc::new(space),
            metrics,
            book: Mutex::new(start.book),
            files: read::Files::default(),
            queue: jobs::Queue::default(),
            chores: keeper::Chores::default(),
            overlay: observe::Overlay::default(),
            changed: tokio::sync::Notify::new(),
            largest_id: AtomicU64::new(start.largest_id.as_u64()),
        });
        let thread = |source| failed("start a thread for", path, source);
        let committer = Committer::start(Arc::clone(&shared), start.segment, start.sequence)
            .map_err(|source| failed("create a segment in", shared.folder.log(), source))?;
        let spool = Arc::new(Self { shared: Arc::clone(&shared), threads: Mutex::default() });
        let run = std::thread::Builder::new().name("spool-committer".to_owned());
        let run = run.spawn(move || fail_stop(|| committer.run())).map_err(thread)?;
        spool.threads.lock().push(run);
        let keep = std::thread::Builder::new().name("spool-keeper".to_owned());
        let keep = keep.spawn(move || fail_stop(|| keeper::run(&shared))).map_err(thread)?;
        spool.threads.lock().push(keep);
        for message in start.lost {
            spool.set_lost_aside(message.id);
        }
        Ok((spool, start.recovery))
    }

    /// Ends a message whose content is gone; its record is kept in quarantine.
    fn set_lost_aside(&self, id: MessageId) {
        let location = self.shared.book.lock().index.locate(id);
        if let Some(location) = location {
            let octets = read::octets(&self.shared, location.message).unwrap_or_default();
            read::set_aside(&self.shared, id, &location, "the file with its content is missing", &octets);
        }
    }

    /// Starts a file for a large message.
    ///
    /// # Errors
    /// No room, or the volume failed.
    pub async fn large(&self) -> Result<LargeBody, StoreError> {
        if !self.has_room(0) {
            return Err(StoreError::Full);
        }
        LargeBody::create(Arc::clone(&self.shared))
    }

    /// Makes a new message durable. When this returns `Ok`, the message survives a power cut.
    ///
    /// # Errors
    /// Nothing was kept.
    pub async fn store(&self, message: NewMessage) -> Result<MessageId, StoreError> {
        let draft = self.draft(message, Link::Last, |octets| self.shared.space.lease(octets)).await?;
        let (reply, answer) = oneshot::channel();
        self.shared.queue.push(Job::Store { draft, reply });
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Makes a step in a message's life durable, with its reports, in one record. Returns the reports' ids. May use
    /// the reserve. A claim on the message must be held by the caller, and is dropped by it afterwards.
    ///
    /// # Errors
    /// Nothing was recorded.
    pub async fn commit(&self, change: Change) -> Result<Vec<MessageId>, StoreError> {
        let Change { id, then, reports } = change;
        let mut takes_along = true;
        let fate = match then {
            Then::Done => Fate::Done,
            Then::Keep(mut state) => {
                takes_along = self.shared.overlay.complete(id, &mut state);
                self.keep(id, &state, if reports.is_empty() { Link::Last } else { Link::More })?
            }
        };
        let space = &self.shared.space;
        let mut drafts = Vec::with_capacity(reports.len());
        let last = reports.len().saturating_sub(1);
        for (position, report) in reports.into_iter().enumerate() {
            let link = if position == last { Link::Last } else { Link::More };
            let lease = |octets| space.admits_from_reserve(octets).then(|| space.lease_anyway(octets));
            drafts.push(self.draft(report, link, lease).await?);
        }
        let (reply, answer) = oneshot::channel();
        self.shared.queue.push(Job::Change { id, fate, reports: drafts, reply: Some(reply) });
        let recorded = answer.await.unwrap_or(Err(StoreError::Closed));
        if takes_along && recorded.is_ok() {
            self.shared.overlay.remove(id);
        }
        recorded
    }

    /// Encodes a new state.
    fn keep(&self, id: MessageId, state: &MessageState, link: Link) -> Result<Fate, StoreError> {
        let current = self.shared.book.lock().index.domains(id).ok_or(StoreError::Unknown(id))?;
        // With one recipient the lane can't change, and the envelope need not be read.
        let domains = if state.recipients.len() > 1 {
            let envelope = self.peek(id).map_err(|error| StoreError::Io(error.to_string()))?.0;
            Domains::of(&envelope, state).unwrap_or(current)
        } else {
            current
        };
        let note = StateNote { id, standing: state.standing, due: state.due, attempts: state.attempts, domains };
        let json = serde_json::to_vec(state).map_err(|error| StoreError::Io(error.to_string()))?;
        let octets = encode(&Note::State(note.clone()), &json, 0, link);
        Ok(Fate::Keep(note, octets))
    }

    /// Gives a message its id and encodes it; a large one's content is made durable.
    async fn draft(
        &self,
        message: NewMessage,
        link: Link,
        lease: impl FnOnce(u64) -> Option<space::Lease>,
    ) -> Result<Draft, StoreError> {
        let NewMessage { envelope, body, passage } = message;
        let Some(domains) = Domains::of(&envelope, &MessageState::new(envelope.recipients.len())) else {
            return Err(StoreError::Io("a message needs a recipient".to_owned()));
        };
        let json = serde_json::to_vec(&envelope).map_err(|error| StoreError::Io(error.to_string()))?;
        let inline = if let Body::Memory(body) = &body { body.len() } else { 0 };
        let lease = lease((FIXED + 512 + domains.length() + json.len() + inline) as u64).ok_or(StoreError::Full)?;
        let id = self.shared.next_id();
        let (size, crc, place, body, large) = match body {
            Body::Memory(body) => (body.len() as u64, crc32c::crc32c(&body), Place::Inline, body, None),
            Body::Large(large) => {
                let large = large.finish(id).await?;
                (large.length(), large.crc(), Place::File, Bytes::new(), Some(large))
            }
        };
        let maker = match envelope.origin {
            Origin::Client(_) => Maker::Client,
            Origin::Report { .. } => Maker::Ourselves,
        };
        let note = MessageNote { id, arrived: envelope.arrived, size, place, maker, crc, domains };
        let head = encode(&Note::Message(note.clone()), &json, body.len(), link);
        Ok(Draft { note, head, body, large, lease, passage })
    }

    /// Whether a message of that many octets would find room now (bytes in flight and the reserve counted).
    #[must_use]
    pub fn has_room(&self, octets: u64) -> bool {
        self.shared.space.available() >= octets.saturating_add(OVERHEAD)
    }

    /// Whether a delivery could be recorded now; where not, delivery pauses.
    #[must_use]
    pub fn can_record(&self) -> bool {
        self.shared.space.can_record()
    }

    /// Reads a message, and checks all of its content. Blocks on the disk: for a short time, or, where the content is in a
    /// file of its own, for as long as reading all of it takes.
    ///
    /// # Errors
    /// It is not held, or damaged.
    pub fn read(&self, id: MessageId) -> Result<Held, ReadError> {
        read::read(&self.shared, id)
    }

    /// [`Self::read`] for async callers: a file that takes long to check is read beside the runtime.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn fetch(self: &Arc<Self>, id: MessageId) -> Result<Held, ReadError> {
        if !self.shared.book.lock().index.locate(id).is_some_and(|location| location.place == Place::File) {
            return self.read(id);
        }
        let spool = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || spool.read(id)).await;
        read.unwrap_or_else(|problem| Err(ReadError::Unreadable { id, problem: problem.to_string() }))
    }

    /// Reads the first octets of a message's content, at most `limit`. Blocks on the disk for a short time.
    ///
    /// # Errors
    /// It is not held, damaged, or can't be read now.
    pub fn head(&self, id: MessageId, limit: usize) -> Result<Bytes, ReadError> {
        read::head(&self.shared, id, limit)
    }

    /// Reads a message's envelope and state, not its content.
    ///
    /// # Errors
    /// It is not held, or damaged.
    pub fn peek(&self, id: MessageId) -> Result<(Envelope, MessageState), ReadError> {
        read::peek(&self.shared, id)
    }

    /// Claims the oldest message that is `Queued`, due and not claimed, over all the given lanes.
    #[must_use]
    pub fn claim(self: &Arc<Self>, domains: &[DomainName], now: Timestamp) -> Option<Claim> {
        let id = self.shared.book.lock().index.claim(domains, now)?;
        Some(Claim { id, spool: Arc::clone(self) })
    }

    /// Claims one message, whatever it waits for; none where it is not held or claimed already.
    #[must_use]
    pub fn claim_one(self: &Arc<Self>, id: MessageId) -> Option<Claim> {
        let claimed = self.shared.book.lock().index.claim_one(id);
        claimed.then(|| Claim { id, spool: Arc::clone(self) })
    }

    /// Makes every message of the lanes that has a due time of its own due now (in memory; not recorded).
    pub fn flush(&self, domains: &[DomainName], reach: Reach) {
        self.shared.book.lock().index.flush(domains, reach);
        self.shared.changed.notify_one();
    }

    /// Makes a message due now for those of its domains that are not among the given ones (in memory; not recorded).
    pub fn offer_elsewhere(&self, id: MessageId, domains: &[DomainName]) {
        self.shared.book.lock().index.offer_elsewhere(id, domains);
        self.shared.changed.notify_one();
    }

    /// Messages of a lane that arrived before a moment, oldest first, after the given one, at most `limit`.
    #[must_use]
    pub fn aged(&self, domain: &DomainName, before: Timestamp, after: Option<MessageId>, limit: usize) -> Vec<Summary> {
        self.shared.book.lock().index.aged(domain, before, after, limit)
    }

    /// A page of all held mail, oldest first, after the given one; of one lane, where one is named.
    #[must_use]
    pub fn list(&self, domain: Option<&DomainName>, after: Option<MessageId>, limit: usize) -> Vec<Summary> {
        self.shared.book.lock().index.list(domain, after, limit)
    }

    /// What a lane holds.
    #[must_use]
    pub fn lane(&self, domain: &DomainName) -> LaneStatus {
        self.shared.book.lock().index.lane(domain)
    }

    /// How many messages wait for any of some domains, and how many octets of content these have.
    #[must_use]
    pub fn together(&self, domains: &[DomainName]) -> (u64, u64) {
        self.shared.book.lock().index.together(domains)
    }

    /// All held mail, each message once, by the domains that it waits for: lanes can't be added up, as a message may be in
    /// several. The least of the times of a lane's parts is the lane's; that of one part may be earlier than its oldest
    /// message. When mail is due, and how much is ready, is not told.
    #[must_use]
    pub fn parts(&self) -> Vec<(Vec<DomainName>, LaneStatus)> {
        self.shared.book.lock().index.parts()
    }

    /// Every lane that holds mail.
    #[must_use]
    pub fn lanes(&self) -> Vec<(DomainName, LaneStatus)> {
        self.shared.book.lock().index.lanes()
    }

    /// When the newest held message arrived.
    #[must_use]
    pub fn newest_arrival(&self) -> Option<Timestamp> {
        self.shared.book.lock().index.newest()
    }

    /// Waits until mail became ready in some lane since the last call, and names the lanes. One caller at a time.
    pub async fn changed(&self) -> Vec<DomainName> {
        loop {
            let changed = self.shared.book.lock().index.take_changed();
            if !changed.is_empty() {
                return changed;
            }
            self.shared.changed.notified().await;
        }
    }

    /// What the volume holds.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let space = &self.shared.space;
        Usage { used: space.used(), available: space.available(), size: space.size(), quarantined: space.quarantined() }
    }

    /// Takes up a new size, in octets; `None`: the whole volume. Segments keep the size that they had at the start.
    pub fn resize(&self, size: Option<u64>) {
        self.shared.space.resize(size);
    }

    /// Writes out everything, marks the log as complete, and stops the committer. Later calls fail with `Closed`.
    pub async fn close(&self) {
        let _ = self.shared.queue.close().await;
        self.shared.chores.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        let joined = tokio::task::spawn_blocking(move || join(threads));
        let _ = joined.await;
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.shared.queue.abandon();
        self.shared.chores.close();
        // The folder's lock is free only after both threads have let go of it.
        join(std::mem::take(&mut *self.threads.lock()));
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread of the spool panicked");
        }
    }
}

/// Runs a thread of the spool. Should it ever panic, the program ends at once: without it nothing could be recorded, and
/// mail would be delivered again and again. The next start finds everything that was acknowledged.
fn fail_stop(run: impl FnOnce()) {
    struct Alarm;
    impl Drop for Alarm {
        fn drop(&mut self) {
            if std::thread::panicking() {
                tracing::error!("a thread of the spool failed; the program ends, to start anew from what is on disk");
                std::process::abort();
            }
        }
    }
    let _alarm = Alarm;
    run();
}
