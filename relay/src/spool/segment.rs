//! The segment that is being written.

use std::{fs::File, io};

use super::{
    folder::{self, Folder},
    frame::{BATCH, Batch, HEADER, Header},
    index::{Extent, Spot},
    record::{Note, SegmentId},
    sidecar::{Builder, Summary},
    volume::{Volume, write_all},
};
use crate::message::MessageId;

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct Segment {
    header: Header,
    file: File,
    /// Octets that are durable.
    length: u64,
    /// The sequence of the next batch.
    next: u64,
    sidecar: Builder,
}

impl Segment {
    /// Makes a segment, durably: its entry in the folder too.
    pub(super) fn create(
        folder: &Folder,
        volume: &dyn Volume,
        segment: SegmentId,
        first: u64,
        largest_id: MessageId,
    ) -> io::Result<Self> {
        let header = Header { segment, salt: rand::random(), first, largest_id };
        let path = folder.segment(segment);
        let file = folder::create(&path)?;
        let write = || {
            write_all(volume, &file, &[&header.encode()], 0)?;
            volume.sync(&file)?;
            volume.sync_folder(folder.log())
        };
        if let Err(error) = write() {
            // A half-made segment holds nothing; a start takes it away, should this fail.
            let _ = volume.remove(&path);
            return Err(error);
        }
        Ok(Self { header, file, length: HEADER as u64, next: first, sidecar: Builder::default() })
    }

    pub(super) const fn id(&self) -> SegmentId {
        self.header.segment
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.length == HEADER as u64
    }

    /// Writes a batch and makes it durable. Returns the offset of its records. After an error nothing of it counts, and
    /// [`Self::cut`] must succeed before the next batch.
    pub(super) fn append(&mut self, volume: &dyn Volume, records: u32, parts: &[&[u8]]) -> io::Result<u32> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let too_long = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let start = u32::try_from(self.length + BATCH as u64).map_err(too_long)?;
        let length = u32::try_from(length).map_err(too_long)?;
        start.checked_add(length).ok_or(io::ErrorKind::FileTooLarge)?;
        let batch = Batch {
            marker: self.header.marker(),
            segment: self.header.segment,
            sequence: self.next,
            durable: self.next - 1,
            length,
            records,
        };
        let octets = batch.encode(parts.iter().copied());
        let mut all = Vec::with_capacity(parts.len() + 1);
        all.push(&octets[..]);
        all.extend_from_slice(parts);
        write_all(volume, &self.file, &all, self.length)?;
        volume.sync(&self.file)?;
        self.length = u64::from(start) + u64::from(length);
        self.next += 1;
        Ok(start)
    }

    /// Notes what a durable batch holds.
    pub(super) fn note(&mut self, note: &Note, offset: u32, length: u32) -> Extent {
        let at = Extent { spot: Spot { segment: self.header.segment, offset }, length };
        self.sidecar.add(note, at);
        at
    }

    /// Cuts off what a failed write left behind what is durable.
    pub(super) fn cut(&self, volume: &dyn Volume) -> io::Result<()> {
        volume.truncate(&self.file, self.length)
    }

    /// The sequence of the next batch.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// The sidecar's octets, as the segment is now.
    pub(super) fn sidecar(&self) -> Vec<u8> {
        self.sidecar.finish(&Summary {
            segment: self.header.segment,
            length: self.length,
            first: self.header.first,
            next: self.next,
            largest_id: self.header.largest_id,
        })
    }
}
