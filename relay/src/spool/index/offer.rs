//! Which messages may be claimed, which are taken, and which lanes have some.

use backupmx_relay_config::DomainName;

use super::{Index, entry::Entry, several::Home};
use crate::{
    clock::Timestamp,
    message::{MessageId, Standing},
    spool::{lane::Millis, model::Reach},
};

/// Why a message is not on offer, whatever it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// By a worker.
    Busy,
    /// By a worker, and to be due when it is given back, whatever came of its try.
    Flushed,
    /// Found damaged: it is given to nobody, and its end is being recorded.
    Damaged,
}

impl Index {
    /// Claims the oldest message that is due, over some lanes.
    pub(in crate::spool) fn claim(&mut self, domains: &[DomainName], now: Timestamp) -> Option<MessageId> {
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
    pub(in crate::spool) fn claim_one(&mut self, id: MessageId) -> bool {
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
    pub(in crate::spool) fn release(&mut self, id: MessageId) -> bool {
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
    pub(in crate::spool) fn set_damaged(&mut self, id: MessageId) {
        if self.claim_one(id) || self.taken.contains_key(&id) {
            self.taken.insert(id, Taken::Damaged);
        }
    }

    /// Makes every message of some lanes due now.
    pub(in crate::spool) fn flush(&mut self, domains: &[DomainName], reach: Reach) {
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

    /// The lanes in which mail became claimable since this was last asked.
    pub(in crate::spool) fn take_changed(&mut self) -> Vec<DomainName> {
        let mut numbers = std::mem::take(&mut self.changed);
        numbers.sort_unstable();
        numbers.dedup();
        numbers.iter().filter_map(|lane| self.name(*lane)).collect()
    }

    /// Whether [`Self::take_changed`] has something to say.
    pub(in crate::spool) const fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Notes that a lane has mail to claim.
    pub(super) fn announce(&mut self, lane: u32) {
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

    pub(super) fn is_offered(&self, entry: &Entry) -> bool {
        entry.standing == Standing::Queued && !self.taken.contains_key(&entry.id)
    }

    /// Offers a message to those who may claim it, and says so.
    pub(super) fn offer(&mut self, id: MessageId, due: Millis, home: &Home) {
        for number in home.offered() {
            if let Some(lane) = self.lanes[*number as usize].as_mut() {
                lane.queue(id, due);
                self.announce(*number);
            }
        }
    }
}
