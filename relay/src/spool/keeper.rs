//! The keeper: the thread that tidies the log behind the committer's back.
//!
//! It writes sidecars, removes segments and files that nothing needs, and rewrites segments that are mostly waste.

use std::{collections::BTreeSet, fs::File, io, time::Duration};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::{
    StoreError,
    committer::Shared,
    index::Extent,
    jobs::{Copy, Job},
    read,
    record::{Note, Record, SegmentId, unlink},
    scan, sidecar,
    volume::is_full,
};
use crate::message::MessageId;

/// How often it looks without being asked.
const TICK: Duration = Duration::from_secs(1);
/// Octets that are handed to the committer at once for copying: others' commits wait that much longer.
const COPY: usize = 1 << 20;
/// So many segments may be waste before any is rewritten.
const SLACK: u64 = 4;

/// Something to do.
#[derive(Debug)]
pub(super) enum Chore {
    /// A segment is complete: write its sidecar.
    Sidecar(SegmentId, Vec<u8>),
    /// These large messages are done: remove their files, of those sizes.
    Content(Vec<(MessageId, u64)>),
    /// A segment may have become free.
    Tidy,
}

#[derive(Debug, Default)]
struct Inner {
    chores: Vec<Chore>,
    closed: bool,
}

/// The keeper's list. What is on it is bounded by what is on the disk.
#[derive(Debug, Default)]
pub(super) struct Chores {
    inner: Mutex<Inner>,
    more: Condvar,
}

impl Chores {
    pub(super) fn push(&self, chore: Chore) {
        self.inner.lock().chores.push(chore);
        self.more.notify_one();
    }

    /// The keeper leaves after what is on the list now.
    pub(super) fn close(&self) {
        self.inner.lock().closed = true;
        self.more.notify_one();
    }

    fn take(&self) -> (Vec<Chore>, bool) {
        let mut inner = self.inner.lock();
        if inner.chores.is_empty() && !inner.closed {
            self.more.wait_for(&mut inner, TICK);
        }
        (std::mem::take(&mut inner.chores), inner.closed)
    }

    fn is_closed(&self) -> bool {
        self.inner.lock().closed
    }
}

/// Works until the spool is closed or dropped.
pub(super) fn run(shared: &Shared) {
    // Segments in which something could not be copied; a start looks at them again.
    let mut stuck = BTreeSet::new();
    loop {
        let (chores, closed) = shared.chores.take();
        for chore in chores {
            match chore {
                Chore::Sidecar(segment, octets) => write_sidecar(shared, segment, &octets),
                Chore::Content(gone) => remove_content(shared, &gone),
                Chore::Tidy => {}
            }
        }
        if closed {
            return;
        }
        tidy(shared, &mut stuck);
    }
}

/// Removes what may go, and rewrites what is mostly waste.
pub(super) fn tidy(shared: &Shared, stuck: &mut BTreeSet<SegmentId>) {
    remove_segments(shared);
    while !shared.chores.is_closed() {
        let slack = SLACK * shared.space.segment_size();
        let short = shared.space.available() == 0;
        let Some(segment) = shared.book.lock().ledger.rewrite(slack, short, stuck) else { return };
        match rewrite(shared, segment) {
            Ok(()) => remove_segments(shared),
            // Room may come; it is tried again at the next look.
            Err(error) if is_full(&error) => return,
            Err(error) => tracing::warn!(segment, %error, "failed to rewrite a segment"),
        }
        if shared.book.lock().ledger.contains(segment) {
            stuck.insert(segment);
        }
    }
}

/// Writes a segment's sidecar. It is a cache: a failure costs time at the next start.
pub(super) fn write_sidecar(shared: &Shared, segment: SegmentId, octets: &[u8]) {
    let path = shared.folder.sidecar(segment);
    match std::fs::write(&path, octets) {
        Ok(()) => shared.space.add(octets.len() as u64),
        Err(error) => {
            tracing::warn!(segment, %error, "failed to write a segment's sidecar");
            let _ = shared.volume.remove(&path);
        }
    }
}

fn remove_content(shared: &Shared, gone: &[(MessageId, u64)]) {
    for (id, size) in gone {
        match shared.volume.remove(&shared.folder.content(*id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%id, %error, "failed to remove a delivered message's file");
            }
            _ => shared.space.subtract(*size),
        }
    }
}

/// Removes segments that nothing needs. Their names are gone durably before anything that depends on it is done.
pub(super) fn remove_segments(shared: &Shared) {
    loop {
        let removable = shared.book.lock().ledger.removable();
        let mut gone = Vec::new();
        let mut octets = 0;
        for segment in removable {
            let (path, sidecar) = (shared.folder.segment(segment), shared.folder.sidecar(segment));
            let size = |path: &std::path::Path| path.metadata().map_or(0, |about| about.len());
            let length = size(&path) + size(&sidecar);
            match shared.volume.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(segment, %error, "failed to remove a segment");
                }
                _ => {
                    let _ = shared.volume.remove(&sidecar);
                    gone.push(segment);
                    octets += length;
                }
            }
        }
        if gone.is_empty() {
            return;
        }
        if let Err(error) = shared.volume.sync_folder(shared.folder.log()) {
            tracing::warn!(%error, "failed to sync the log's folder");
            return;
        }
        shared.space.subtract(octets);
        shared.book.lock().ledger.forget(&gone);
        gone.iter().for_each(|segment| shared.files.forget(*segment));
    }
}

/// Copies everything that is needed out of a segment.
pub(super) fn rewrite(shared: &Shared, segment: SegmentId) -> io::Result<()> {
    let needed = shared.book.lock().ledger.needed(segment);
    if !shared.space.admits_from_reserve(needed) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    // From here on a message may be in two segments, and its done record must name both.
    shared.book.lock().ledger.shadow(segment);
    let mut copies = Vec::new();
    let mut octets = 0;
    for (note, at) in notes(shared, segment)? {
        if !is_needed(shared, &note, at) {
            continue;
        }
        let copy = match &note {
            Note::Done(_) => Copy { note, from: at.spot, octets: Vec::new() },
            Note::Message(_) | Note::State(_) => {
                let mut record = read::octets(shared, at)?;
                if !Record::parse(&record).is_some_and(|record| record.is_whole() && record.note == note) {
                    damaged(shared, &note, &record);
                    continue;
                }
                unlink(&mut record);
                Copy { note, from: at.spot, octets: record }
            }
        };
        octets += copy.octets.len() + 64;
        copies.push(copy);
        if octets >= COPY {
            submit(shared, std::mem::take(&mut copies))?;
            octets = 0;
        }
    }
    submit(shared, copies)?;
    // Only now, and not record by record: a rewrite that fails halfway copies some of them again.
    shared.book.lock().ledger.unpin(segment);
    Ok(())
}

fn damaged(shared: &Shared, note: &Note, octets: &[u8]) {
    let location = shared.book.lock().index.locate(note.id());
    if let (Note::Message(_), Some(location)) = (note, location) {
        read::set_aside(shared, note.id(), &location, "its record fails its checksum", octets);
    }
}

fn submit(shared: &Shared, copies: Vec<Copy>) -> io::Result<()> {
    if copies.is_empty() {
        return Ok(());
    }
    let (reply, answer) = oneshot::channel();
    shared.queue.push(Job::Copies { copies, reply });
    match answer.blocking_recv() {
        Ok(Err(StoreError::Full)) => Err(io::ErrorKind::StorageFull.into()),
        Ok(result) => result.map_err(io::Error::other),
        Err(_) => Err(io::Error::other("the spool is closed")),
    }
}

/// Whether a record counts now; the committer looks again when it writes the copy.
fn is_needed(shared: &Shared, note: &Note, at: Extent) -> bool {
    let book = shared.book.lock();
    let current = book.index.locate(note.id());
    match note {
        Note::Message(_) => current.is_some_and(|current| current.message == at),
        Note::State(_) => current.is_some_and(|current| current.state == Some(at)),
        Note::Done(note) => note.segments.iter().any(|named| *named != at.spot.segment && book.ledger.contains(*named)),
    }
}

/// The notes of a complete segment: from its sidecar, or from the segment itself.
fn notes(shared: &Shared, segment: SegmentId) -> io::Result<Vec<(Note, Extent)>> {
    let sidecar = std::fs::read(shared.folder.sidecar(segment)).ok();
    let sidecar = sidecar.and_then(|octets| sidecar::parse(&octets));
    if let Some((_, notes)) = sidecar.filter(|(summary, _)| summary.segment == segment) {
        return Ok(notes);
    }
    let file = File::open(shared.folder.segment(segment))?;
    let length = file.metadata()?.len();
    Ok(scan::scan(&file, length, segment, Some(u64::MAX))?.records)
}
