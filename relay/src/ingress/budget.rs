//! The memory that all messages in flight may take together.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Octets in use by all messages in flight. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Budget(Arc<AtomicU64>);

/// A share of the budget; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    octets: u64,
}

/// Octets that a reservation grows by: a message of common size asks once.
const STEP: u64 = 16 << 10;

impl Budget {
    /// Octets in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Reserves a first step within a limit; none where there is no room.
    #[must_use]
    pub fn reserve(&self, limit: u64) -> Option<Reservation> {
        self.take(STEP, limit).then(|| Reservation { budget: self.clone(), octets: STEP })
    }

    fn take(&self, octets: u64, limit: u64) -> bool {
        let sum = |used: u64| used.checked_add(octets).filter(|sum| *sum <= limit);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
    }
}

impl Reservation {
    /// Grows to at least so many octets within a limit of the whole budget; false, and unchanged, where there is no
    /// room.
    #[must_use]
    pub fn grow_to(&mut self, octets: u64, limit: u64) -> bool {
        if octets <= self.octets {
            return true;
        }
        let wanted = octets.next_multiple_of(STEP);
        if !self.budget.take(wanted - self.octets, limit) {
            return false;
        }
        self.octets = wanted;
        true
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_taken_within_the_limit_and_given_back() {
        let budget = Budget::default();
        let mut first = budget.reserve(4 * STEP).unwrap();
        let second = budget.reserve(4 * STEP).unwrap();
        assert_eq!(budget.used(), 2 * STEP);
        assert!(first.grow_to(STEP + 1, 4 * STEP));
        assert!(!first.grow_to(3 * STEP + 1, 4 * STEP));
        assert_eq!(budget.used(), 3 * STEP);
        drop(second);
        assert!(first.grow_to(3 * STEP + 1, 4 * STEP));
        assert!(budget.reserve(4 * STEP).is_none());
        drop(first);
        assert_eq!(budget.used(), 0);
    }
}
