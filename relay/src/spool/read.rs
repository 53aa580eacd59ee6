//! Reading held messages back.

use std::{collections::HashMap, fs::File, io, os::unix::fs::FileExt, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    Content, Held, ReadError,
    committer::Shared,
    index::{Extent, Location},
    jobs::{Fate, Job},
    quarantine::Quarantine,
    record::{Note, Place, Record, SegmentId},
};
use crate::message::{Envelope, MessageId, MessageState};

/// Segments that are kept open for reading.
const OPEN: usize = 64;
/// A message may be copied elsewhere while it is looked for; that often in a row it is not.
const TRIES: usize = 8;

/// Segments, open for reading.
#[derive(Debug, Default)]
pub(super) struct Files(Mutex<HashMap<SegmentId, Arc<File>>>);

impl Files {
    fn get(&self, shared: &Shared, segment: SegmentId) -> io::Result<Arc<File>> {
        if let Some(file) = self.0.lock().get(&segment) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::open(shared.folder.segment(segment))?);
        let mut files = self.0.lock();
        if files.len() >= OPEN
            && let Some(oldest) = files.keys().min().copied()
        {
            files.remove(&oldest);
        }
        files.insert(segment, Arc::clone(&file));
        drop(files);
        // Removed between the look-up and now: an open file would hold its space.
        if !shared.book.lock().ledger.contains(segment) {
            self.forget(segment);
        }
        Ok(file)
    }

    /// A segment is gone.
    pub(super) fn forget(&self, segment: SegmentId) {
        self.0.lock().remove(&segment);
    }
}

/// The octets of a record.
pub(super) fn octets(shared: &Shared, at: Extent) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; at.length as usize];
    shared.files.get(shared, at.spot.segment)?.read_exact_at(&mut octets, u64::from(at.spot.offset))?;
    Ok(octets)
}

/// How much of a message is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Envelope,
    /// The first octets of the content, unchecked where it is a file: checking reads all of it.
    Head(usize),
    All,
}

/// Reads a message.
pub(super) fn read(shared: &Shared, id: MessageId) -> Result<Held, ReadError> {
    load(shared, id, Part::All)
}

/// Reads a message's envelope and state.
pub(super) fn peek(shared: &Shared, id: MessageId) -> Result<(Envelope, MessageState), ReadError> {
    let held = load(shared, id, Part::Envelope)?;
    Ok((held.envelope, held.state))
}

/// Reads the first octets of a message's content.
pub(super) fn head(shared: &Shared, id: MessageId, limit: usize) -> Result<Bytes, ReadError> {
    match load(shared, id, Part::Head(limit))?.content {
        Content::Memory(octets) => Ok(octets.slice(..limit.min(octets.len()))),
        Content::File(..) => Ok(Bytes::new()), // never: a head is read into memory
    }
}

fn load(shared: &Shared, id: MessageId, part: Part) -> Result<Held, ReadError> {
    let mut tries = 0;
    loop {
        let location = shared.book.lock().index.locate(id).ok_or(ReadError::Unknown(id))?;
        match attempt(shared, id, &location, part) {
            Ok(held) => return Ok(held),
            Err(problem) => {
                let moved = shared.book.lock().index.locate(id) != Some(location);
                if moved && tries < TRIES {
                    tries += 1;
                    continue;
                }
                if let Problem::Damaged { what, octets } = problem {
                    set_aside(shared, id, &location, &what, &octets);
                    return Err(ReadError::Damaged { id, problem: what });
                }
                let Problem::Io(error) = problem else { return Err(ReadError::Unknown(id)) };
                return Err(ReadError::Unreadable { id, problem: error.to_string() });
            }
        }
    }
}

#[derive(Debug)]
enum Problem {
    /// The disk says so; it may be better next time.
    Io(io::Error),
    /// It is not what was stored.
    Damaged { what: String, octets: Vec<u8> },
}

fn attempt(shared: &Shared, id: MessageId, location: &Location, part: Part) -> Result<Held, Problem> {
    let octets = match octets(shared, location.message) {
        Ok(octets) => octets,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {
            return Err(Problem::Damaged { what: "its record is missing".to_owned(), octets: Vec::new() });
        }
        Err(error) => return Err(Problem::Io(error)),
    };
    let damaged = |what: &str| Problem::Damaged { what: what.to_owned(), octets: octets.clone() };
    let Some(record) = Record::parse(&octets) else { return Err(damaged("its record fails its checksum")) };
    let Note::Message(note) = &record.note else { return Err(damaged("its record is of another kind")) };
    if note.id != id {
        return Err(damaged("its record is another message's"));
    }
    let envelope: Envelope = serde_json::from_slice(record.json)
        .map_err(|error| damaged(&format!("its envelope is not readable: {error}")))?;
    let mut state = state(shared, location, envelope.recipients.len()).map_err(Problem::Io)?;
    shared.overlay.complete(id, &mut state);
    let content = match (note.place, part) {
        (_, Part::Envelope) => Content::Memory(Bytes::new()),
        (Place::File, Part::Head(limit)) => {
            let file = File::open(shared.folder.content(id)).map_err(Problem::Io)?;
            let mut head = vec![0; limit.min(usize::try_from(note.size).unwrap_or(limit))];
            file.read_exact_at(&mut head, 0).map_err(Problem::Io)?;
            Content::Memory(Bytes::from(head))
        }
        (Place::Inline, Part::Head(_) | Part::All) => {
            if !record.is_whole() {
                return Err(damaged("its content fails its checksum"));
            }
            let start = octets.len() - record.body.len();
            Content::Memory(Bytes::from(octets).slice(start..))
        }
        (Place::File, Part::All) => {
            let file = match File::open(shared.folder.content(id)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(damaged("the file with its content is missing"));
                }
                Err(error) => return Err(Problem::Io(error)),
            };
            check(&file, note.size, note.crc).map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                    damaged("the file with its content fails its checksum")
                }
                _ => Problem::Io(error),
            })?;
            Content::File(file, note.size)
        }
    };
    Ok(Held { envelope, state, content })
}

/// Checks a large message's content; the file's position stays at its start.
fn check(file: &File, size: u64, crc: u32) -> io::Result<()> {
    let mut chunk = vec![0; 256 << 10];
    let (mut offset, mut found) = (0, 0);
    if file.metadata()?.len() != size {
        return Err(io::ErrorKind::InvalidData.into());
    }
    while offset < size {
        let count = usize::try_from(size - offset).unwrap_or(usize::MAX).min(chunk.len());
        file.read_exact_at(&mut chunk[..count], offset)?;
        found = crc32c::crc32c_append(found, &chunk[..count]);
        offset += count as u64;
    }
    if found == crc { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// A message's state. Where its record is damaged, what the index knows of it stands in: recipients that had an outcome
/// are tried again, since a message that comes twice is better than one that is lost. A disk that does not give it now
/// (or a segment that has just been rewritten elsewhere) is no damage.
pub(super) fn state(shared: &Shared, location: &Location, recipients: usize) -> io::Result<MessageState> {
    let Some(at) = location.state else { return Ok(MessageState::new(recipients)) };
    let octets = octets(shared, at)?;
    let state = Record::parse(&octets).and_then(|record| serde_json::from_slice::<MessageState>(record.json).ok());
    Ok(state.filter(|state| state.recipients.len() == recipients).unwrap_or_else(|| {
        tracing::error!(segment = at.spot.segment, offset = at.spot.offset, "a message's state is damaged");
        shared.metrics.quarantined.inc();
        MessageState {
            standing: location.standing,
            due: location.due,
            attempts: location.attempts,
            ..MessageState::new(recipients)
        }
    }))
}

/// Keeps a damaged message from everybody, copies what is left of it to the quarantine, and then ends it.
pub(super) fn set_aside(shared: &Shared, id: MessageId, location: &Location, problem: &str, octets: &[u8]) {
    tracing::error!(%id, problem, "a held message is damaged; it is set aside");
    shared.metrics.quarantined.inc();
    shared.book.lock().index.set_damaged(id);
    let quarantine = Quarantine::of(shared);
    let kept = quarantine.put(&format!("{id}.record"), octets).and_then(|_| {
        let content = shared.folder.content(id);
        if location.place == Place::File && content.exists() {
            shared.space.add(location_size(&content));
            quarantine.take(&format!("{id}.msg"), &content)?;
        }
        Ok(())
    });
    match kept {
        Ok(()) => {
            shared.queue.push(Job::Change { id, fate: Fate::Done, reports: Vec::new(), reply: None });
        }
        // Without a copy the message is not let go: it stays where it is, and the next start finds it again.
        Err(error) => tracing::error!(%id, %error, "failed to set a damaged message aside"),
    }
}

/// The keeper takes the size of a message's file off when the message ends; in quarantine it counts on.
fn location_size(content: &std::path::Path) -> u64 {
    content.metadata().map_or(0, |about| about.len())
}
