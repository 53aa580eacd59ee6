//! What is held, in memory: where each message is on disk, and what it waits for. Pure.
//!
//! The memory of a held message is an [`Entry`] of 56 octets in the order of ids, 8 octets in its lane's list of
//! members, and either 8 in the lane's `ready` or 14 in its `waiting` list: 78 octets at most. The lists are
//! [`Sorted`], which over a large set use at least 48 of 56 places: 91 octets, and the bound is 96. A lane itself
//! costs a few hundred octets, whatever it holds. A message that waits for several domains is in the list of each, so
//! none forgets it, and whoever claims it takes it off every offer ([`several`], [`offer`]).

mod entry;
mod listing;
mod offer;
mod several;

use std::collections::HashMap;

use backupmx_relay_config::DomainName;

pub(super) use self::entry::{Extent, Spot};
use self::{
    entry::{Entry, NOWHERE, Nature},
    offer::Taken,
    several::Several,
};
use super::{
    lane::{Lane, Millis},
    record::{Domains, MessageNote, Place, StateNote},
    sorted::Sorted,
};
use crate::{
    clock::Timestamp,
    message::{MessageId, Standing},
};

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
    several: Several,
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
        let home = self.home_at(&note.domains);
        let entry = Entry {
            id: note.id,
            message: at,
            state: NOWHERE,
            size: u32::try_from(note.size).unwrap_or(u32::MAX),
            home,
            arrived: Millis::from(note.arrived),
            due: Millis::ZERO,
            attempts: 0,
            standing: Standing::Queued,
            nature: Nature::new(note.maker, note.place),
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
        entry.attempts = u8::try_from(note.attempts).unwrap_or(u8::MAX);
        entry.home = self.home_at(&note.domains);
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
        Some(Removed {
            message: entry.message,
            state: entry.state(),
            place: entry.nature.place(),
            size: u64::from(entry.size),
        })
    }

    /// What a message waits for.
    pub(super) fn domains(&self, id: MessageId) -> Option<Domains> {
        let home = self.several.home(self.entries.get(id)?.home);
        let names = |lanes: &[u32]| -> Option<Vec<DomainName>> { lanes.iter().map(|lane| self.name(*lane)).collect() };
        let (offered, others) = home.all().split_at(home.offered().len());
        let (first, also) = offered.split_first()?;
        Some(Domains { first: self.name(*first)?, also: names(also)?, untold: names(others)? })
    }

    fn name(&self, lane: u32) -> Option<DomainName> {
        Some(self.lanes[lane as usize].as_ref()?.domain().clone())
    }

    /// Where a message is.
    pub(super) fn locate(&self, id: MessageId) -> Option<Location> {
        let entry = self.entries.get(id)?;
        Some(Location {
            message: entry.message,
            state: entry.state(),
            place: entry.nature.place(),
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

    /// Enters a message in its lanes.
    fn enter(&mut self, entry: &Entry) {
        let home = self.several.home(entry.home);
        let (size, maker) = (u64::from(entry.size), entry.nature.maker());
        for number in home.all() {
            if let Some(lane) = self.lanes[*number as usize].as_mut() {
                lane.enter(entry.id, size, entry.standing, maker);
            }
        }
        self.several.enter(entry.home, size, entry.standing, maker);
        if self.is_offered(entry) {
            self.offer(entry.id, entry.due, &home);
        }
    }

    /// Takes a message out of its lanes, and empty lanes away.
    fn leave(&mut self, entry: &Entry) {
        let home = self.several.home(entry.home);
        let (size, maker) = (u64::from(entry.size), entry.nature.maker());
        if self.is_offered(entry) {
            for number in home.offered() {
                if let Some(lane) = self.lanes[*number as usize].as_mut() {
                    lane.unqueue(entry.id, entry.due);
                }
            }
        }
        // First: its lanes' numbers may be given to others.
        self.several.leave(entry.home, size, entry.standing, maker);
        for number in home.all() {
            let Some(lane) = self.lanes[*number as usize].as_mut() else { continue };
            if lane.leave(entry.id, size, entry.standing, maker) {
                self.by_domain.remove(lane.domain());
                self.lanes[*number as usize] = None;
                self.free.push(*number);
                self.changed.retain(|changed| changed != number);
            }
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

#[cfg(test)]
mod tests;
