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

/// Who has a message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
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
    phase: Phase,
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

    /// When the newest message arrived.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.entries.last().map(|entry| entry.arrived.into())
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
            phase: Phase::Idle,
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
        self.set_phase(id, Phase::Idle, Phase::Busy)
    }

    /// Gives a claimed message back; true where it may be claimed again by [`Self::claim`], now or later.
    pub(super) fn release(&mut self, id: MessageId) -> bool {
        self.set_phase(id, Phase::Busy, Phase::Idle)
            && self.entries.get(id).is_some_and(|entry| entry.standing == Standing::Queued)
    }

    /// Keeps a message from everybody: its record is damaged.
    pub(super) fn set_damaged(&mut self, id: MessageId) {
        let _ = self.set_phase(id, Phase::Idle, Phase::Damaged) || self.set_phase(id, Phase::Busy, Phase::Damaged);
    }

    fn set_phase(&mut self, id: MessageId, from: Phase, to: Phase) -> bool {
        let Some(mut entry) = self.entries.get(id).filter(|entry| entry.phase == from).cloned() else { return false };
        if let Some(lane) = self.lanes[entry.lane as usize].as_mut() {
            if from == Phase::Idle && entry.standing == Standing::Queued {
                lane.unqueue(id, entry.due);
            }
            entry.phase = to;
            if to == Phase::Idle && entry.standing == Standing::Queued {
                lane.queue(id, entry.due);
                self.changed.push(entry.lane);
            }
        }
        self.put(entry);
        true
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
            self.changed.push(number);
        }
    }

    /// A page of messages, oldest first.
    pub(super) fn list(
        &self,
        domain: Option<&DomainName>,
        after: Option<MessageId>,
        limit: usize,
        mut keep: impl FnMut(&Summary) -> bool,
    ) -> Vec<Summary> {
        let summary = |entry: &Entry| self.summary(entry);
        match domain {
            None => self.entries.after(after).filter_map(summary).filter(|entry| keep(entry)).take(limit).collect(),
            Some(domain) => {
                let lane = self.by_domain.get(domain).and_then(|lane| self.lanes[*lane as usize].as_ref());
                lane.into_iter()
                    .flat_map(|lane| lane.members(after))
                    .filter_map(|id| self.entries.get(id).and_then(summary))
                    .filter(|entry| keep(entry))
                    .take(limit)
                    .collect()
            }
        }
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
            busy: entry.phase != Phase::Idle,
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
        if entry.phase == Phase::Idle && entry.standing == Standing::Queued {
            lane.queue(entry.id, entry.due);
            // A burst into one lane is the usual case, and says the same thing again.
            if self.changed.last() != Some(&entry.lane) {
                self.changed.push(entry.lane);
            }
        }
    }

    /// Takes a message out of its lane, and an empty lane away.
    fn leave(&mut self, entry: &Entry) {
        let number = entry.lane;
        let Some(lane) = self.lanes[number as usize].as_mut() else { return };
        if entry.phase == Phase::Idle && entry.standing == Standing::Queued {
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
