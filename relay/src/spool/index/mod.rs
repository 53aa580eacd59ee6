//! What is held, in memory: where each message is on disk, and what it waits for. Pure.
//!
//! The memory of a held message is an [`Entry`] of 56 octets in the order of ids, 8 octets in its lane's list of
//! members, and either 8 in the lane's `ready` or 14 in its `waiting` list: 78 octets at most. The lists are
//! [`Sorted`], which over a large set use at least 48 of 56 places: 91 octets, and the bound is 96. A lane itself
//! costs a few hundred octets, whatever it holds. A message that waits for several domains is in the list of each, so
//! none forgets it, and whoever claims it takes it off every offer ([`several`]).

mod several;

use std::collections::HashMap;

use backupmx_relay_config::DomainName;

use self::several::{Home, Several};
use super::{
    lane::{Lane, Millis},
    model::{LaneStatus, Reach, Summary},
    record::{Domains, Maker, MessageNote, Place, SegmentId, StateNote},
    sorted::{Keyed, Sorted},
};
use crate::{
    clock::Timestamp,
    message::{MessageId, Standing},
};

/// So many younger messages in a row end a search for old ones.
const YOUNGER: usize = 1000;

/// So many messages are looked at for the oldest that is not parked.
const PARKED: usize = 1000;

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
    /// By a worker, and to be due when it is given back, whatever came of its try.
    Flushed,
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
    /// Its lane, or its lanes: see [`Home`].
    home: u32,
    arrived: Millis,
    /// Zero: none.
    due: Millis,
    /// At most 255 are told apart; the state on disk knows better.
    attempts: u8,
    standing: Standing,
    nature: Nature,
}

/// Where a message's content is and who made the message, in one octet: with two an [`Entry`] would have 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    TakenInline,
    TakenFile,
    MadeInline,
    MadeFile,
}

impl Nature {
    const fn new(maker: Maker, place: Place) -> Self {
        match (maker, place) {
            (Maker::Client, Place::Inline) => Self::TakenInline,
            (Maker::Client, Place::File) => Self::TakenFile,
            (Maker::Ourselves, Place::Inline) => Self::MadeInline,
            (Maker::Ourselves, Place::File) => Self::MadeFile,
        }
    }

    const fn maker(self) -> Maker {
        match self {
            Self::TakenInline | Self::TakenFile => Maker::Client,
            Self::MadeInline | Self::MadeFile => Maker::Ourselves,
        }
    }

    const fn place(self) -> Place {
        match self {
            Self::TakenInline | Self::MadeInline => Place::Inline,
            Self::TakenFile | Self::MadeFile => Place::File,
        }
    }
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
        if entry.standing == Standing::Queued {
            for number in self.several.home(entry.home).offered() {
                if let Some(lane) = self.lanes[*number as usize].as_mut() {
                    lane.unqueue(id, entry.due);
                }
            }
        }
        self.taken.insert(id, Taken::Busy);
        true
    }

    /// Gives a claimed message back; true where it may be claimed again by [`Self::claim`], now or later.
    pub(super) fn release(&mut self, id: MessageId) -> bool {
        let flushed = match self.taken.get(&id) {
            Some(Taken::Busy) => false,
            Some(Taken::Flushed) => true,
            Some(Taken::Damaged) | None => return false,
        };
        self.taken.remove(&id);
        let entry = self.entries.get_mut(id).filter(|entry| entry.standing == Standing::Queued);
        let Some(entry) = entry else { return false };
        if flushed {
            entry.due = Millis::ZERO;
        }
        let (home, due) = (self.several.home(entry.home), entry.due);
        self.offer(id, due, &home);
        true
    }

    /// Keeps a message from everybody: its record is damaged.
    pub(super) fn set_damaged(&mut self, id: MessageId) {
        if self.claim_one(id) || self.taken.contains_key(&id) {
            self.taken.insert(id, Taken::Damaged);
        }
    }

    /// Makes every message of some lanes due now.
    pub(super) fn flush(&mut self, domains: &[DomainName], reach: Reach) {
        for domain in domains {
            let Some(number) = self.by_domain.get(domain).copied() else { continue };
            if reach == Reach::Underway {
                for (id, taken) in self.taken.iter_mut().filter(|(_, taken)| **taken == Taken::Busy) {
                    let home = self.entries.get(*id).map(|entry| self.several.home(entry.home));
                    if home.is_some_and(|home| home.offered().contains(&number)) {
                        *taken = Taken::Flushed;
                    }
                }
            }
            let Some(lane) = self.lanes[number as usize].as_mut() else { continue };
            for id in lane.flush() {
                let Some(entry) = self.entries.get_mut(id) else { continue };
                let due = std::mem::replace(&mut entry.due, Millis::ZERO);
                let home = self.several.home(entry.home);
                // A message has one due time, in all its lanes.
                for other in home.offered().iter().filter(|other| **other != number) {
                    if let Some(lane) = self.lanes[*other as usize].as_mut() {
                        lane.unqueue(id, due);
                        lane.queue(id, Millis::ZERO);
                        self.announce(*other);
                    }
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

    fn of_lane<'a>(&'a self, domain: &'a DomainName, after: Option<MessageId>) -> impl Iterator<Item = Summary> + 'a {
        let lane = self.by_domain.get(domain).and_then(|lane| self.lanes[*lane as usize].as_ref());
        let members = lane.into_iter().flat_map(move |lane| lane.members(after));
        members.filter_map(|id| {
            let summary = self.summary(self.entries.get(id)?)?;
            Some(Summary { domain: domain.clone(), ..summary })
        })
    }

    fn summary(&self, entry: &Entry) -> Option<Summary> {
        Some(Summary {
            id: entry.id,
            arrived: entry.arrived.into(),
            domain: self.name(*self.several.home(entry.home).all().first()?)?,
            size: u64::from(entry.size),
            standing: entry.standing,
            due: entry.due.nonzero(),
            attempts: u32::from(entry.attempts),
            busy: self.taken.contains_key(&entry.id),
            maker: entry.nature.maker(),
        })
    }

    /// What a lane holds.
    pub(super) fn lane(&self, domain: &DomainName) -> LaneStatus {
        let lane = self.by_domain.get(domain).and_then(|lane| self.lanes[*lane as usize].as_ref());
        lane.map_or_else(LaneStatus::default, |lane| self.lane_status(lane))
    }

    fn lane_status(&self, lane: &Lane) -> LaneStatus {
        let status = lane.status();
        let entries = || lane.members(None).filter_map(|id| self.entries.get(id));
        let waiting = if status.messages == status.parked {
            None
        } else {
            let mut first = entries().take(PARKED);
            let waits = |entry: &&Entry| entry.standing != Standing::Parked;
            first.find(waits).or_else(|| entries().nth(PARKED - 1))
        };
        let arrived = |entry: &Entry| entry.arrived.into();
        LaneStatus { oldest: entries().next().map(arrived), oldest_waiting: waiting.map(arrived), ..status }
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
        numbers.iter().filter_map(|lane| self.name(*lane)).collect()
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

    fn is_offered(&self, entry: &Entry) -> bool {
        entry.standing == Standing::Queued && !self.taken.contains_key(&entry.id)
    }

    /// Offers a message to those who may claim it, and says so.
    fn offer(&mut self, id: MessageId, due: Millis, home: &Home) {
        for number in home.offered() {
            if let Some(lane) = self.lanes[*number as usize].as_mut() {
                lane.queue(id, due);
                self.announce(*number);
            }
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

impl Entry {
    fn state(&self) -> Option<Extent> {
        Some(self.state).filter(|state| *state != NOWHERE)
    }
}

#[cfg(test)]
mod tests;
