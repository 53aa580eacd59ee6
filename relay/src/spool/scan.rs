//! Reads a segment from end to end, and tells damage from what was never finished.
//!
//! A batch is written only after the one before it is durable. So whatever is damaged *before* another batch, or
//! before the first sequence of a newer segment, was acknowledged: that is corruption. Damage at the very end was
//! never acknowledged: a torn write.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt};

use super::{
    frame::{BATCH, Batch, HEADER, Header, HeaderFlaw},
    index::{Extent, Spot},
    record::{Fixed, Link, Note, Record, SegmentId},
};
use crate::message::MessageId;

/// Octets that are searched for a marker at once.
const STRIDE: usize = 256 << 10;

/// Acknowledged octets that can't be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// Where in the segment.
    pub(super) range: Range<u64>,
    /// Messages whose content is damaged.
    pub(super) messages: Vec<MessageId>,
    /// Records in the range that are whole, and count.
    pub(super) saved: usize,
}

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Scan {
    /// None: it is damaged.
    pub(super) header: Option<Header>,
    pub(super) records: Vec<(Note, Extent)>,
    pub(super) damage: Vec<Damage>,
    /// What was never acknowledged, at the end.
    pub(super) torn: Option<Range<u64>>,
    /// The sequence that follows the last batch; 0 where nothing could be read.
    pub(super) next: u64,
}

/// Reads the header of a segment.
pub(super) fn header(file: &File) -> io::Result<Result<Header, HeaderFlaw>> {
    let mut octets = [0; HEADER];
    match file.read_exact_at(&mut octets, 0) {
        Ok(()) => Ok(Header::decode(&octets)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Err(HeaderFlaw::Damaged)),
        Err(error) => Err(error),
    }
}

/// Reads a segment; `limit` is the first sequence of the segments after it, where there are any.
pub(super) fn scan(file: &File, length: u64, segment: SegmentId, limit: Option<u64>) -> io::Result<Scan> {
    let known = header(file)?.ok().filter(|header| header.segment == segment);
    let mut reader = Scanner { file, length, segment, marker: 0 };
    let mut found = Scan { header: known, records: Vec::new(), damage: Vec::new(), torn: None, next: 0 };
    if let Some(header) = known {
        reader.marker = header.marker();
        found.next = header.first;
    } else {
        // The first batch has its place right behind the header: one that checks out tells the marker.
        let Some(batch) = reader.peek(HEADER as u64)? else {
            return Ok(without_header(found, length));
        };
        reader.marker = batch.marker;
        found.next = batch.sequence;
        found.damage.push(Damage { range: 0..HEADER as u64, messages: Vec::new(), saved: 0 });
    }
    let mut offset = HEADER as u64;
    while offset < length {
        if let Some((batch, payload)) = reader.batch(offset, found.next)? {
            if limit.is_some_and(|limit| batch.sequence >= limit) {
                found.torn = Some(offset..length);
                break;
            }
            let start = offset + BATCH as u64;
            let salvage = reader.records(&payload, start);
            found.records.extend(salvage.records);
            found.next = batch.sequence + 1;
            offset = start + payload.len() as u64;
            continue;
        }
        let end = match reader.find_marker(offset + 1)? {
            Some(next) => next,
            None if limit.is_some_and(|limit| found.next < limit) => length,
            None => {
                found.torn = Some(offset..length);
                break;
            }
        };
        let start = (offset + BATCH as u64).min(end);
        let payload = reader.octets(start..end)?;
        let salvage = reader.records(&payload, start);
        let (messages, saved) = (salvage.damaged, salvage.records.len());
        found.damage.push(Damage { range: offset..end, messages, saved });
        found.records.extend(salvage.records);
        // How many batches are in the range is not known; the next one says.
        offset = end;
    }
    Ok(found)
}

fn without_header(mut found: Scan, length: u64) -> Scan {
    // A segment is used only after its header is durable: one with nothing else in it never came into use.
    if length <= HEADER as u64 {
        found.torn = Some(0..length);
    } else {
        found.damage.push(Damage { range: 0..length, messages: Vec::new(), saved: 0 });
    }
    found
}

/// Records that are whole, and messages that are not.
#[derive(Debug, Default)]
struct Salvage {
    records: Vec<(Note, Extent)>,
    damaged: Vec<MessageId>,
}

#[derive(Debug)]
struct Scanner<'a> {
    file: &'a File,
    length: u64,
    segment: SegmentId,
    marker: u64,
}

impl Scanner<'_> {
    fn octets(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut octets = vec![0; usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0)];
        self.file.read_exact_at(&mut octets, range.start)?;
        Ok(octets)
    }

    /// The batch at an offset, if it is whole, whatever its marker.
    fn whole(&self, offset: u64) -> io::Result<Option<(Batch, Vec<u8>)>> {
        let start = offset + BATCH as u64;
        if start > self.length {
            return Ok(None);
        }
        let mut head = [0; BATCH];
        self.file.read_exact_at(&mut head, offset)?;
        let Some(batch) = Batch::decode(&head) else { return Ok(None) };
        let end = start + u64::from(batch.length);
        if batch.segment != self.segment || end > self.length {
            return Ok(None);
        }
        let payload = self.octets(start..end)?;
        Ok(Batch::checks(&head, &payload).then_some((batch, payload)))
    }

    fn peek(&self, offset: u64) -> io::Result<Option<Batch>> {
        Ok(self.whole(offset)?.map(|(batch, _)| batch))
    }

    /// The batch at an offset, if it is whole and may be there.
    fn batch(&self, offset: u64, next: u64) -> io::Result<Option<(Batch, Vec<u8>)>> {
        Ok(self.whole(offset)?.filter(|(batch, _)| batch.marker == self.marker && batch.sequence >= next))
    }

    /// The first marker at or after an offset.
    fn find_marker(&self, mut offset: u64) -> io::Result<Option<u64>> {
        let marker = self.marker.to_le_bytes();
        while offset + marker.len() as u64 <= self.length {
            let end = (offset + STRIDE as u64).min(self.length);
            let octets = self.octets(offset..end)?;
            if let Some(position) = memchr::memmem::find(&octets, &marker) {
                return Ok(Some(offset + position as u64));
            }
            // One that lies across the border is found in the next turn.
            offset = end - (marker.len() as u64 - 1);
            if end == self.length {
                break;
            }
        }
        Ok(None)
    }

    /// Every step whose records are all whole. A damaged head's lengths are used to look for the next record, which
    /// must then be whole itself.
    fn records(&self, payload: &[u8], start: u64) -> Salvage {
        let mut salvage = Salvage::default();
        let mut step = Vec::new();
        let mut step_is_whole = true;
        let mut offset = 0;
        while let Some(left) = payload.get(offset..).filter(|left| !left.is_empty()) {
            let Some(record) = Record::parse(left) else {
                step.clear();
                let Some(fixed) = Fixed::parse(left) else { break };
                offset += fixed.length();
                if payload.get(offset..).and_then(Record::parse).is_none() {
                    break;
                }
                step_is_whole = fixed.link_is_last();
                continue;
            };
            let spot = u32::try_from(start + offset as u64).map(|offset| Spot { segment: self.segment, offset });
            if !record.is_whole() {
                salvage.damaged.push(record.note.id());
                step_is_whole = false;
            }
            let length = u32::try_from(record.length).unwrap_or(u32::MAX);
            offset += record.length;
            let link = record.link;
            if let Ok(spot) = spot {
                step.push((record.note, Extent { spot, length }));
            }
            if link == Link::Last {
                if step_is_whole {
                    salvage.records.append(&mut step);
                }
                step.clear();
                step_is_whole = true;
            }
        }
        salvage
    }
}
