//! The name of a page between machines. It is a hash, so that all names have the same length and no path can be read on the
//! way.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
};

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 16;
/// Parts of a table. One is sent again at a time. There are as many as the first byte of a key has values.
pub(crate) const BUCKETS: usize = 256;

/// The keyed hash of a page id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) [u8; KEY_BYTES]);

impl Key {
    /// Its first four bytes as a number. Ranges of keys are ranges of these numbers.
    pub(crate) fn prefix(self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// The part of a table that has it.
    pub(crate) fn bucket(self) -> usize {
        let [first, ..] = self.0;
        first.into()
    }
}

/// Keys are already random, so some of their bytes are the hash. Only members of the cluster can choose keys.
#[derive(Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // The first bytes are not used, because they are nearly the same within a bucket.
        if let Some(last) = bytes.last_chunk() {
            self.0 = u64::from_le_bytes(*last);
        }
    }

    /// The length of a key, which is always the same.
    fn write_usize(&mut self, _: usize) {}
}

/// A map by page.
pub(crate) type KeyMap<V> = HashMap<Key, V, BuildHasherDefault<KeyHasher>>;

/// A map by page, in buckets. Keys of the same bucket are close together in memory, so using one bucket after the other is
/// faster than using all of them in turns.
pub(crate) struct Buckets<V>(Vec<KeyMap<V>>);

impl<V> Default for Buckets<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> Buckets<V> {
    pub(crate) fn get(&self, key: Key) -> Option<&V> {
        self.0.get(key.bucket())?.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut V> {
        self.0.get_mut(key.bucket())?.get_mut(&key)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<V> {
        self.0.get_mut(key.bucket())?.remove(&key)
    }

    pub(crate) fn entry(&mut self, key: Key) -> Entry<'_, Key, V> {
        self.of(key).entry(key)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut V)> {
        self.0.iter_mut().flatten().map(|(key, value)| (*key, value))
    }

    #[expect(clippy::indexing_slicing, reason = "there is a bucket for each first byte")]
    fn of(&mut self, key: Key) -> &mut KeyMap<V> {
        if self.0.is_empty() {
            self.0.resize_with(BUCKETS, KeyMap::default);
        }
        &mut self.0[key.bucket()]
    }
}

/// Counts by page.
#[derive(Default)]
pub(crate) struct Table {
    counts: Buckets<u32>,
    len: usize,
}

impl Table {
    /// The count of a page.
    pub(crate) fn get(&self, key: Key) -> u32 {
        self.counts.get(key).copied().unwrap_or(0)
    }

    /// Pages with a count.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Sets the count of a page. 0 removes it. Returns whether that changed anything.
    pub(crate) fn set(&mut self, key: Key, count: u32) -> bool {
        let bucket = self.counts.of(key);
        let before = if count == 0 { bucket.remove(&key) } else { bucket.insert(key, count) };
        self.len = self.len + usize::from(count != 0) - usize::from(before.is_some());
        before.unwrap_or(0) != count
    }

    /// Replaces all counts of keys with these prefixes by `fresh`. Adds the keys whose count has changed to `changed`.
    pub(crate) fn replace(&mut self, low: u32, high: u32, mut fresh: KeyMap<u32>, changed: &mut Vec<Key>) {
        let Table { counts, len } = self;
        let within = counts.0.iter_mut().skip((low >> 24) as usize).take(((high >> 24) - (low >> 24) + 1) as usize);
        for bucket in within {
            let before = bucket.len();
            bucket.retain(|&key, count| {
                if !(low..=high).contains(&key.prefix()) {
                    return true;
                }
                let now = fresh.remove(&key).unwrap_or(0);
                if now != *count {
                    changed.push(key);
                    *count = now;
                }
                now != 0
            });
            *len = *len + bucket.len() - before;
        }
        for (key, count) in fresh {
            if self.set(key, count) {
                changed.push(key);
            }
        }
    }

    /// All of one bucket.
    pub(crate) fn bucket(&self, idx: usize) -> impl Iterator<Item = (Key, u32)> {
        self.counts.0.get(idx).into_iter().flatten().map(|(&key, &count)| (key, count))
    }

    /// How many are in one bucket.
    pub(crate) fn bucket_len(&self, idx: usize) -> usize {
        self.counts.0.get(idx).map_or(0, KeyMap::len)
    }

    /// All keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        self.counts.0.iter().flat_map(KeyMap::keys).copied()
    }
}
