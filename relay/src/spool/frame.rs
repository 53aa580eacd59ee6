//! The frame of the log: the header of a segment and the header of a batch. Pure.
//!
//! A batch starts with a marker that is derived from its segment's random salt, so that no message can hold octets
//! that pass for a batch. Sequence numbers rise by one from batch to batch over the whole log. A segment's header names
//! the first sequence in it: everything before that was durable when the segment was made, and a batch of that number
//! or a higher one in an *older* segment was given up there and written again.

use crc32c::{crc32c, crc32c_append};

use super::{record::SegmentId, wire::Reader};
use crate::message::MessageId;

/// Octets of a segment's header.
pub(super) const HEADER: usize = 64;
/// Octets of a batch's header.
pub(super) const BATCH: usize = 48;
/// The form of the files that this build writes, and the only one that it reads.
pub(super) const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"bmxspool";
const HEADER_CRC: usize = HEADER - 4;
const BATCH_CRC: usize = BATCH - 4;

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) segment: SegmentId,
    /// Random; the batches' marker is derived from it.
    pub(super) salt: u64,
    /// The sequence of its first batch.
    pub(super) first: u64,
    /// The largest id given when it was made: no id up to it is given again, even when no record names it any more.
    pub(super) largest_id: MessageId,
}

/// Why a segment's header can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderFlaw {
    /// Damaged, or not a header at all.
    Damaged,
    /// Of another version: written by another build.
    Version(u32),
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&self.segment.to_le_bytes());
        out[16..24].copy_from_slice(&self.salt.to_le_bytes());
        out[24..32].copy_from_slice(&self.first.to_le_bytes());
        out[32..40].copy_from_slice(&self.largest_id.as_u64().to_le_bytes());
        let crc = crc32c(&out[..HEADER_CRC]);
        out[HEADER_CRC..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(super) fn decode(octets: &[u8; HEADER]) -> Result<Self, HeaderFlaw> {
        Self::parse(octets).unwrap_or(Err(HeaderFlaw::Damaged))
    }

    fn parse(octets: &[u8; HEADER]) -> Option<Result<Self, HeaderFlaw>> {
        let crc = Reader::new(&octets[HEADER_CRC..]).u32()?;
        let mut from = Reader::new(octets);
        if from.bytes(8)? != MAGIC || crc32c(&octets[..HEADER_CRC]) != crc {
            return None;
        }
        let version = from.u32()?;
        if version != VERSION {
            return Some(Err(HeaderFlaw::Version(version)));
        }
        Some(Ok(Self {
            segment: from.u32()?,
            salt: from.u64()?,
            first: from.u64()?,
            largest_id: MessageId::from_u64(from.u64()?),
        }))
    }

    /// What every batch of the segment starts with.
    pub(super) const fn marker(&self) -> u64 {
        // Not the salt itself: the header must not look like a batch.
        self.salt.rotate_left(17) ^ 0x9e37_79b9_7f4a_7c15
    }
}

/// The header of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) marker: u64,
    pub(super) segment: SegmentId,
    pub(super) sequence: u64,
    /// The last sequence that was durable when this was written.
    pub(super) durable: u64,
    /// Octets of the records that follow.
    pub(super) length: u32,
    /// How many records follow.
    pub(super) records: u32,
}

impl Batch {
    /// The header's octets, its CRC taken over them and the records that follow.
    pub(super) fn encode<'a>(&self, payload: impl IntoIterator<Item = &'a [u8]>) -> [u8; BATCH] {
        let mut out = [0; BATCH];
        out[..8].copy_from_slice(&self.marker.to_le_bytes());
        out[8..12].copy_from_slice(&self.segment.to_le_bytes());
        out[12..20].copy_from_slice(&self.sequence.to_le_bytes());
        out[20..28].copy_from_slice(&self.durable.to_le_bytes());
        out[28..32].copy_from_slice(&self.length.to_le_bytes());
        out[32..36].copy_from_slice(&self.records.to_le_bytes());
        let crc = payload.into_iter().fold(crc32c(&out[..BATCH_CRC]), crc32c_append);
        out[BATCH_CRC..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// A header that has not been checked.
    pub(super) fn decode(octets: &[u8; BATCH]) -> Option<Self> {
        let mut from = Reader::new(octets);
        Some(Self {
            marker: from.u64()?,
            segment: from.u32()?,
            sequence: from.u64()?,
            durable: from.u64()?,
            length: from.u32()?,
            records: from.u32()?,
        })
    }

    /// Whether the CRC in a header fits it and the records that follow.
    pub(super) fn checks(octets: &[u8; BATCH], payload: &[u8]) -> bool {
        let crc = crc32c_append(crc32c(&octets[..BATCH_CRC]), payload);
        octets[BATCH_CRC..] == crc.to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLE: Header = Header { segment: 7, salt: 0x1234_5678, first: 42, largest_id: MessageId::from_u64(99) };

    #[test]
    fn a_header_reads_back_and_every_flipped_bit_is_seen() {
        let octets = SAMPLE.encode();
        assert_eq!(Header::decode(&octets), Ok(SAMPLE));
        for bit in 0..HEADER * 8 {
            let mut damaged = octets;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&damaged), Err(HeaderFlaw::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let mut octets = SAMPLE.encode();
        octets[8] = 9;
        let crc = crc32c(&octets[..HEADER_CRC]);
        octets[HEADER_CRC..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::decode(&octets), Err(HeaderFlaw::Version(9)));
    }

    proptest! {
        #[test]
        fn a_batch_reads_back_and_every_flipped_bit_is_seen(
            sequence in any::<u64>(), payload in prop::collection::vec(any::<u8>(), 0..64), bit in any::<prop::sample::Index>()
        ) {
            let length = u32::try_from(payload.len()).unwrap();
            let batch = Batch { marker: SAMPLE.marker(), segment: 7, sequence, durable: 3, length, records: 1 };
            let (start, end) = payload.split_at(payload.len() / 2);
            let mut octets = batch.encode([start, end]);
            prop_assert_eq!(Batch::decode(&octets), Some(batch));
            prop_assert!(Batch::checks(&octets, &payload));
            let bit = bit.index(BATCH * 8);
            octets[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!Batch::checks(&octets, &payload));
        }
    }
}
