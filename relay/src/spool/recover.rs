//! Reading the log at the start.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs::File,
    ops::Range,
    path::Path,
};

use backupmx_relay_config::DomainName;

use super::{
    OpenError, Recovery, Summary,
    committer::Book,
    folder::{Folder, failed},
    frame::{HeaderFlaw, VERSION},
    index::Extent,
    ledger::Stage,
    quarantine::{Quarantine, is_torn},
    record::{Domains, MessageNote, Note, Place, SegmentId, StateNote},
    scan::{self, Damage},
    sidecar::{self, Builder},
    space::Space,
    volume::Volume,
};
use crate::message::MessageId;

/// What a start begins with.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) book: Book,
    pub(super) recovery: Recovery,
    /// The next segment's id.
    pub(super) segment: SegmentId,
    /// The next batch's sequence.
    pub(super) sequence: u64,
    pub(super) largest_id: MessageId,
    /// Messages whose content is gone: their end is to be recorded.
    pub(super) lost: Vec<Summary>,
}

/// A segment as it was found.
#[derive(Debug)]
struct Found {
    id: SegmentId,
    length: u64,
    first: Option<u64>,
    next: u64,
    largest_id: MessageId,
    stage: Stage,
    /// None: to be read from end to end.
    notes: Option<Vec<(Note, Extent)>>,
}

/// Reads the log of a folder.
pub(super) fn recover(folder: &Folder, volume: &dyn Volume, space: &Space) -> Result<Start, OpenError> {
    count_quarantine(folder, space)?;
    let mut reader = Recoverer { folder, volume, space, damage: Vec::new() };
    let mut found = Vec::new();
    for (id, length) in folder.segments()? {
        found.push(reader.look(id, length)?);
    }
    // Each segment's batches end where the next one's begin.
    let mut limit = None;
    for segment in found.iter_mut().rev() {
        if segment.notes.is_none() {
            reader.read(segment, limit)?;
        }
        limit = segment.first.into_iter().chain(limit).min();
    }
    let mut start = Start {
        book: Book::default(),
        recovery: Recovery::default(),
        segment: 1,
        sequence: 1,
        largest_id: MessageId::from_u64(0),
        lost: Vec::new(),
    };
    let mut replay = Replay::default();
    for segment in found {
        start.segment = start.segment.max(segment.id.saturating_add(1));
        start.sequence = start.sequence.max(segment.next).max(segment.first.unwrap_or(0));
        start.largest_id = start.largest_id.max(segment.largest_id);
        // A segment that never came into use has no length left.
        if segment.length > 0 {
            start.book.ledger.add(segment.id, segment.stage, segment.length);
            space.add(segment.length);
        }
        for (note, at) in segment.notes.unwrap_or_default() {
            start.largest_id = start.largest_id.max(note.id());
            if let Note::Done(done) = &note {
                let named = done.segments.iter().max().copied().unwrap_or(0);
                start.segment = start.segment.max(named.saturating_add(1));
            }
            replay.record(note, at);
        }
    }
    replay.finish(&mut start.book);
    reader.tidy_log(&start.book)?;
    start.lost = reader.check_contents(&start.book)?;
    let lost_bytes: u64 = start.lost.iter().map(|message| message.size).sum();
    start.recovery = Recovery {
        messages: start.book.index.len() - start.lost.len() as u64,
        bytes: start.book.index.bytes() - lost_bytes,
        damage: reader.damage,
    };
    Ok(start)
}

#[derive(Debug)]
struct Recoverer<'a> {
    folder: &'a Folder,
    volume: &'a dyn Volume,
    space: &'a Space,
    damage: Vec<String>,
}

impl Recoverer<'_> {
    fn quarantine(&self) -> Quarantine<'_> {
        Quarantine { folder: self.folder, volume: self.volume, space: self.space }
    }

    /// Finds out what can be known of a segment without reading it.
    fn look(&mut self, id: SegmentId, length: u64) -> Result<Found, OpenError> {
        let mut found = Found {
            id,
            length,
            first: None,
            next: 0,
            largest_id: MessageId::from_u64(0),
            stage: Stage::Sealed,
            notes: None,
        };
        let octets = std::fs::read(self.folder.sidecar(id)).unwrap_or_default();
        if let Some((summary, notes)) = sidecar::parse(&octets).filter(|(summary, _)| summary.segment == id) {
            (found.first, found.next) = (Some(summary.first), summary.next);
            found.largest_id = summary.largest_id;
            if summary.length == length {
                found.notes = Some(notes);
                self.space.add(octets.len() as u64);
            } else if length < summary.length {
                self.report_short(id, length, &summary, &notes);
            }
            return Ok(found);
        }
        let path = self.folder.segment(id);
        let file = File::open(&path).map_err(|source| failed("open", &path, source))?;
        match scan::header(&file).map_err(|source| failed("read", &path, source))? {
            Ok(header) => {
                found.first = Some(header.first);
                found.largest_id = header.largest_id;
            }
            Err(HeaderFlaw::Version(version)) => {
                return Err(OpenError::Format { path, found: version, expected: VERSION });
            }
            Err(HeaderFlaw::Damaged) => {}
        }
        Ok(found)
    }

    fn report_short(&mut self, id: SegmentId, length: u64, was: &sidecar::Summary, notes: &[(Note, Extent)]) {
        let cut = |at: &Extent| u64::from(at.spot.offset) + u64::from(at.length) > length;
        let lost = notes.iter().filter(|(note, at)| matches!(note, Note::Message(_)) && cut(at));
        let lost: Vec<_> = lost.map(|(note, _)| note.id()).collect();
        self.report(format!("segment {id}: {} octets are missing at its end{}", was.length - length, of(&lost)));
    }

    /// Reads a segment from end to end, sets damage aside, cuts what was never finished, and writes its sidecar.
    fn read(&mut self, found: &mut Found, limit: Option<u64>) -> Result<(), OpenError> {
        let path = self.folder.segment(found.id);
        let file =
            File::options().read(true).write(true).open(&path).map_err(|source| failed("open", &path, source))?;
        let scan = scan::scan(&file, found.length, found.id, limit).map_err(|source| failed("read", &path, source))?;
        // What was read may only be in memory yet; nothing may be built on it before it is on the disk.
        self.volume.sync(&file).map_err(|source| failed("sync", &path, source))?;
        for damage in &scan.damage {
            if !self.set_aside(found.id, &file, damage) {
                found.stage = Stage::Kept;
            }
        }
        if let Some(torn) = scan.torn {
            tracing::info!(segment = found.id, octets = torn.end - torn.start, "cut a write that was never finished");
            if torn.start > 0 {
                let name = format!("{:010}-{}", found.id, torn.start);
                if let Err(error) = self.quarantine().torn(&name, &file, torn.clone()) {
                    tracing::warn!(%error, "failed to keep a copy of a write that was never finished");
                }
            }
            found.length = torn.start;
            let cut = self.volume.truncate(&file, torn.start).and_then(|()| self.volume.sync(&file));
            if let Err(error) = cut {
                tracing::warn!(segment = found.id, %error, "failed to cut a segment");
            }
        }
        found.first = scan.header.map(|header| header.first).or(found.first);
        found.next = scan.next.max(found.next);
        let mut builder = Builder::default();
        scan.records.iter().for_each(|(note, at)| builder.add(note, *at));
        let summary = sidecar::Summary {
            segment: found.id,
            length: found.length,
            first: found.first.unwrap_or(0),
            next: found.next,
            largest_id: found.largest_id,
        };
        let octets = builder.finish(&summary);
        if found.first.is_some() && std::fs::write(self.folder.sidecar(found.id), &octets).is_ok() {
            self.space.add(octets.len() as u64);
        }
        found.notes = Some(scan.records);
        Ok(())
    }

    /// Copies damaged octets to quarantine; false where that failed.
    fn set_aside(&mut self, segment: SegmentId, file: &File, damage: &Damage) -> bool {
        let Range { start, end } = damage.range;
        let name = format!("{segment:010}-{start}.batch");
        let what = format!("segment {segment}, octets {start} to {end}: damaged{}", of(&damage.messages));
        match self.quarantine().copy(&name, file, damage.range.clone()) {
            // It was reported when the copy was made.
            Ok(false) => true,
            Ok(true) => {
                self.report(format!("{what}; {} records in it could be read; see quarantine/{name}", damage.saved));
                true
            }
            Err(error) => {
                self.report(format!("{what}; failed to copy it to quarantine/{name}: {error}"));
                false
            }
        }
    }

    fn report(&mut self, line: String) {
        tracing::error!("{line}");
        self.damage.push(line);
    }

    /// Removes sidecars without a segment and segments that never came into use.
    fn tidy_log(&self, book: &Book) -> Result<(), OpenError> {
        for (path, _) in self.folder.files(self.folder.log())? {
            let id = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            if id.is_some_and(|id| !book.ledger.contains(id)) {
                let _ = self.volume.remove(&path);
            }
        }
        Ok(())
    }

    /// Looks for the files of large messages; returns the messages that have none. Files that nothing names go, unless
    /// part of the log can't be read: then the record that named one may be in that part.
    fn check_contents(&mut self, book: &Book) -> Result<Vec<Summary>, OpenError> {
        let mut files: HashMap<MessageId, u64> = HashMap::new();
        for (path, length) in self.folder.files(self.folder.large())? {
            match id_of(&path, "msg") {
                Some(id) if book.index.locate(id).is_some_and(|at| at.place == Place::File) => {
                    self.space.add(length);
                    files.insert(id, length);
                }
                Some(id) if !self.damage.is_empty() => {
                    let name = format!("{id}.msg");
                    match self.quarantine().take(&name, &path) {
                        Ok(()) => {
                            self.space.add(length);
                            self.report(format!(
                                "message {id}: content that no record names; moved to quarantine/{name}"
                            ));
                        }
                        Err(error) => tracing::warn!(%id, %error, "failed to move content to quarantine"),
                    }
                }
                _ => {
                    let removed = self.volume.remove(&path);
                    if let Err(source) = removed {
                        return Err(failed("remove", &path, source));
                    }
                }
            }
        }
        let mut lost = Vec::new();
        for summary in book.index.list(None, None, usize::MAX) {
            let at = book.index.locate(summary.id);
            let is_large = at.is_some_and(|at| at.place == Place::File);
            if is_large && !files.contains_key(&summary.id) {
                lost.push(summary);
            }
        }
        for Summary { id, .. } in &lost {
            self.report(format!("message {id}: the file with its content is missing"));
        }
        Ok(lost)
    }
}

fn of(messages: &[MessageId]) -> String {
    if messages.is_empty() {
        return String::new();
    }
    let ids: Vec<String> = messages.iter().map(ToString::to_string).collect();
    format!(" (message {})", ids.join(", "))
}

fn id_of(path: &Path, extension: &str) -> Option<MessageId> {
    (path.extension()? == extension).then(|| path.file_stem()?.to_str()?.parse().ok())?
}

/// The log's records, as far as they matter in the end.
#[derive(Debug, Default)]
struct Replay {
    messages: HashMap<MessageId, (MessageNote, Extent)>,
    states: HashMap<MessageId, (StateNote, Extent)>,
    done: HashSet<MessageId>,
    pins: Vec<(SegmentId, Vec<SegmentId>)>,
    /// Segments whose messages were found in a later one too.
    shadowed: BTreeSet<SegmentId>,
    domains: HashSet<DomainName>,
}

impl Replay {
    /// Takes the next record of the log. A message's done record may come before a copy of it that was found in an
    /// older segment later on, so nothing is decided before the end.
    fn record(&mut self, note: Note, at: Extent) {
        match note {
            Note::Message(mut note) => {
                self.intern(&mut note.domains);
                if let Some((_, old)) = self.messages.insert(note.id, (note, at)) {
                    self.shadowed.insert(old.spot.segment);
                }
            }
            Note::State(mut note) => {
                self.intern(&mut note.domains);
                self.states.insert(note.id, (note, at));
            }
            Note::Done(note) => {
                self.messages.remove(&note.id);
                self.states.remove(&note.id);
                self.pins.push((at.spot.segment, note.segments));
                self.done.insert(note.id);
            }
        }
    }

    fn intern(&mut self, domains: &mut Domains) {
        for domain in domains.all_mut() {
            if let Some(known) = self.domains.get(domain) {
                *domain = known.clone();
            } else {
                self.domains.insert(domain.clone());
            }
        }
    }

    fn finish(self, book: &mut Book) {
        let mut messages: Vec<_> = self.messages.into_iter().filter(|(id, _)| !self.done.contains(id)).collect();
        messages.sort_unstable_by_key(|(id, _)| *id);
        for (id, (note, at)) in messages {
            book.index.insert(&note, at);
            book.ledger.credit(at);
            if let Some((state, at)) = self.states.get(&id)
                && book.index.set_state(state, *at).is_ok()
            {
                book.ledger.credit(*at);
            }
        }
        for (holder, named) in &self.pins {
            book.ledger.pin(*holder, named);
        }
        for segment in self.shadowed {
            book.ledger.shadow(segment);
        }
    }
}

/// Counts what was in quarantine before this start.
fn count_quarantine(folder: &Folder, space: &Space) -> Result<(), OpenError> {
    for (path, length) in folder.files(folder.quarantine())? {
        space.add(length);
        space.add_quarantined(u64::from(!path.to_str().is_some_and(is_torn)));
    }
    Ok(())
}
