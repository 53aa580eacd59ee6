//! A map of bounded size that forgets what was written longest ago. Pure.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

/// A map that holds at least the `capacity` entries that were written last, and never more than twice as many.
///
/// Two generations: once the young one is full it becomes the old one, and the old one goes as a whole. So each step
/// costs the same, and no clock or list is needed to bound the memory.
#[derive(Debug)]
pub struct Recent<K, V> {
    capacity: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// An empty map that keeps so many entries, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), young: HashMap::new(), old: HashMap::new() }
    }

    /// What was written last for a key, unless it was forgotten.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Writes an entry.
    pub fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.capacity && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keeps_the_last_entries_within_its_bound(keys in prop::collection::vec(0u32..40, 0..300), capacity in 1usize..12) {
            let mut recent = Recent::new(capacity);
            let mut written: Vec<u32> = Vec::new();
            for (value, key) in keys.into_iter().enumerate() {
                recent.insert(key, value);
                written.retain(|other| *other != key);
                written.push(key);
                prop_assert_eq!(recent.get(&key), Some(&value));
                for last in written.iter().rev().take(capacity) {
                    prop_assert!(recent.get(last).is_some(), "{} was forgotten", last);
                }
                prop_assert!(recent.young.len() + recent.old.len() <= 2 * capacity);
            }
        }
    }
}
