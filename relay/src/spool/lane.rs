//! A lane: all mail whose first pending recipient is in one domain. Pure.

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

/// A lane.
#[derive(Debug)]
pub(super) struct Lane {
    domain: DomainName,
    members: Sorted<MessageId>,
    /// Queued, not claimed, and due.
    ready: Sorted<MessageId>,
    /// Queued, not claimed, with a due time of their own that had not come when somebody last looked.
    waiting: Sorted<Due>,
    bytes: u64,
    held: u64,
    withheld: u64,
    parked: u64,
    reports: u64,
}

impl Lane {
    pub(super) fn new(domain: DomainName) -> Self {
        Self {
            domain,
            members: Sorted::default(),
            ready: Sorted::default(),
            waiting: Sorted::default(),
            bytes: 0,
            held: 0,
            withheld: 0,
            parked: 0,
            reports: 0,
        }
    }

    pub(super) const fn domain(&self) -> &DomainName {
        &self.domain
    }

    fn count(&mut self, standing: Standing) -> Option<&mut u64> {
        match standing {
            Standing::Queued => None,
            Standing::Rejected | Standing::Looping => Some(&mut self.held),
            Standing::Withheld => Some(&mut self.withheld),
            Standing::Parked => Some(&mut self.parked),
        }
    }

    /// Takes a message in.
    pub(super) fn enter(&mut self, id: MessageId, size: u64, standing: Standing, maker: Maker) {
        self.members.insert(id);
        self.bytes += size;
        self.reports += u64::from(maker == Maker::Ourselves);
        if let Some(count) = self.count(standing) {
            *count += 1;
        }
    }

    /// Lets a message go; true where it was the last.
    pub(super) fn leave(&mut self, id: MessageId, size: u64, standing: Standing, maker: Maker) -> bool {
        self.members.remove(id);
        self.bytes -= size;
        self.reports -= u64::from(maker == Maker::Ourselves);
        if let Some(count) = self.count(standing) {
            *count -= 1;
        }
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
            messages: self.members.len() as u64,
            bytes: self.bytes,
            held: self.held,
            withheld: self.withheld,
            parked: self.parked,
            reports: self.reports,
            oldest: None,
            oldest_waiting: None,
            next_due: self.waiting.first().map(|due| due.at.into()),
            ready: self.ready.len() as u64,
        }
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
