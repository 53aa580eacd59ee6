//! What is told of the held messages: one by one, and by lane.

use backupmx_relay_config::DomainName;

use super::{Index, entry::Entry};
use crate::{
    clock::Timestamp,
    message::{MessageId, Standing},
    spool::{
        lane::Lane,
        model::{LaneStatus, Summary},
    },
};

/// So many younger messages in a row end a search for old ones.
pub(super) const YOUNGER: usize = 1000;

/// So many messages are looked at for the oldest that is not parked.
pub(super) const PARKED: usize = 1000;

impl Index {
    /// A page of messages, oldest first.
    pub(in crate::spool) fn list(
        &self,
        domain: Option<&DomainName>,
        after: Option<MessageId>,
        limit: usize,
    ) -> Vec<Summary> {
        match domain {
            None => self.entries.after(after).filter_map(|entry| self.summary(entry)).take(limit).collect(),
            Some(domain) => self.of_lane(domain, after).take(limit).collect(),
        }
    }

    /// A page of a lane's messages that arrived before a moment, oldest first. Ids rise with arrival, unless the clock
    /// was set back: so the search goes on for a while after the first that is younger, and then ends.
    pub(in crate::spool) fn aged(
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
    pub(in crate::spool) fn lane(&self, domain: &DomainName) -> LaneStatus {
        let lane = self.by_domain.get(domain).and_then(|lane| self.lanes[*lane as usize].as_ref());
        lane.map_or_else(LaneStatus::default, |lane| self.lane_status(lane))
    }

    pub(super) fn lane_status(&self, lane: &Lane) -> LaneStatus {
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
    pub(in crate::spool) fn lanes(&self) -> Vec<(DomainName, LaneStatus)> {
        let lanes = self.lanes.iter().flatten();
        lanes.map(|lane| (lane.domain().clone(), self.lane_status(lane))).collect()
    }
}
