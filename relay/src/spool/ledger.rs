//! What each segment of the log is still needed for. Pure.
//!
//! A segment may go when no live message and no current state is in it, and every segment that its done records name
//! is gone: a done record that goes before the message's own record raises the dead at the next start.

use std::collections::{BTreeMap, BTreeSet};

use super::{index::Extent, record::SegmentId};

/// Octets that a done record is counted as: most name one segment.
const DONE_LENGTH: u64 = 29;

/// Where a segment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is written to.
    Active,
    /// It is complete.
    Sealed,
    /// A sync of it failed: what is live in it is to be copied elsewhere soon.
    Poisoned,
    /// It is complete, and damaged octets in it could not be copied to quarantine: it stays until the next start.
    Kept,
}

impl Stage {
    const fn is_movable(self) -> bool {
        matches!(self, Self::Sealed | Self::Poisoned)
    }
}

/// A segment.
#[derive(Debug)]
struct Segment {
    stage: Stage,
    /// Octets of the file.
    length: u64,
    /// Octets of live messages' records and current states.
    live: u64,
    /// How many those are.
    records: u64,
    /// Done records by the other segment that they name, where that one is still there.
    pins: BTreeMap<SegmentId, u64>,
    /// Some of its messages may have a second record in another segment, so done records of any message name it too.
    shadowed: bool,
}

impl Segment {
    fn needed(&self) -> u64 {
        self.live + DONE_LENGTH * self.pins.values().sum::<u64>()
    }

    fn waste(&self) -> u64 {
        self.length.saturating_sub(self.needed())
    }
}

/// Every segment of the log.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    segments: BTreeMap<SegmentId, Segment>,
}

impl Ledger {
    pub(super) fn add(&mut self, segment: SegmentId, stage: Stage, length: u64) {
        let pins = BTreeMap::new();
        self.segments.insert(segment, Segment { stage, length, live: 0, records: 0, pins, shadowed: false });
    }

    pub(super) fn contains(&self, segment: SegmentId) -> bool {
        self.segments.contains_key(&segment)
    }

    pub(super) fn grow(&mut self, segment: SegmentId, length: u64) {
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.length = length;
        }
    }

    pub(super) fn set_stage(&mut self, segment: SegmentId, stage: Stage) {
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.stage = stage;
            segment.shadowed |= stage == Stage::Poisoned;
        }
    }

    /// A live message or a current state is there.
    pub(super) fn credit(&mut self, at: Extent) {
        if let Some(segment) = self.segments.get_mut(&at.spot.segment) {
            segment.live += u64::from(at.length);
            segment.records += 1;
        }
    }

    /// It is no longer needed; true where it was the last of its segment.
    pub(super) fn debit(&mut self, at: Extent) -> bool {
        let Some(segment) = self.segments.get_mut(&at.spot.segment) else { return false };
        segment.live = segment.live.saturating_sub(u64::from(at.length));
        segment.records = segment.records.saturating_sub(1);
        segment.records == 0
    }

    /// A done record in one segment names others.
    pub(super) fn pin(&mut self, holder: SegmentId, named: &[SegmentId]) {
        for other in named {
            if *other != holder
                && self.segments.contains_key(other)
                && let Some(segment) = self.segments.get_mut(&holder)
            {
                *segment.pins.entry(*other).or_default() += 1;
            }
        }
    }

    /// Every done record of a complete segment that matters is in another one too, durably.
    pub(super) fn unpin(&mut self, holder: SegmentId) {
        if let Some(segment) = self.segments.get_mut(&holder) {
            segment.pins.clear();
        }
    }

    /// What a message's done record must name: the segment that holds it, and those that may hold it too.
    pub(super) fn holders(&self, of: SegmentId) -> Vec<SegmentId> {
        let also = self.segments.iter().filter(|(id, segment)| segment.shadowed && **id != of).map(|(id, _)| *id);
        std::iter::once(of).chain(also).collect()
    }

    /// Records of this segment's messages are about to be copied, or were found in another segment as well.
    pub(super) fn shadow(&mut self, segment: SegmentId) {
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.shadowed = true;
        }
    }

    /// The segments that may go now. The newest stays: its header says which ids and sequences were used.
    pub(super) fn removable(&self) -> Vec<SegmentId> {
        let newest = self.segments.keys().next_back().copied();
        let is_free = |segment: &Segment| segment.stage.is_movable() && segment.records == 0 && segment.pins.is_empty();
        let free = self.segments.iter().filter(|(id, segment)| is_free(segment) && Some(**id) != newest);
        free.map(|(id, _)| *id).collect()
    }

    /// Segments are gone, durably.
    pub(super) fn forget(&mut self, gone: &[SegmentId]) {
        for id in gone {
            self.segments.remove(id);
        }
        let gone: BTreeSet<_> = gone.iter().collect();
        for segment in self.segments.values_mut() {
            segment.pins.retain(|named, _| !gone.contains(named));
        }
    }

    /// The segment that is best rewritten now, if any is worth it: a poisoned one first; else, when space is short or
    /// more than a quarter of the log (and more than `slack`) is waste, the one with most waste, at least half of it
    /// (a tenth, when space is short). A rule that looked at single segments would copy what a drain removes anyway.
    pub(super) fn rewrite(&self, slack: u64, short: bool, skip: &BTreeSet<SegmentId>) -> Option<SegmentId> {
        let is_complete = |id: &SegmentId, segment: &Segment| segment.stage.is_movable() && !skip.contains(id);
        let complete = || self.segments.iter().filter(|(id, segment)| is_complete(id, segment));
        if let Some((id, _)) = complete().find(|(_, segment)| segment.stage == Stage::Poisoned) {
            return Some(*id);
        }
        let (length, waste) =
            complete().fold((0, 0), |(length, waste), (_, segment)| (length + segment.length, waste + segment.waste()));
        let worth = short || (waste > slack && waste > length / 4);
        let (id, segment) = complete().max_by_key(|(_, segment)| segment.waste())?;
        let least = if short { segment.length / 10 } else { segment.length / 2 };
        (worth && segment.waste() > least).then_some(*id)
    }

    /// Octets that a rewrite of a segment writes.
    pub(super) fn needed(&self, segment: SegmentId) -> u64 {
        self.segments.get(&segment).map_or(0, Segment::needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::index::Spot;

    fn at(segment: SegmentId, length: u32) -> Extent {
        Extent { spot: Spot { segment, offset: 64 }, length }
    }

    fn ledger(segments: SegmentId) -> Ledger {
        let mut ledger = Ledger::default();
        for segment in 1..=segments {
            ledger.add(segment, Stage::Sealed, 1000);
        }
        ledger.add(segments + 1, Stage::Active, 1000);
        ledger
    }

    #[test]
    fn a_done_record_outlives_the_message_that_it_ends() {
        let mut ledger = ledger(3);
        ledger.credit(at(1, 100));
        ledger.credit(at(1, 100));
        // One of the two messages in segment 1 is done, which segment 2 says, and a message in 2 is, as 3 says.
        ledger.debit(at(1, 100));
        ledger.pin(2, &[1]);
        ledger.pin(3, &[2]);
        assert!(ledger.removable().is_empty());
        assert!(ledger.debit(at(1, 100)));
        // In order: 2 only after 1 is gone for good, 3 only after 2.
        for segment in 1..=3 {
            assert_eq!(ledger.removable(), [segment]);
            ledger.forget(&[segment]);
        }
        assert!(ledger.removable().is_empty());
    }

    #[test]
    fn a_done_record_in_the_message_s_own_segment_goes_with_it() {
        let mut ledger = ledger(1);
        ledger.credit(at(1, 100));
        ledger.debit(at(1, 100));
        ledger.pin(1, &[1]);
        assert_eq!(ledger.removable(), [1]);
    }

    #[test]
    fn done_records_name_every_segment_that_may_hold_the_message() {
        let mut ledger = ledger(3);
        assert_eq!(ledger.holders(2), [2]);
        ledger.shadow(1);
        ledger.set_stage(3, Stage::Poisoned);
        assert_eq!(ledger.holders(2), [2, 1, 3]);
        ledger.forget(&[1]);
        assert_eq!(ledger.holders(3), [3]);
    }

    #[test]
    fn what_is_rewritten_is_worth_it() {
        let none = BTreeSet::new();
        let mut ledger = ledger(4);
        for (segment, live) in [(1, 1000), (2, 900), (3, 400), (4, 300)] {
            ledger.credit(at(segment, live));
        }
        // 1400 of 4000 octets are waste.
        assert_eq!(ledger.rewrite(2000, false, &none), None, "too little waste in all");
        assert_eq!(ledger.rewrite(1000, false, &none), Some(4), "the most waste");
        assert_eq!(ledger.rewrite(1000, false, &BTreeSet::from([4])), None, "a third of the rest is not a quarter");
        assert_eq!(ledger.rewrite(2000, true, &BTreeSet::from([4])), Some(3), "when space is short, less will do");
        ledger.set_stage(1, Stage::Poisoned);
        assert_eq!(ledger.rewrite(2000, false, &none), Some(1), "what can't be trusted goes first");
    }

    #[test]
    fn done_records_count_as_needed_while_they_are() {
        let none = BTreeSet::new();
        let mut ledger = ledger(2);
        ledger.credit(at(1, 1000));
        for _ in 0..30 {
            ledger.pin(2, &[1]);
        }
        assert_eq!(ledger.rewrite(0, true, &none), Some(2).filter(|_| 1000 - 30 * DONE_LENGTH > 100));
        assert_eq!(ledger.needed(2), 30 * DONE_LENGTH);
    }
}
