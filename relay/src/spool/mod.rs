//! The spool: accepted mail on disk. (stub: the owner of this module replaces the bodies and keeps the signatures)

use std::{path::PathBuf, sync::Arc};

use backupmx_relay_config::DomainName;
use bytes::Bytes;

use crate::{
    clock::Timestamp,
    message::{Envelope, MessageId, MessageState, Standing},
    metrics::Metrics,
};

/// Where the spool is and what it may take.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder; made if it is missing.
    pub path: PathBuf,
    /// What the spool may take of the volume, in bytes; none: all of it.
    pub size: Option<u64>,
    /// The size at which a segment is sealed, in bytes; none: 64 MiB, less on a small volume.
    pub segment_size: Option<u64>,
}

/// Why a spool could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the spool {} is in use by {holder}; one relay a folder", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// What is known of the holder, such as `process 4711`.
        holder: String,
    },
    /// The file system failed.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was tried, such as `create folder`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// What was found when a spool was opened.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Messages held.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Damage that was set aside, a line for each, for people.
    pub damage: Vec<String>,
}

/// Why something could not be made durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The volume is full up to the reserve (or, for what may use the reserve, full).
    #[error("the spool is full")]
    Full,
    /// The volume failed.
    #[error("failed to write to the spool: {0}")]
    Io(String),
    /// No such message is held.
    #[error("no message {0} is held")]
    Unknown(MessageId),
    /// The spool is closed.
    #[error("the spool is closed")]
    Closed,
}

/// The content of a new message.
#[derive(Debug)]
pub enum Body {
    /// In memory.
    Memory(Bytes),
    /// In a file of its own, complete.
    Large(LargeBody),
}

/// Content that is streamed to a file of its own. Dropped before it is stored, the file goes too.
#[derive(Debug)]
pub struct LargeBody {
    _private: (),
}

impl LargeBody {
    /// Adds octets.
    ///
    /// # Errors
    /// The volume is full or failed.
    pub async fn write(&mut self, _octets: Bytes) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }
}

/// A message to be stored.
#[derive(Debug)]
pub struct NewMessage {
    /// Its envelope.
    pub envelope: Envelope,
    /// Its content.
    pub body: Body,
}

/// One atomic step in a message's life: its new state or its end, together with the reports that go with it.
#[derive(Debug)]
pub struct Change {
    /// The message.
    pub id: MessageId,
    /// What becomes of it.
    pub then: Then,
    /// Reports that are stored in the same record: after a crash either all of this happened or nothing.
    pub reports: Vec<NewMessage>,
}

/// What becomes of a message.
#[derive(Debug)]
pub enum Then {
    /// It is kept, in this state.
    Keep(MessageState),
    /// It is done; nothing of it is kept.
    Done,
}

/// A held message, read back.
#[derive(Debug)]
pub struct Held {
    /// Its envelope.
    pub envelope: Envelope,
    /// Its state.
    pub state: MessageState,
    /// Its content.
    pub content: Content,
}

/// The content of a held message.
#[derive(Debug)]
pub enum Content {
    /// In memory.
    Memory(Bytes),
    /// A file, open for reading at its start, and its length.
    File(std::fs::File, u64),
}

/// Why a message could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such message is held.
    #[error("no message {0} is held")]
    Unknown(MessageId),
    /// Its record or file is damaged or missing; it was set aside.
    #[error("message {id} is damaged: {problem}")]
    Damaged {
        /// The message.
        id: MessageId,
        /// What is wrong.
        problem: String,
    },
}

/// What a lane holds. A lane is all mail whose first pending recipient is in one domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneStatus {
    /// Messages, whatever they wait for.
    pub messages: u64,
    /// Their content's bytes.
    pub bytes: u64,
    /// Of them, `Standing::Rejected` or `Standing::Looping`.
    pub held: u64,
    /// Of them, `Standing::Parked`.
    pub parked: u64,
    /// Of them, our own reports.
    pub reports: u64,
    /// When the oldest arrived.
    pub oldest: Option<Timestamp>,
    /// When the next message with a due time of its own is due.
    pub next_due: Option<Timestamp>,
    /// Messages that can be claimed now.
    pub ready: u64,
}

/// A held message in a listing.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its id.
    pub id: MessageId,
    /// When it arrived.
    pub arrived: Timestamp,
    /// Its lane.
    pub domain: DomainName,
    /// Octets of content.
    pub size: u64,
    /// What it waits for.
    pub standing: Standing,
    /// Its own due time.
    pub due: Option<Timestamp>,
    /// Tries that ended in a 4xx.
    pub attempts: u32,
    /// It is being delivered right now.
    pub busy: bool,
}

/// What the volume holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes that the spool takes.
    pub used: u64,
    /// Bytes that new mail may still take: never negative, bytes in flight and the reserve taken off.
    pub available: u64,
    /// The configured size or the volume's, the smaller.
    pub size: u64,
    /// Files in quarantine.
    pub quarantined: u64,
}

/// A message that one worker has to itself; given back when this is dropped.
#[derive(Debug)]
pub struct Claim {
    id: MessageId,
    #[expect(dead_code)]
    spool: Arc<Spool>,
}

impl Claim {
    /// The message.
    #[must_use]
    pub const fn id(&self) -> MessageId {
        self.id
    }
}

/// The spool.
#[derive(Debug)]
pub struct Spool {
    _private: (),
}

impl Spool {
    /// Opens a spool, or makes one: takes the lock, reads the log, sets damage aside. Blocks.
    ///
    /// # Errors
    /// Another process holds the folder, or the file system fails.
    pub fn open(
        _options: &Options,
        _metrics: Arc<Metrics>,
        _now: Timestamp,
    ) -> Result<(Arc<Self>, Recovery), OpenError> {
        Ok((Arc::new(Self { _private: () }), Recovery::default()))
    }

    /// Starts a file for a large message.
    ///
    /// # Errors
    /// No room, or the volume failed.
    pub async fn large(&self) -> Result<LargeBody, StoreError> {
        Err(StoreError::Closed)
    }

    /// Makes a new message durable. When this returns `Ok`, the message survives a power cut.
    ///
    /// # Errors
    /// Nothing was kept.
    pub async fn store(&self, _message: NewMessage) -> Result<MessageId, StoreError> {
        Err(StoreError::Closed)
    }

    /// Makes a step in a message's life durable, with its reports, in one record. Returns the reports' ids. May use
    /// the reserve. A claim on the message must be held by the caller, and is dropped by it afterwards.
    ///
    /// # Errors
    /// Nothing was recorded.
    pub async fn commit(&self, _change: Change) -> Result<Vec<MessageId>, StoreError> {
        Err(StoreError::Closed)
    }

    /// Whether a message of that many octets would find room now (bytes in flight and the reserve counted).
    #[must_use]
    pub fn has_room(&self, _octets: u64) -> bool {
        false
    }

    /// Whether a delivery could be recorded now; where not, delivery pauses.
    #[must_use]
    pub fn can_record(&self) -> bool {
        false
    }

    /// Reads a message. Blocks on the disk for a short time.
    ///
    /// # Errors
    /// It is not held, or damaged.
    pub fn read(&self, id: MessageId) -> Result<Held, ReadError> {
        Err(ReadError::Unknown(id))
    }

    /// Reads a message's envelope and state, not its content.
    ///
    /// # Errors
    /// It is not held, or damaged.
    pub fn peek(&self, id: MessageId) -> Result<(Envelope, MessageState), ReadError> {
        Err(ReadError::Unknown(id))
    }

    /// Claims the oldest message that is `Queued`, due and not claimed, over all the given lanes.
    #[must_use]
    pub fn claim(self: &Arc<Self>, _domains: &[DomainName], _now: Timestamp) -> Option<Claim> {
        None
    }

    /// Claims one message, whatever it waits for; none where it is not held or claimed already.
    #[must_use]
    pub fn claim_one(self: &Arc<Self>, _id: MessageId) -> Option<Claim> {
        None
    }

    /// Makes every message of the lanes that has a due time of its own due now (in memory; not recorded).
    pub fn flush(&self, _domains: &[DomainName]) {}

    /// Messages of a lane that arrived before a moment, oldest first, after the given one, at most `limit`.
    #[must_use]
    pub fn aged(
        &self,
        _domain: &DomainName,
        _before: Timestamp,
        _after: Option<MessageId>,
        _limit: usize,
    ) -> Vec<Summary> {
        Vec::new()
    }

    /// A page of all held mail, oldest first, after the given one; of one lane, where one is named.
    #[must_use]
    pub fn list(&self, _domain: Option<&DomainName>, _after: Option<MessageId>, _limit: usize) -> Vec<Summary> {
        Vec::new()
    }

    /// What a lane holds.
    #[must_use]
    pub fn lane(&self, _domain: &DomainName) -> LaneStatus {
        LaneStatus::default()
    }

    /// Every lane that holds mail.
    #[must_use]
    pub fn lanes(&self) -> Vec<(DomainName, LaneStatus)> {
        Vec::new()
    }

    /// Waits until mail became ready in some lane since the last call, and names the lanes. One caller at a time.
    pub async fn changed(&self) -> Vec<DomainName> {
        std::future::pending().await
    }

    /// Messages of a lane that can be claimed now, at least.
    #[must_use]
    pub fn ready(&self, _domain: &DomainName, _now: Timestamp) -> u64 {
        0
    }

    /// When the newest held message arrived.
    #[must_use]
    pub fn newest_arrival(&self) -> Option<Timestamp> {
        None
    }

    /// What the volume holds.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage::default()
    }

    /// Writes out everything, marks the log as complete, and stops the committer. Later calls fail with `Closed`.
    pub async fn close(&self) {}
}
