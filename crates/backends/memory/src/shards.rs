//! The hash index for point reads: tables of entries, each behind its own lock.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashTable;
use parking_lot::{RwLock, RwLockWriteGuard};
use smallvec::SmallVec;
use stead_core::Entry;

use crate::words::{same, word_of};

/// The most shards: the bits of [`ShardSet`].
const MAX_SHARDS: usize = 64;

/// So many keys are looked up together without memory of their own. Who has many more looks up so many at a time: writers
/// wait meanwhile.
pub(crate) const TOGETHER: usize = 32;

pub(crate) struct Shards {
    hasher: foldhash::quality::RandomState,
    /// Four for each core, so that threads seldom meet, and no more: every shard's lock is another line to keep in the
    /// cache.
    shards: Box<[Shard]>,
    mask: usize,
}

/// One table. Aligned so that two shards share no cache line; the counters lie beside the lock, whose line a reader
/// writes anyway.
#[repr(align(128))]
#[derive(Default)]
struct Shard {
    table: RwLock<HashTable<Entry>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Default for Shards {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = (cores * 4).next_power_of_two().min(MAX_SHARDS);
        Shards {
            hasher: foldhash::quality::RandomState::default(),
            shards: (0..shards).map(|_| Shard::default()).collect(),
            mask: shards - 1,
        }
    }
}

/// The hash of a key, and the shard that follows from it.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    hash: u64,
    shard: usize,
}

impl Shards {
    #[inline]
    pub(crate) fn place(&self, key: &[u8]) -> Place {
        let mut hasher = self.hasher.build_hasher();
        let (words, rest) = key.as_chunks();
        for word in words {
            hasher.write_u64(u64::from_le_bytes(*word));
        }
        hasher.write_u64(word_of(rest));
        let hash = hasher.finish();
        // Other bits than those that hashbrown takes for the slot and its tag.
        Place {
            hash,
            shard: (hash >> 40) as usize & self.mask,
        }
    }

    /// The entry under `key`, whether or not its deadline has passed.
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<Entry> {
        let place = self.place(key);
        let table = self.shards[place.shard].table.read();
        table.find(place.hash, |entry| entry.prefix() == key).cloned()
    }

    /// As [`get`](Shards::get), counted as a hit or a miss by `visible`.
    #[inline]
    pub(crate) fn get_counted(&self, key: &[u8], visible: impl FnOnce(&Entry) -> bool) -> Option<Entry> {
        let place = self.place(key);
        let shard = &self.shards[place.shard];
        let found = shard
            .table
            .read()
            .find(place.hash, |entry| entry.prefix() == key)
            .cloned();
        let found = found.filter(visible);
        let counter = if found.is_some() {
            &shard.hits
        } else {
            &shard.misses
        };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// The entries under `keys` at one instant.
    pub(crate) fn get_all<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> Vec<Option<Entry>> {
        let places: SmallVec<[(&[u8], Place); TOGETHER]> = keys.map(|key| (key, self.place(key))).collect();
        let set = places
            .iter()
            .fold(ShardSet::default(), |set, (_, place)| set.with(*place));
        let guards: SmallVec<[_; 8]> = set.iter().map(|shard| self.shards[shard].table.read()).collect();
        let table = |place: &Place| &guards[set.rank(*place)];
        // Most of the time goes into waiting for memory. A processor waits for many places at once as long as little is done
        // between them: so first for the slots, whichever entries are in them, then for their keys, and last for their
        // counters of references, as it does not read ahead behind an atomic operation.
        let slots: SmallVec<[Option<&Entry>; TOGETHER]> = places
            .iter()
            .map(|(_, place)| table(place).find(place.hash, |_| true))
            .collect();
        let places = slots.into_iter().zip(&places);
        let found: SmallVec<[Option<&Entry>; TOGETHER]> = places
            .map(|(slot, (key, place))| match slot {
                Some(entry) if entry.prefix() == *key => slot,
                Some(_) => table(place).find(place.hash, |entry| entry.prefix() == *key),
                None => None,
            })
            .collect();
        found.into_iter().map(Option::<&Entry>::cloned).collect()
    }

    /// Locks all shards of `set` for writing. Always in ascending order, as `get_all` does for reading, so nobody waits
    /// in a circle.
    pub(crate) fn lock(&self, set: ShardSet) -> Locked<'_> {
        let mut guards = SmallVec::new();
        for shard in set.iter() {
            guards.push(self.shards[shard].table.write());
        }
        Locked {
            shards: self,
            set,
            guards,
        }
    }

    /// Locks the one shard of `place` for writing.
    #[inline]
    pub(crate) fn lock_one(&self, place: Place) -> Locked<'_> {
        Locked {
            shards: self,
            set: ShardSet::default().with(place),
            guards: SmallVec::from([self.shards[place.shard].table.write()]),
        }
    }

    /// Makes room for `more` entries, so that tables which grow need not move what they hold time and again.
    pub(crate) fn reserve(&self, more: usize) {
        // Some shards get more than their part.
        let each = more / self.shards.len();
        let each = each + each / 32;
        for shard in &self.shards {
            let mut table = shard.table.write();
            table.reserve(each, |entry| self.place(entry.prefix()).hash);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            *shard.table.write() = HashTable::new();
        }
    }

    pub(crate) fn hits_and_misses(&self) -> (u64, u64) {
        self.shards.iter().fold((0, 0), |(hits, misses), shard| {
            (
                hits + shard.hits.load(Ordering::Relaxed),
                misses + shard.misses.load(Ordering::Relaxed),
            )
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.table.read().len()).sum()
    }
}

/// Some of the shards.
#[derive(Clone, Copy, Default)]
pub(crate) struct ShardSet(u64);

impl ShardSet {
    pub(crate) fn with(self, place: Place) -> Self {
        ShardSet(self.0 | (1 << place.shard))
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let lowest = left.trailing_zeros() as usize;
            (lowest < MAX_SHARDS).then(|| {
                left &= left - 1;
                lowest
            })
        })
    }

    /// The position of the shard of `place` among the shards of the set.
    fn rank(self, place: Place) -> usize {
        (self.0 & ((1 << place.shard) - 1)).count_ones() as usize
    }
}

/// Shards locked for writing together, so that readers see all of a batch or nothing.
pub(crate) struct Locked<'a> {
    shards: &'a Shards,
    set: ShardSet,
    guards: SmallVec<[RwLockWriteGuard<'a, HashTable<Entry>>; 1]>,
}

impl Locked<'_> {
    #[inline]
    fn table(&self, place: Place) -> &HashTable<Entry> {
        match &self.guards[..] {
            [only] => only,
            guards => &guards[self.set.rank(place)],
        }
    }

    #[inline]
    fn table_mut(&mut self, place: Place) -> &mut HashTable<Entry> {
        match &mut self.guards[..] {
            [only] => only,
            guards => &mut guards[self.set.rank(place)],
        }
    }

    /// The entry under `key`, whether or not its deadline has passed, and where it is.
    #[inline]
    pub(crate) fn find(&self, place: Place, key: &[u8]) -> Option<(Bucket, &Entry)> {
        let table = self.table(place);
        let bucket = table.find_bucket_index(place.hash, |entry| same(entry.prefix(), key))?;
        table.get_bucket(bucket).map(|entry| (Bucket(bucket), entry))
    }

    /// Puts `entry` in, whose key is not there yet.
    pub(crate) fn insert(&mut self, place: Place, entry: Entry) {
        let shards = self.shards;
        let hasher = |entry: &Entry| shards.place(entry.prefix()).hash;
        self.table_mut(place).insert_unique(place.hash, entry, hasher);
    }

    /// The entry in `bucket`, to be replaced by another of the same key.
    #[inline]
    pub(crate) fn at(&mut self, place: Place, bucket: Bucket) -> Option<&mut Entry> {
        self.table_mut(place).get_bucket_mut(bucket.0)
    }

    /// Takes the entry under `key` out.
    pub(crate) fn remove(&mut self, place: Place, key: &[u8]) -> Option<Entry> {
        self.table_mut(place)
            .find_entry(place.hash, |entry| same(entry.prefix(), key))
            .ok()
            .map(|found| found.remove().0)
    }
}

/// Where in its table an entry is, until something is put into that table or taken out.
#[derive(Clone, Copy)]
pub(crate) struct Bucket(usize);
