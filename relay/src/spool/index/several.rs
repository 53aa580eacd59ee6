//! Messages that wait for several domains: which lanes they are in, and how many there are of each such set of lanes.
//!
//! Whose domains these are is the config's, and changes with it: two domains of one tenant may be two tenants' tomorrow.
//! So nothing here knows of tenants; who adds lanes up subtracts what they share ([`Index::parts`]).

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use backupmx_relay_config::DomainName;

use super::Index;
use crate::{
    message::{MessageId, Standing},
    spool::{
        lane::{Lane, Millis, Tally},
        model::LaneStatus,
        record::{Domains, Maker},
    },
};

/// Set in the number that stands for several lanes; the others are the lanes' own.
const SEVERAL: u32 = 1 << 31;

/// The lanes of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Home {
    /// The usual case.
    One([u32; 1]),
    /// Several, and how many of them, from the first on, offer it.
    Several(Arc<[u32]>, usize),
}

impl Home {
    /// All lanes that have it.
    pub(super) fn all(&self) -> &[u32] {
        match self {
            Self::One(lane) => lane,
            Self::Several(lanes, _) => lanes,
        }
    }

    /// The lanes that offer it to whoever claims.
    pub(super) fn offered(&self) -> &[u32] {
        match self {
            Self::One(lane) => lane,
            Self::Several(lanes, offered) => lanes.get(..*offered).unwrap_or(lanes),
        }
    }
}

/// The messages of one set of lanes.
#[derive(Debug)]
struct Shared {
    home: Home,
    tally: Tally,
}

/// Every set of lanes that has messages.
#[derive(Debug, Default)]
pub(super) struct Several {
    sets: Vec<Option<Shared>>,
    free: Vec<u32>,
    by_home: HashMap<Home, u32>,
}

impl Several {
    /// What a number stands for.
    pub(super) fn home(&self, number: u32) -> Home {
        match self.sets.get((number & !SEVERAL) as usize) {
            Some(Some(shared)) if number & SEVERAL != 0 => shared.home.clone(),
            _ => Home::One([number]),
        }
    }

    /// The number that stands for several lanes.
    fn number(&mut self, home: Home) -> u32 {
        if let Some(number) = self.by_home.get(&home) {
            return *number;
        }
        let shared = Some(Shared { home: home.clone(), tally: Tally::default() });
        let place = if let Some(place) = self.free.pop() {
            self.sets[place as usize] = shared;
            place
        } else {
            self.sets.push(shared);
            u32::try_from(self.sets.len() - 1).unwrap_or(u32::MAX)
        };
        self.by_home.insert(home, place | SEVERAL);
        place | SEVERAL
    }

    fn at(&mut self, number: u32) -> Option<&mut Shared> {
        if number & SEVERAL == 0 {
            return None;
        }
        self.sets.get_mut((number & !SEVERAL) as usize)?.as_mut()
    }

    /// Counts a message.
    pub(super) fn enter(&mut self, number: u32, size: u64, standing: Standing, maker: Maker) {
        if let Some(shared) = self.at(number) {
            shared.tally.add(size, standing, maker);
        }
    }

    /// Counts it no longer, and forgets a set that has none.
    pub(super) fn leave(&mut self, number: u32, size: u64, standing: Standing, maker: Maker) {
        let Some(shared) = self.at(number) else { return };
        shared.tally.take(size, standing, maker);
        if shared.tally.messages == 0 {
            let place = number & !SEVERAL;
            if let Some(gone) = self.sets[place as usize].take() {
                self.by_home.remove(&gone.home);
            }
            self.free.push(place);
        }
    }
}

impl Index {
    /// The number that stands for some domains' lanes; lanes are made where they are missing.
    pub(super) fn home_at(&mut self, domains: &Domains) -> u32 {
        let first = self.lane_at(&domains.first);
        if domains.is_one() {
            return first;
        }
        let mut lanes = vec![first];
        let more: Vec<u32> = domains.also.iter().map(|domain| self.lane_at(domain)).collect();
        lanes.extend(more);
        let offered = lanes.len();
        let untold: Vec<u32> = domains.untold.iter().map(|domain| self.lane_at(domain)).collect();
        lanes.extend(untold);
        self.several.number(Home::Several(lanes.into(), offered))
    }

    /// Makes a message due now in those of its lanes that are not among the given ones.
    pub(in crate::spool) fn offer_elsewhere(&mut self, id: MessageId, domains: &[DomainName]) {
        let Some(entry) = self.entries.get(id).filter(|entry| self.is_offered(entry)) else { return };
        let (due, home) = (entry.due, self.several.home(entry.home));
        for number in home.offered() {
            if let Some(lane) = self.lanes[*number as usize].as_mut()
                && !domains.contains(lane.domain())
            {
                // As if its time had come there: the message's own due time stays.
                lane.unqueue(id, due);
                lane.queue(id, Millis::ZERO);
                self.announce(*number);
            }
        }
    }

    /// How many messages are in any of some lanes, and their octets.
    pub(in crate::spool) fn together(&self, domains: &[DomainName]) -> (u64, u64) {
        let numbers: HashSet<u32> = domains.iter().filter_map(|domain| self.by_domain.get(domain).copied()).collect();
        let lanes = numbers.iter().filter_map(|number| self.lanes[*number as usize].as_ref());
        let (mut messages, mut bytes) = lanes
            .map(Lane::tally)
            .fold((0, 0), |(messages, bytes), lane| (messages + lane.messages, bytes + lane.bytes));
        for set in self.several.sets.iter().flatten() {
            let among = set.home.all().iter().filter(|number| numbers.contains(number)).count() as u64;
            let again = among.saturating_sub(1);
            messages -= again * set.tally.messages;
            bytes -= again * set.tally.bytes;
        }
        (messages, bytes)
    }

    /// All held mail, each message once, by the domains that it waits for. The least of the times of a lane's parts is
    /// the lane's; that of one part may be earlier than its oldest message.
    pub(in crate::spool) fn parts(&self) -> Vec<(Vec<DomainName>, LaneStatus)> {
        let lanes: Vec<Option<LaneStatus>> =
            self.lanes.iter().map(|lane| lane.as_ref().map(|lane| self.lane_status(lane))).collect();
        let mut shared: HashMap<u32, Tally> = HashMap::new();
        let mut parts = Vec::new();
        for set in self.several.sets.iter().flatten() {
            let mut times = LaneStatus::default();
            for number in set.home.all() {
                shared.entry(*number).or_default().include(set.tally);
                // What is in all of its lanes is no older than the oldest of any.
                if let Some(Some(lane)) = lanes.get(*number as usize) {
                    times.oldest = times.oldest.max(lane.oldest);
                    times.oldest_waiting = times.oldest_waiting.max(lane.oldest_waiting);
                }
            }
            let domains = set.home.all().iter().filter_map(|lane| self.name(*lane)).collect();
            parts.push((domains, timed(set.tally, &times)));
        }
        for ((number, lane), times) in (0u32..).zip(&self.lanes).zip(&lanes) {
            let (Some(lane), Some(times)) = (lane, times) else { continue };
            let alone = lane.tally().without(shared.get(&number).copied().unwrap_or_default());
            if alone.messages > 0 {
                parts.push((vec![lane.domain().clone()], timed(alone, times)));
            }
        }
        parts
    }
}

fn timed(tally: Tally, times: &LaneStatus) -> LaneStatus {
    let status = tally.status();
    let waits = status.messages > status.parked;
    LaneStatus { oldest: times.oldest, oldest_waiting: times.oldest_waiting.filter(|_| waits), ..status }
}
