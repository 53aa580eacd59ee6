//! Senders and recipients, as far as they are told apart.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

/// A sender or a recipient, told apart from others by a hash of its address: counting them keeps no addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Party(u64);

impl Party {
    /// The party with that address; case is ignored. The null sender is one party.
    #[must_use]
    pub fn of(address: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        for byte in address.bytes() {
            byte.to_ascii_lowercase().hash(&mut hasher);
        }
        Self(hasher.finish())
    }
}

/// Distinct parties, up to a bound; more are not taken in.
#[derive(Clone, Debug, Default)]
pub(super) struct Parties(HashSet<Party>);

impl Parties {
    /// The most that are counted.
    pub(super) const MOST: u64 = 4096;

    pub(super) fn insert(&mut self, party: Party) {
        if self.len() < Self::MOST {
            self.0.insert(party);
        }
    }

    pub(super) fn remove(&mut self, party: Party) {
        self.0.remove(&party);
    }

    pub(super) fn contains(&self, party: Party) -> bool {
        self.0.contains(&party)
    }

    pub(super) fn extend(&mut self, others: &Self) {
        for party in &others.0 {
            self.insert(*party);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_addresses_apart_whatever_their_case() {
        assert_eq!(Party::of("Info@Example.ORG"), Party::of("info@example.org"));
        assert_ne!(Party::of("info@example.org"), Party::of("info@example.net"));
        assert_ne!(Party::of(""), Party::of("a"));
    }

    #[test]
    fn counts_no_more_than_its_bound() {
        let mut parties = Parties::default();
        for number in 0..Parties::MOST + 100 {
            parties.insert(Party(number));
            parties.insert(Party(number));
            assert_eq!(parties.len(), (number + 1).min(Parties::MOST));
        }
    }
}
