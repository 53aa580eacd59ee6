//! Transactions that may still become held mail: counted from their first recipient on, until they are on disk or over.
//!
//! Whoever takes a relay away has to know that nothing is left in it. A message that is coming in while its domain is
//! closed was begun under the old config and is kept, so it counts. The order makes the count exact:
//!
//! - A session counts itself first, and only then reads the config that it decides a recipient by ([`InFlight::decide`]).
//! - It is counted until its message is in the spool's index, or can't come there any more ([`Passage`]).
//! - A status reads the config first, then this count, and what is held last.
//!
//! So a status with a config, none in flight and none held says: no mail taken under an older config is or will be held.

use std::{collections::HashMap, sync::Arc};

use backupmx_relay_config::DomainName;
use parking_lot::Mutex;

/// All transactions in flight. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// Recipients that are being decided on now: each may become anyone's.
    undecided: u64,
    /// The domains of each transaction's recipients, by its number.
    taken: HashMap<u64, Vec<DomainName>>,
    next: u64,
}

/// A recipient that is being decided on; given up when dropped.
#[derive(Debug)]
pub struct Deciding(InFlight);

/// A transaction with recipients; over when dropped.
#[derive(Debug)]
pub struct Passage {
    in_flight: InFlight,
    number: u64,
}

/// How many transactions are in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// In all.
    pub all: u64,
    /// For each tenant, by its position.
    pub tenants: Vec<u64>,
}

impl InFlight {
    /// Counts a recipient before the config is read that decides about it.
    #[must_use]
    pub fn decide(&self) -> Deciding {
        self.0.lock().undecided += 1;
        Deciding(self.clone())
    }

    /// Counts for so many tenants; `tenant_of` says whose a domain is.
    #[must_use]
    pub fn tally(&self, tenants: usize, tenant_of: impl Fn(&DomainName) -> Option<usize>) -> Tally {
        let inner = self.0.lock();
        let mut counts = vec![inner.undecided; tenants];
        for domains in inner.taken.values() {
            let mut owners: Vec<usize> = domains.iter().filter_map(&tenant_of).collect();
            owners.sort_unstable();
            owners.dedup();
            for owner in owners {
                if let Some(count) = counts.get_mut(owner) {
                    *count += 1;
                }
            }
        }
        Tally { all: inner.undecided + inner.taken.len() as u64, tenants: counts }
    }
}

impl Deciding {
    /// The recipient is taken: its transaction, which may have none before, counts for that domain.
    pub fn take(self, passage: &mut Option<Passage>, domain: &DomainName) {
        let mut inner = self.0.0.lock();
        let number = passage.as_ref().map_or(inner.next, |passage| passage.number);
        let domains = inner.taken.entry(number).or_default();
        if !domains.contains(domain) {
            domains.push(domain.clone());
        }
        if passage.is_none() {
            inner.next += 1;
            drop(inner);
            *passage = Some(Passage { in_flight: self.0.clone(), number });
        }
    }
}

impl Drop for Deciding {
    fn drop(&mut self) {
        self.0.0.lock().undecided -= 1;
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.in_flight.0.lock().taken.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str) -> DomainName {
        name.parse().unwrap()
    }

    fn tally(in_flight: &InFlight) -> (u64, Vec<u64>) {
        let owners = ["one.test", "also-one.test", "two.test"].map(domain);
        let tally = in_flight.tally(2, |domain| owners.iter().position(|owner| owner == domain).map(|at| at / 2));
        (tally.all, tally.tenants)
    }

    #[test]
    fn a_transaction_counts_once_for_each_tenant_and_until_it_is_over() {
        let in_flight = InFlight::default();
        let (mut first, mut second) = (None, None);
        in_flight.decide().take(&mut first, &domain("one.test"));
        in_flight.decide().take(&mut first, &domain("also-one.test"));
        assert_eq!(tally(&in_flight), (1, vec![1, 0]));
        in_flight.decide().take(&mut second, &domain("two.test"));
        in_flight.decide().take(&mut second, &domain("one.test"));
        assert_eq!(tally(&in_flight), (2, vec![2, 1]));
        drop(first);
        assert_eq!(tally(&in_flight), (1, vec![1, 1]));
        drop(second);
        assert_eq!(tally(&in_flight), (0, vec![0, 0]));
    }

    #[test]
    fn what_is_being_decided_on_may_be_anyones() {
        let in_flight = InFlight::default();
        let deciding = in_flight.decide();
        assert_eq!(tally(&in_flight), (1, vec![1, 1]));
        drop(deciding);
        assert_eq!(tally(&in_flight), (0, vec![0, 0]));
    }

    #[test]
    fn mail_for_nobody_counts_in_all() {
        let in_flight = InFlight::default();
        let mut passage = None;
        in_flight.decide().take(&mut passage, &domain("gone.test"));
        assert_eq!(tally(&in_flight), (1, vec![0, 0]));
    }
}
