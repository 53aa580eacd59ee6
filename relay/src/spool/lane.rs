//! A lane: all mail that waits for one domain. A message that waits for several is in the lane of each. Pure.

use backupmx_relay_config::DomainName;

use super::{
    model::LaneStatus,
    record::Maker,
    sorted::{Keyed, Sorted},
};
use crate::{
    clock::Timestamp,
    message::{MessageId, Standing},
};

/// A [`Timestamp`] in 6 octets, most significant first: until the year 10889. Zero stands for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Millis([u16; 3]);

impl Millis {
    pub(super) const ZERO: Self = Self([0; 3]);

    /// The moment, unless it is none.
    pub(super) fn nonzero(self) -> Option<Timestamp> {
        (self != Self::ZERO).then(|| self.into())
    }
}

impl From<Timestamp> for Millis {
    #[expect(clippy::cast_possible_truncation)]
    fn from(moment: Timestamp) -> Self {
        let millis = moment.as_millis().min((1 << 48) - 1);
        Self([(millis >> 32) as u16, (millis >> 16) as u16, millis as u16])
    }
}

impl From<Millis> for Timestamp {
    fn from(Millis([high, middle, low]): Millis) -> Self {
        Self::from_millis(u64::from(high) << 32 | u64::from(middle) << 16 | u64::from(low))
    }
}

impl Keyed for MessageId {
    type Key = Self;

    fn key(&self) -> Self {
        *self
    }
}

/// A message's own due time, in 14 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Millis,
    id: [u16; 4],
}

impl Due {
    #[expect(clippy::cast_possible_truncation)]
    fn new(at: Millis, id: MessageId) -> Self {
        let id = id.as_u64();
        Self { at, id: [(id >> 48) as u16, (id >> 32) as u16, (id >> 16) as u16, id as u16] }
    }

    fn id(self) -> MessageId {
        MessageId::from_u64(self.id.into_iter().fold(0, |number, part| number << 16 | u64::from(part)))
    }
}

impl Keyed for Due {
    type Key = Self;

    fn key(&self) -> Self {
        *self
    }
}

/// How much mail there is, by what it waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    held: u64,
    withheld: u64,
    parked: u64,
    reports: u64,
}

impl Tally {
    fn count(&mut self, standing: Standing) -> Option<&mut u64> {
        match standing {
            Standing::Queued => None,
            Standing::Rejected | Standing::Looping => Some(&mut self.held),
            Standing::Withheld => Some(&mut self.withheld),
            Standing::Parked => Some(&mut self.parked),
        }
    }

    /// Counts a message.
    pub(super) fn add(&mut self, size: u64, standing: Standing, maker: Maker) {
        self.messages += 1;
        self.bytes += size;
        self.reports += u64::from(maker == Maker::Ourselves);
        if let Some(count) = self.count(standing) {
            *count += 1;
        }
    }

    /// Counts it no longer.
    pub(super) fn take(&mut self, size: u64, standing: Standing, maker: Maker) {
        self.messages -= 1;
        self.bytes -= size;
        self.reports -= u64::from(maker == Maker::Ourselves);
        if let Some(count) = self.count(standing) {
            *count -= 1;
        }
    }

    /// Adds another one.
    pub(super) const fn include(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.held += other.held;
        self.withheld += other.withheld;
        self.parked += other.parked;
        self.reports += other.reports;
    }

    /// What is left without a part.
    pub(super) const fn without(self, part: Self) -> Self {
        Self {
            messages: self.messages - part.messages,
            bytes: self.bytes - part.bytes,
            held: self.held - part.held,
            withheld: self.withheld - part.withheld,
            parked: self.parked - part.parked,
            reports: self.reports - part.reports,
        }
    }

    /// The counts, and no times.
    pub(super) fn status(self) -> LaneStatus {
        LaneStatus {
            messages: self.messages,
            bytes: self.bytes,
            held: self.held,
            withheld: self.withheld,
            parked: self.parked,
            reports: self.reports,
            ..LaneStatus::default()
        }
    }
}

/// A lane.
#[derive(Debug)]
pub(super) struct Lane {
    domain: DomainName,
    members: Sorted<MessageId>,
    /// Queued, not claimed, and due.
    ready: Sorted<MessageId>,
    /// Queued, not claimed, with a due time of their own that had not come when somebody last looked.
    waiting: Sorted<Due>,
    tally: Tally,
}

impl Lane {
    pub(super) fn new(domain: DomainName) -> Self {
        Self {
            domain,
            members: Sorted::default(),
            ready: Sorted::default(),
            waiting: Sorted::default(),
            tally: Tally::default(),
        }
    }

    pub(super) const fn domain(&self) -> &DomainName {
        &self.domain
    }

    pub(super) const fn tally(&self) -> Tally {
        self.tally
    }

    /// Takes a message in.
    pub(super) fn enter(&mut self, id: MessageId, size: u64, standing: Standing, maker: Maker) {
        self.members.insert(id);
        self.tally.add(size, standing, maker);
    }

    /// Lets a message go; true where it was the last.
    pub(super) fn leave(&mut self, id: MessageId, size: u64, standing: Standing, maker: Maker) -> bool {
        self.members.remove(id);
        self.tally.take(size, standing, maker);
        self.members.is_empty()
    }

    /// Offers a message to whoever claims.
    pub(super) fn queue(&mut self, id: MessageId, due: Millis) {
        if due == Millis::ZERO {
            self.ready.insert(id);
        } else {
            self.waiting.insert(Due::new(due, id));
        }
    }

    /// Takes a message off the offer.
    pub(super) fn unqueue(&mut self, id: MessageId, due: Millis) {
        if due == Millis::ZERO || self.waiting.remove(Due::new(due, id)).is_none() {
            self.ready.remove(id);
        }
    }

    /// Makes those ready whose due time has come.
    pub(super) fn promote(&mut self, now: Timestamp) {
        let now = Millis::from(now);
        while let Some(due) = self.waiting.first().copied().filter(|due| due.at <= now) {
            self.waiting.remove(due);
            self.ready.insert(due.id());
        }
    }

    /// Makes all ready, and says which waited.
    pub(super) fn flush(&mut self) -> Vec<MessageId> {
        let waited: Vec<MessageId> = std::mem::take(&mut self.waiting).after(None).map(|due| due.id()).collect();
        for id in &waited {
            self.ready.insert(*id);
        }
        waited
    }

    pub(super) fn first_ready(&self) -> Option<MessageId> {
        self.ready.first().copied()
    }

    /// Members after the given one, oldest first.
    pub(super) fn members(&self, after: Option<MessageId>) -> impl Iterator<Item = MessageId> + '_ {
        self.members.after(after).copied()
    }

    /// What it holds, without `oldest`.
    pub(super) fn status(&self) -> LaneStatus {
        LaneStatus {
            next_due: self.waiting.first().map(|due| due.at.into()),
            ready: self.ready.len() as u64,
            ..self.tally.status()
        }
    }

    /// Messages on offer, now or later.
    #[cfg(test)]
    pub(super) fn offers(&self) -> usize {
        self.ready.len() + self.waiting.len()
    }

    /// Octets of memory that the lists take.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        (self.members.capacity() + self.ready.capacity()) * size_of::<MessageId>()
            + self.waiting.capacity() * size_of::<Due>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_ids_keep_their_value_and_order_in_few_octets() {
        assert_eq!(size_of::<Due>(), 14);
        let moments = [0, 1, 0xffff, 0x1_0000, 1_767_225_600_000, (1 << 48) - 1];
        for pair in moments.windows(2) {
            let [earlier, later] = [pair[0], pair[1]].map(Timestamp::from_millis);
            assert_eq!(Timestamp::from(Millis::from(later)), later);
            assert!(Millis::from(earlier) < Millis::from(later));
            let ids = [pair[0], pair[1]].map(MessageId::from_u64);
            assert_eq!(Due::new(Millis::ZERO, ids[1]).id(), ids[1]);
            assert!(Due::new(Millis::ZERO, ids[0]) < Due::new(Millis::ZERO, ids[1]));
            assert!(Due::new(earlier.into(), ids[1]) < Due::new(later.into(), ids[0]));
        }
    }
}
