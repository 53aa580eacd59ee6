//! A sorted set in small chunks: the memory of a sorted vector without its long moves. Pure.
//!
//! The standard B-tree leaves its nodes about half full when keys come in rising order, as message ids do. Here a
//! chunk that is not the last has at most [`SLACK`] free places, and two neighbours never fit into one of [`MERGED`]:
//! over a large set at least 48 of 56 places are used, and mostly nearly all.

use std::collections::VecDeque;

/// Entries in a chunk, at most.
const FULL: usize = 128;
/// Free places in a chunk that is not the last, at most.
const SLACK: usize = 8;
/// Neighbours are joined when they hold no more than this together.
const MERGED: usize = 96;

/// What has its place in the order by a key that is part of it.
pub(super) trait Keyed {
    /// What it is ordered by.
    type Key: Ord + Copy;

    fn key(&self) -> Self::Key;
}

/// A sorted set.
#[derive(Debug)]
pub(super) struct Sorted<T> {
    chunks: VecDeque<Vec<T>>,
    length: usize,
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), length: 0 }
    }
}

impl<T: Keyed> Sorted<T> {
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn first(&self) -> Option<&T> {
        self.chunks.front()?.first()
    }

    pub(super) fn last(&self) -> Option<&T> {
        self.chunks.back()?.last()
    }

    /// The chunk that holds the key, if any does.
    fn chunk_of(&self, key: T::Key) -> usize {
        self.chunks.partition_point(|chunk| chunk.last().is_some_and(|last| last.key() < key))
    }

    fn find(&self, key: T::Key) -> Option<(usize, usize)> {
        let chunk = self.chunk_of(key);
        let position = self.chunks.get(chunk)?.binary_search_by(|item| item.key().cmp(&key)).ok()?;
        Some((chunk, position))
    }

    pub(super) fn get(&self, key: T::Key) -> Option<&T> {
        let (chunk, position) = self.find(key)?;
        self.chunks.get(chunk)?.get(position)
    }

    /// The item of that key, to change what is not its key.
    pub(super) fn get_mut(&mut self, key: T::Key) -> Option<&mut T> {
        let (chunk, position) = self.find(key)?;
        self.chunks.get_mut(chunk)?.get_mut(position)
    }

    /// Adds an item; false where its key is there already, and nothing changes.
    pub(super) fn insert(&mut self, item: T) -> bool {
        let key = item.key();
        let last = self.chunks.len().wrapping_sub(1);
        let at = self.chunk_of(key).min(last);
        let Some(chunk) = self.chunks.get_mut(at) else {
            self.chunks.push_back(vec![item]);
            self.length += 1;
            return true;
        };
        let Err(position) = chunk.binary_search_by(|other| other.key().cmp(&key)) else { return false };
        self.length += 1;
        if chunk.len() < FULL {
            if at != last && chunk.len() == chunk.capacity() {
                chunk.reserve_exact(SLACK / 2);
            }
            chunk.insert(position, item);
            return true;
        }
        if at == last && position == chunk.len() {
            chunk.shrink_to_fit();
            self.chunks.push_back(vec![item]);
            return true;
        }
        let mut upper = chunk.split_off(FULL / 2);
        if position <= chunk.len() {
            chunk.insert(position, item);
        } else {
            upper.insert(position - FULL / 2, item);
        }
        chunk.shrink_to_fit();
        upper.shrink_to_fit();
        self.chunks.insert(at + 1, upper);
        true
    }

    pub(super) fn remove(&mut self, key: T::Key) -> Option<T> {
        let (at, position) = self.find(key)?;
        let chunk = self.chunks.get_mut(at)?;
        let item = chunk.remove(position);
        self.length -= 1;
        let left = chunk.len();
        if left == 0 {
            self.chunks.remove(at);
            return Some(item);
        }
        if chunk.capacity() - left > SLACK {
            chunk.shrink_to(left + SLACK / 2);
        }
        // Only a chunk of at most half the bound can be one of two that fit together with room to spare.
        if left <= MERGED / 2 {
            let fits = |other: Option<&Vec<T>>| other.is_some_and(|other| other.len() + left <= MERGED);
            if fits(self.chunks.get(at + 1)) {
                self.join(at);
            } else if at > 0 && fits(self.chunks.get(at - 1)) {
                self.join(at - 1);
            }
        }
        Some(item)
    }

    /// Joins a chunk with the one after it.
    fn join(&mut self, at: usize) {
        if let Some(mut upper) = self.chunks.remove(at + 1)
            && let Some(chunk) = self.chunks.get_mut(at)
        {
            chunk.reserve_exact(upper.len());
            chunk.append(&mut upper);
        }
    }

    /// The items whose keys are greater than the given one (all, where none is given), in order.
    pub(super) fn after(&self, key: Option<T::Key>) -> impl Iterator<Item = &T> {
        let (chunk, position) = key.map_or((0, 0), |key| {
            let chunk = self.chunk_of(key);
            let position = self.chunks.get(chunk).map_or(0, |chunk| chunk.partition_point(|item| item.key() <= key));
            (chunk, position)
        });
        self.chunks.range(chunk.min(self.chunks.len())..).flatten().skip(position)
    }

    /// Places for items, used or not.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.chunks.iter().map(Vec::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl Keyed for (u64, u64) {
        type Key = u64;

        fn key(&self) -> u64 {
            self.0
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append(u64),
        Insert(u64),
        Remove(u64),
        RemoveRun(u64, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1u64..300).prop_map(Step::Append),
            (0u64..3000).prop_map(Step::Insert),
            (0u64..3000).prop_map(Step::Remove),
            (0u64..3000, 0u64..300).prop_map(|(from, count)| Step::RemoveRun(from, count)),
        ]
    }

    proptest! {
        #[test]
        fn does_what_a_b_tree_does(steps in prop::collection::vec(step(), 0..60)) {
            let mut sorted = Sorted::default();
            let mut model = BTreeMap::new();
            for (value, step) in steps.into_iter().enumerate() {
                let value = value as u64;
                match step {
                    Step::Append(count) => {
                        let next = model.last_key_value().map_or(0, |(key, _)| key + 1);
                        for key in next..next + count {
                            prop_assert!(sorted.insert((key, value)));
                            model.insert(key, value);
                        }
                    }
                    Step::Insert(key) => {
                        prop_assert_eq!(sorted.insert((key, value)), !model.contains_key(&key));
                        model.entry(key).or_insert(value);
                    }
                    Step::Remove(key) => {
                        prop_assert_eq!(sorted.remove(key).map(|item| item.1), model.remove(&key));
                    }
                    Step::RemoveRun(from, count) => {
                        for key in from..from + count {
                            prop_assert_eq!(sorted.remove(key).map(|item| item.1), model.remove(&key));
                        }
                    }
                }
                prop_assert_eq!(sorted.len(), model.len());
                prop_assert_eq!(sorted.first().map(|item| item.0), model.first_key_value().map(|(key, _)| *key));
            }
            let all: Vec<_> = model.into_iter().collect();
            prop_assert_eq!(sorted.after(None).copied().collect::<Vec<_>>(), all.clone());
            for key in [0, 1, 77, 500, 2999, 9999] {
                let expected: Vec<_> = all.iter().copied().filter(|item| item.0 > key).collect();
                prop_assert_eq!(sorted.after(Some(key)).copied().collect::<Vec<_>>(), expected);
                prop_assert_eq!(sorted.get(key).copied(), all.iter().copied().find(|item| item.0 == key));
            }
        }

        #[test]
        fn stays_dense_whatever_is_removed(keep in 1u64..40) {
            let mut sorted = Sorted::default();
            for key in 0..20_000u64 {
                sorted.insert((key, 0));
            }
            for key in (0..20_000).filter(|key| key % keep != 0) {
                sorted.remove(key);
            }
            prop_assert!(sorted.capacity() * 48 <= sorted.len() * 56 + 48 * FULL, "{} places for {}", sorted.capacity(), sorted.len());
        }
    }
}
