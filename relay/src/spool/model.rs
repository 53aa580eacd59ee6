//! What goes into the spool and what comes out.

use std::path::PathBuf;

use backupmx_relay_config::DomainName;
use bytes::Bytes;

use super::{LargeBody, Maker};
use crate::{
    clock::Timestamp,
    in_flight::Passage,
    message::{Envelope, MessageId, MessageState, Standing},
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

/// The content of a new message.
#[derive(Debug)]
pub enum Body {
    /// In memory.
    Memory(Bytes),
    /// In a file of its own, complete.
    Large(LargeBody),
}

/// A message to be stored.
#[derive(Debug)]
pub struct NewMessage {
    /// Its envelope.
    pub envelope: Envelope,
    /// Its content.
    pub body: Body,
    /// Counts the transaction that brought it as in flight, until it is held or cannot be any more; none for our own.
    pub passage: Option<Passage>,
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

/// How far a flush reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To what waits for a due time of its own.
    Waiting,
    /// Also to what is being tried: it is due again when its try ends, whatever came of it. For those who asked now, as
    /// they are to see a try that began after they asked.
    Underway,
}

/// What a lane holds. A lane is all mail that waits for one domain; a message that waits for several is in several lanes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneStatus {
    /// Messages, whatever they wait for.
    pub messages: u64,
    /// Their content's bytes.
    pub bytes: u64,
    /// Of them, `Standing::Rejected` or `Standing::Looping`.
    pub held: u64,
    /// Of them, `Standing::Withheld`.
    pub withheld: u64,
    /// Of them, `Standing::Parked`.
    pub parked: u64,
    /// Of them, our own reports.
    pub reports: u64,
    /// When the oldest arrived.
    pub oldest: Option<Timestamp>,
    /// When the oldest arrived that is not parked, or earlier, where very many are.
    pub oldest_waiting: Option<Timestamp>,
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
    /// The lane that is listed; where none is, that of its first recipient that waits.
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
    /// Who made it.
    pub maker: Maker,
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
