//! What is held, in memory: where each message is on disk, and what it waits for. Pure.
//!
//! The memory of a held message is an [`Entry`] of 56 octets in the order of ids, 8 octets in its lane's list of
//! members, and either 8 in the lane's `ready` or 14 in its `waiting` list: 78 octets at most. The lists are
//! [`Sorted`], which over a large set use at least 48 of 56 places: 91 octets, and the bound is 96. A lane itself
//! costs a few hundred octets, whatever it holds.

use std::collections::HashMap;

use backupmx_relay_config::DomainName;

use super::{
    lane::{Lane, Millis},
    model::{LaneStatus, Summary},
    record::{MessageNote, Place, SegmentId, StateNote},
    sorted::{Keyed, Sorted},
};
use crate::{
    clock::Timestamp,
    message::{MessageId, Standing},
};

/// So many younger messages in a row end a search for old ones.
const YOUNGER: usize = 1000;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) segment: SegmentId,
    pub(super) offset: u32,
}

/// A record's place and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) spot: Spot,
    pub(super) length: u32,
}

/// Segments count from 1, so this names no record.
const NOWHERE: Extent = Extent { spot: Spot { segment: 0, offset: 0 }, length: 0 };

/// Why a message is not on offer, whatever it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// By a worker.
    Busy,
    /// Found damaged: it is given to nobody, and its end is being recorded.
    Damaged,
}

/// A held message.
#[derive(Clone, Debug)]
struct Entry {
    id: MessageId,
    message: Extent,
    state: Extent,
    size: u32,
    lane: u32,
    arrived: Millis,
    /// Zero: none.
    due: Millis,
    attempts: u16,
    standing: Standing,
    place: Place,
}

impl Keyed for Entry {
    type Key = MessageId;

    fn key(&self) -> MessageId {
        self.id
    }
}

/// What was held of a message that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) message: Extent,
    pub(super) state: Option<Extent>,
    pub(super) place: Place,
    pub(super) size: u64,
}

/// Where to read a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) message: Extent,
    pub(super) state: Option<Extent>,
    pub(super) place: Place,
    pub(super) standing: Standing,
    pub(super) due: Option<Timestamp>,
    pub(super) attempts: u32,
}

/// Every held message.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: Sorted<Entry>,
    /// Few: as many as there are workers, and what was found damaged.
    taken: HashMap<MessageId, Taken>,
    lanes: Vec<Option<Lane>>,
    free: Vec<u32>,
    by_domain: HashMap<DomainName, u32>,
    changed: Vec<u32>,
    bytes: u64,
}

impl Index {
    pub(super) const fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a message that has just been stored; false where one of its id is held already.
    pub(super) fn insert(&mut self, note: &MessageNote, at: Extent) -> bool {
        if self.entries.get(note.id).is_some() {
            return false;
        }
        let lane = self.lane_at(&note.domain);
        let entry = Entry {
            id: note.id,
            message: at,
            state: NOWHERE,
            size: u32::try_from(note.size).unwrap_or(u32::MAX),
            lane,
            arrived: Millis::from(note.arrived),
            due: Millis::ZERO,
            attempts: 0,
            standing: Standing::Queued,
            place: note.place,
        };
        self.bytes += u64::from(entry.size);
        self.enter(&entry);
        self.entries.insert(entry);
        true
    }

    /// Sets a message's state; the extent of the state record that it replaces is returned, and whether it is held.
    pub(super) fn set_state(&mut self, note: &StateNote, at: Extent) -> Result<Option<Extent>, NotHeld> {
        let mut entry = self.entries.get(note.id).ok_or(NotHeld)?.clone();
        self.leave(&entry);
        let old = entry.state();
        entry.state = at;
        entry.standing = note.standing;
        entry.due = note.due.map_or(Millis::ZERO, Millis::from);
        entry.attempts = u16::try_from(note.attempts).unwrap_or(u16::MAX);
        entry.lane = self.lane_at(&note.domain);
        self.enter(&entry);
        self.put(entry);
        Ok(old)
    }

    /// Forgets a message.
    pub(super) fn remove(&mut self, id: MessageId) -> Option<Removed> {
        let entry = self.entries.remove(id)?;
        self.leave(&entry);
        self.taken.remove(&id);
        self.bytes -= u64::from(entry.size);
        Some(Removed { message: entry.message, state: entry.state(), place: entry.place, size: u64::from(entry.size) })
    }

    /// The lane of a message.
    pub(super) fn domain(&self, id: MessageId) -> Option<DomainName> {
        let entry = self.entries.get(id)?;
        Some(self.lanes[entry.lane as usize].as_ref()?.domain().clone())
    }

    /// Where a message is.
    pub(super) fn locate(&self, id: MessageId) -> Option<Location> {
        let entry = self.entries.get(id)?;
        Some(Location {
            message: entry.message,
            state: entry.state(),
            place: entry.place,
            standing: entry.standing,
            due: entry.due.nonzero(),
            attempts: u32::from(entry.attempts),
        })
    }

    /// Notes that a message's record was copied; where it was is returned.
    pub(super) fn move_message(&mut self, id: MessageId, to: Extent) -> Option<Extent> {
        let entry = self.entries.get_mut(id)?;
        Some(std::mem::replace(&mut entry.message, to))
    }

    /// Notes that a message's state record was copied; where it was is returned.
    pub(super) fn move_state(&mut self, id: MessageId, to: Extent) -> Option<Extent> {
        let entry = self.entries.get_mut(id)?;
        Some(std::mem::replace(&mut entry.state, to)).filter(|old| *old != NOWHERE)
    }

    /// Claims the oldest message that is due, over some lanes.
    pub(super) fn claim(&mut self, domains: &[DomainName], now: Timestamp) -> Option<MessageId> {
        let mut oldest: Option<MessageId> = None;
        for domain in domains {
            let Some(lane) = self.by_domain.get(domain).and_then(|lane| self.lanes[*lane as usize].as_mut()) else {
                continue;
            };
            lane.promote(now);
            if let Some(id) = lane.first_ready()
                && oldest.is_none_or(|oldest| id < oldest)
            {
                oldest = Some(id);
            }
        }
        oldest.filter(|id| self.claim_one(*id))
    }

    /// Claims one message, whatever it waits for; false where it is not held, or claimed already.
    pub(super) fn claim_one(&mut self, id: MessageId) -> bool {
        let Some(entry) = self.entries.get(id).filter(|_| !self.taken.contains_key(&id)) else { return false };
        if entry.standing == Standing::Queued
            && let Some(lane) = self.lanes[entry.lane as usize].as_mut()
        {
            lane.unqueue(id, entry.due);
        }
        self.taken.insert(id, Taken::Busy);
        true
    }

    /// Gives a claimed message back; true where it may be claimed again by [`Self::claim`], now or later.
    pub(super) fn release(&mut self, id: MessageId) -> bool {
        if self.taken.get(&id) != Some(&Taken::Busy) {
            return false;
        }
        self.taken.remove(&id);
        let Some(entry) = self.entries.get(id).filter(|entry| entry.standing == Standing::Queued) else { return false };
        let Some(lane) = self.lanes[entry.lane as usize].as_mut() else { return false };
        lane.queue(id, entry.due);
        let lane = entry.lane;
        self.announce(lane);
        true
    }

    /// Keeps a message from everybody: its record is damaged.
    pub(super) fn set_damaged(&mut self, id: MessageId) {
        if self.claim_one(id) || self.taken.contains_key(&id) {
            self.taken.insert(id, Taken::Damaged);
        }
    }

    /// Makes every message of some lanes due now.
    pub(super) fn flush(&mut self, domains: &[DomainName]) {
        for domain in domains {
            let Some(number) = self.by_domain.get(domain).copied() else { continue };
            let Some(lane) = self.lanes[number as usize].as_mut() else { continue };
            for id in lane.flush() {
                if let Some(entry) = self.entries.get_mut(id) {
                    entry.due = Millis::ZERO;
                }
            }
            self.announce(number);
        }
    }

    /// A page of messages, oldest first.
    pub(super) fn list(&self, domain: Option<&DomainName>, after: Option<MessageId>, limit: usize) -> Vec<Summary> {
        match domain {
            None => self.entries.after(after).filter_map(|entry| self.summary(entry)).take(limit).collect(),
            Some(domain) => self.of_lane(domain, after).take(limit).collect(),
        }
    }

    /// A page of a lane's messages that arrived before a moment, oldest first. Ids rise with arrival, unless the clock
    /// was set back: so the search goes on for a while after the first that is younger, and then ends.
    pub(super) fn aged(
        &self,
        domain: &DomainName,
        before: Timestamp,
        after: Option<MessageId>,
        limit: usize,
    ) -> Vec<Summary> {
        let mut younger = 0;
        self.of_lane(domain, after)
            .take_while(|message| {
                younger = if message.arrived < before { 0 } else { younger + 1 };
                younger < YOUNGER
            })
            .filter(|message| message.arrived < before)
            .take(limit)
            .collect()
    }

    fn of_lane(&self, domain: &DomainName, after: Option<MessageId>) -> impl Iterator<Item = Summary> {
        let lane = self.by_domain.get(domain).and_then(|lane| self.lanes[*lane as usize].as_ref());
        let members = lane.into_iter().flat_map(move |lane| lane.members(after));
        members.filter_map(|id| self.summary(self.entries.get(id)?))
    }

    fn summary(&self, entry: &Entry) -> Option<Summary> {
        Some(Summary {
            id: entry.id,
            arrived: entry.arrived.into(),
            domain: self.lanes[entry.lane as usize].as_ref()?.domain().clone(),
            size: u64::from(entry.size),
            standing: entry.standing,
            due: entry.due.nonzero(),
            attempts: u32::from(entry.attempts),
            busy: self.taken.contains_key(&entry.id),
        })
    }

    /// What a lane holds.
    pub(super) fn lane(&self, domain: &DomainName) -> LaneStatus {
        let lane = self.by_domain.get(domain).and_then(|lane| self.lanes[*lane as usize].as_ref());
        lane.map_or_else(LaneStatus::default, |lane| self.lane_status(lane))
    }

    fn lane_status(&self, lane: &Lane) -> LaneStatus {
        let oldest = lane.members(None).next().and_then(|id| self.entries.get(id));
        LaneStatus { oldest: oldest.map(|entry| entry.arrived.into()), ..lane.status() }
    }

    /// Every lane.
    pub(super) fn lanes(&self) -> Vec<(DomainName, LaneStatus)> {
        let lanes = self.lanes.iter().flatten();
        lanes.map(|lane| (lane.domain().clone(), self.lane_status(lane))).collect()
    }

    /// The lanes in which mail became claimable since this was last asked.
    pub(super) fn take_changed(&mut self) -> Vec<DomainName> {
        let mut numbers = std::mem::take(&mut self.changed);
        numbers.sort_unstable();
        numbers.dedup();
        numbers.iter().filter_map(|lane| Some(self.lanes[*lane as usize].as_ref()?.domain().clone())).collect()
    }

    /// Whether [`Self::take_changed`] has something to say.
    pub(super) const fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Notes that a lane has mail to claim.
    fn announce(&mut self, lane: u32) {
        // A burst into one lane is the usual case, and says the same thing again.
        if self.changed.last() == Some(&lane) {
            return;
        }
        if self.changed.len() > 64 + 2 * self.lanes.len() {
            self.changed.sort_unstable();
            self.changed.dedup();
        }
        self.changed.push(lane);
    }

    fn put(&mut self, entry: Entry) {
        if let Some(place) = self.entries.get_mut(entry.id) {
            *place = entry;
        }
    }

    /// The number of a domain's lane, which is made where it is missing.
    fn lane_at(&mut self, domain: &DomainName) -> u32 {
        if let Some(lane) = self.by_domain.get(domain) {
            return *lane;
        }
        let lane = Some(Lane::new(domain.clone()));
        let number = if let Some(number) = self.free.pop() {
            self.lanes[number as usize] = lane;
            number
        } else {
            self.lanes.push(lane);
            u32::try_from(self.lanes.len() - 1).unwrap_or(u32::MAX)
        };
        self.by_domain.insert(domain.clone(), number);
        number
    }

    /// Enters a message in its lane.
    fn enter(&mut self, entry: &Entry) {
        let Some(lane) = self.lanes[entry.lane as usize].as_mut() else { return };
        lane.enter(entry.id, u64::from(entry.size), entry.standing);
        if entry.standing == Standing::Queued && !self.taken.contains_key(&entry.id) {
            lane.queue(entry.id, entry.due);
            self.announce(entry.lane);
        }
    }

    /// Takes a message out of its lane, and an empty lane away.
    fn leave(&mut self, entry: &Entry) {
        let number = entry.lane;
        let Some(lane) = self.lanes[number as usize].as_mut() else { return };
        if entry.standing == Standing::Queued && !self.taken.contains_key(&entry.id) {
            lane.unqueue(entry.id, entry.due);
        }
        if lane.leave(entry.id, u64::from(entry.size), entry.standing) {
            self.by_domain.remove(lane.domain());
            self.lanes[number as usize] = None;
            self.free.push(number);
            self.changed.retain(|changed| *changed != number);
        }
    }

    /// Octets of memory that the lists take.
    #[cfg(test)]
    fn memory(&self) -> usize {
        let lanes: usize = self.lanes.iter().flatten().map(Lane::memory).sum();
        self.entries.capacity() * size_of::<Entry>() + lanes
    }
}

/// No message of that id is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotHeld;

impl Entry {
    fn state(&self) -> Option<Extent> {
        Some(self.state).filter(|state| *state != NOWHERE)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn domain(name: &str) -> DomainName {
        name.parse().unwrap()
    }

    fn at(offset: u32) -> Extent {
        Extent { spot: Spot { segment: 1, offset }, length: 10 }
    }

    fn insert(index: &mut Index, id: u64, lane: &str) -> MessageId {
        let id = MessageId::from_u64(id);
        let note = MessageNote { id, arrived: NOW, size: 100, place: Place::Inline, crc: 0, domain: domain(lane) };
        assert!(index.insert(&note, at(0)));
        id
    }

    fn set(index: &mut Index, id: MessageId, standing: Standing, due: Option<Timestamp>, lane: &str) {
        let note = StateNote { id, standing, due, attempts: 1, domain: domain(lane) };
        index.set_state(&note, at(1)).unwrap();
    }

    #[test]
    fn a_held_message_takes_at_most_96_octets() {
        assert_eq!(size_of::<Entry>(), 56);
        let mut index = Index::default();
        let count = 50_000;
        for id in 1..=count {
            let id = insert(&mut index, id, "example.org");
            set(
                &mut index,
                id,
                Standing::Queued,
                Some(NOW + Duration::from_millis(id.as_u64() * 7919 % 10_007)),
                "example.org",
            );
        }
        // What is left after most mail was delivered out of order is what could waste most.
        for (kept, each) in [(count, 1), (count / 3, 3), (count / 30, 10)] {
            for id in (1..=count).filter(|id| id % each != 0) {
                index.remove(MessageId::from_u64(id));
            }
            let held = usize::try_from(index.len()).unwrap();
            assert!(held as u64 <= kept + 1);
            // One chunk of each list may be on its way to be filled.
            assert!(index.memory() <= 96 * held + 128 * 78, "{} octets for {held} messages", index.memory());
        }
    }

    #[test]
    fn claims_the_oldest_that_is_due_over_lanes() {
        let mut index = Index::default();
        let [a, b, c, d] = [(3, "a.example"), (1, "b.example"), (2, "a.example"), (4, "b.example")]
            .map(|(id, lane)| insert(&mut index, id, lane));
        set(&mut index, b, Standing::Queued, Some(NOW), "b.example");
        set(&mut index, d, Standing::Rejected, None, "b.example");
        let lanes = [domain("a.example"), domain("b.example"), domain("none.example")];
        let before = Timestamp::from_millis(NOW.as_millis() - 1);
        assert_eq!(index.claim(&lanes, before), Some(c));
        assert_eq!(index.lane(&lanes[1]).next_due, Some(NOW));
        assert_eq!(index.claim(&lanes, NOW), Some(b));
        assert_eq!(index.claim(&lanes, NOW), Some(a));
        assert_eq!(index.claim(&lanes, NOW), None);
        assert!(!index.claim_one(a) && index.claim_one(d));
        assert!(index.release(c) && !index.release(c) && !index.release(d));
        assert_eq!(index.claim(&lanes[1..], NOW), None);
        assert_eq!(index.claim(&lanes, NOW), Some(c));
    }

    #[test]
    fn a_flush_makes_all_due_that_are_queued() {
        let mut index = Index::default();
        let lane = [domain("a.example")];
        let [late, held] = [1, 2].map(|id| insert(&mut index, id, "a.example"));
        set(&mut index, late, Standing::Queued, Some(NOW + Duration::from_secs(60)), "a.example");
        set(&mut index, held, Standing::Parked, Some(NOW), "a.example");
        index.take_changed();
        assert_eq!(index.claim(&lane, NOW), None);
        index.flush(&lane);
        assert_eq!(index.take_changed(), lane);
        assert_eq!((index.lane(&lane[0]).ready, index.lane(&lane[0]).next_due), (1, None));
        assert_eq!(index.claim(&lane, NOW), Some(late));
        assert_eq!(index.claim(&lane, NOW), None);
    }

    #[test]
    fn tells_which_lanes_changed_and_forgets_empty_ones() {
        let mut index = Index::default();
        let [a, b] = [(1, "a.example"), (2, "b.example")].map(|(id, lane)| insert(&mut index, id, lane));
        let mut changed = index.take_changed();
        changed.sort();
        assert_eq!(changed, [domain("a.example"), domain("b.example")]);
        assert_eq!(index.take_changed(), []);
        assert_eq!(index.claim(&[domain("a.example")], NOW), Some(a));
        assert!(!index.has_changed());
        index.release(a);
        assert_eq!(index.take_changed(), [domain("a.example")]);
        index.claim_one(b);
        set(&mut index, b, Standing::Queued, None, "c.example");
        assert_eq!(index.take_changed(), [], "it is claimed");
        index.release(b);
        assert_eq!(index.take_changed(), [domain("c.example")]);
        index.remove(b);
        assert_eq!(index.lanes().len(), 1);
        assert_eq!(index.lane(&domain("b.example")), LaneStatus::default());
        insert(&mut index, 9, "d.example");
        assert_eq!(index.lanes.len(), 2, "the place of a lane that is gone is used again");
    }

    #[test]
    fn counts_what_a_lane_holds() {
        let mut index = Index::default();
        let ids = [1, 2, 3, 4].map(|id| insert(&mut index, id, "a.example"));
        set(&mut index, ids[0], Standing::Looping, None, "a.example");
        set(&mut index, ids[1], Standing::Rejected, None, "a.example");
        set(&mut index, ids[2], Standing::Parked, None, "a.example");
        let status =
            LaneStatus { messages: 4, bytes: 400, held: 2, parked: 1, oldest: Some(NOW), next_due: None, ready: 1 };
        assert_eq!(index.lane(&domain("a.example")), status);
        for id in ids {
            index.remove(id);
        }
        assert_eq!((index.len(), index.bytes(), index.lanes().len()), (0, 0, 0));
    }

    #[test]
    fn pages_are_in_order_and_bounded() {
        let mut index = Index::default();
        for id in 1..=300 {
            insert(&mut index, id, if id % 3 == 0 { "a.example" } else { "b.example" });
        }
        let page = |lane: Option<&str>, after, limit| -> Vec<u64> {
            let lane = lane.map(domain);
            let after = Some(MessageId::from_u64(after));
            index.list(lane.as_ref(), after, limit).iter().map(|message| message.id.as_u64()).collect()
        };
        assert_eq!(page(None, 150, 3), [151, 152, 153]);
        assert_eq!(page(Some("a.example"), 150, 3), [153, 156, 159]);
        assert_eq!(page(Some("a.example"), 298, 3), [300]);
        assert!(page(Some("none.example"), 0, 3).is_empty());
    }

    #[test]
    fn old_messages_are_found_and_the_search_for_them_ends() {
        let mut index = Index::default();
        let count = 3 * YOUNGER as u64;
        for id in 1..=count {
            let id = MessageId::from_u64(id);
            // The clock was set back for one message.
            let arrived = NOW + Duration::from_secs(if id.as_u64() == 500 { 0 } else { id.as_u64() });
            let lane = domain("a.example");
            let note = MessageNote { id, arrived, size: 1, place: Place::Inline, crc: 0, domain: lane };
            index.insert(&note, at(0));
        }
        let aged = |after, limit| -> Vec<u64> {
            let before = NOW + Duration::from_secs(4);
            let after = Some(MessageId::from_u64(after));
            let found = index.aged(&domain("a.example"), before, after, limit);
            found.iter().map(|message| message.id.as_u64()).collect()
        };
        assert_eq!(aged(0, 9), [1, 2, 3, 500]);
        assert_eq!(aged(1, 2), [2, 3]);
        assert!(aged(500, 9).is_empty());
    }

    #[test]
    fn a_damaged_message_is_given_to_nobody() {
        let mut index = Index::default();
        let id = insert(&mut index, 1, "a.example");
        index.set_damaged(id);
        assert_eq!(index.claim(&[domain("a.example")], NOW), None);
        assert!(!index.claim_one(id) && !index.release(id));
        assert_eq!(index.len(), 1);
    }
}
