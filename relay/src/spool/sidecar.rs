//! The sidecar of a complete segment: the notes of its records, so that a start reads no bodies. Pure.
//!
//! A cache: it carries a checksum and the length of its segment, is never synced, and is made again from the segment
//! when it is missing or does not fit.

use crc32c::crc32c;

use super::{
    index::{Extent, Spot},
    record::{Note, SegmentId},
    wire::Reader,
};
use crate::message::MessageId;

const MAGIC: &[u8; 8] = b"bmxindex";
const VERSION: u32 = 1;
/// Octets before the notes.
const HEADER: usize = 48;

/// What is known of a complete segment besides its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) segment: SegmentId,
    /// Octets of the segment's file.
    pub(super) length: u64,
    /// The sequence of its first batch.
    pub(super) first: u64,
    /// The sequence that follows its last batch.
    pub(super) next: u64,
    /// The largest id given when it was made.
    pub(super) largest_id: MessageId,
}

/// Gathers the notes of a segment's records.
#[derive(Debug, Default)]
pub(super) struct Builder {
    notes: Vec<u8>,
    records: u32,
}

impl Builder {
    pub(super) fn add(&mut self, note: &Note, at: Extent) {
        self.notes.push(note.kind());
        self.notes.extend_from_slice(&at.spot.offset.to_le_bytes());
        self.notes.extend_from_slice(&at.length.to_le_bytes());
        note.put(&mut self.notes);
        self.records += 1;
    }

    /// The sidecar's octets.
    pub(super) fn finish(&self, summary: &Summary) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.notes.len() + 4);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&summary.segment.to_le_bytes());
        out.extend_from_slice(&summary.length.to_le_bytes());
        out.extend_from_slice(&summary.first.to_le_bytes());
        out.extend_from_slice(&summary.next.to_le_bytes());
        out.extend_from_slice(&summary.largest_id.as_u64().to_le_bytes());
        out.extend_from_slice(&self.records.to_le_bytes());
        out.extend_from_slice(&self.notes);
        let crc = crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }
}

/// Reads a sidecar; `None` where it is damaged or of another version.
pub(super) fn parse(octets: &[u8]) -> Option<(Summary, Vec<(Note, Extent)>)> {
    let (content, crc) = octets.split_last_chunk::<4>()?;
    if crc32c(content).to_le_bytes() != *crc {
        return None;
    }
    let mut from = Reader::new(content);
    if from.bytes(8)? != MAGIC || from.u32()? != VERSION {
        return None;
    }
    let segment = from.u32()?;
    let summary = Summary {
        segment,
        length: from.u64()?,
        first: from.u64()?,
        next: from.u64()?,
        largest_id: MessageId::from_u64(from.u64()?),
    };
    let records = from.u32()?;
    let mut notes = Vec::new();
    for _ in 0..records {
        let kind = from.u8()?;
        let spot = Spot { segment, offset: from.u32()? };
        let length = from.u32()?;
        notes.push((Note::take(kind, &mut from)?, Extent { spot, length }));
    }
    from.rest().is_empty().then_some((summary, notes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::record::DoneNote;

    #[test]
    fn reads_back_and_every_flipped_bit_is_seen() {
        let summary = Summary { segment: 3, length: 999, first: 5, next: 9, largest_id: MessageId::from_u64(77) };
        let note = Note::Done(DoneNote { id: MessageId::from_u64(1), segments: vec![1, 2] });
        let at = Extent { spot: Spot { segment: 3, offset: 112 }, length: 33 };
        let mut builder = Builder::default();
        builder.add(&note, at);
        let octets = builder.finish(&summary);
        assert_eq!(parse(&octets), Some((summary, vec![(note, at)])));
        for bit in 0..octets.len() * 8 {
            let mut damaged = octets.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&damaged), None, "bit {bit}");
        }
        for length in 0..octets.len() {
            assert_eq!(parse(&octets[..length]), None, "{length} octets");
        }
    }
}
