//! What a transaction has seen and what it wants.

use std::collections::BTreeMap;

use bytes::Bytes;
use stead_core::{
    Entry, Error, Expect, Expiry, Item, Key, KeyRange, Partition, Result, Revision, WriteBatch,
};

/// What a transaction has seen and what it wants.
#[derive(Default)]
pub(super) struct State {
    /// What each key held that was read.
    reads: BTreeMap<Key, Seen>,
    /// How many keys each range held that was scanned.
    ranges: Vec<(KeyRange, u64)>,
    /// What each key is to become. The last of several writes counts.
    writes: BTreeMap<Key, Wish>,
    /// The one partition, where the backend commits only one at a time.
    partition: Option<Partition>,
    over: bool,
}

/// What was seen of a key.
enum Seen {
    /// The entry itself.
    Entry(Option<Entry>),
    /// That there is one.
    Key,
}

/// What a key is to become.
#[derive(Clone)]
pub(super) enum Wish {
    /// It holds this value. The entry is what reads of this transaction see; its revision is zero.
    Put {
        entry: Entry,
        value: Bytes,
        expiry: Expiry,
    },
    /// It is gone.
    Delete,
    /// It has another deadline.
    Touch { expiry: Expiry },
}

impl Wish {
    pub(super) fn put(value: Bytes, expiry: Expiry) -> Self {
        let deadline = match expiry {
            Expiry::At(deadline) => Some(deadline),
            Expiry::Never | Expiry::Keep | Expiry::After(_) => None,
        };
        Wish::Put {
            entry: Entry::new(&value, Revision::ZERO, deadline),
            value,
            expiry,
        }
    }
}

impl State {
    /// Refuses what comes after the end.
    pub(super) fn open(&mut self) -> Result<&mut Self> {
        if self.over {
            return Err(Error::invalid(
                "the transaction is over; await everything inside its closure",
            ));
        }
        Ok(self)
    }

    /// Ends the transaction; later uses of its handles fail.
    pub(super) fn end(&mut self) -> State {
        let state = std::mem::take(self);
        self.over = true;
        state
    }

    /// Holds the transaction to the partition that it touched first.
    pub(super) fn keep_to(&mut self, partition: &Partition) -> Result<()> {
        match &self.partition {
            Some(first) if first != partition => Err(Error::unsupported(
                "this backend commits one partition at a time, and the transaction touches two",
            )
            .with("first", first)
            .with("second", partition)),
            Some(_) => Ok(()),
            None => {
                self.partition = Some(partition.clone());
                Ok(())
            }
        }
    }

    /// What this transaction has made of `key`: `None` if nothing, `Some(None)` if it deleted it.
    pub(super) fn written(&self, key: &Key) -> Option<Option<Entry>> {
        match self.writes.get(key)? {
            Wish::Put { entry, .. } => Some(Some(entry.clone())),
            Wish::Delete => Some(None),
            Wish::Touch { .. } => None,
        }
    }

    /// What this transaction has read under `key` before.
    pub(super) fn read(&self, key: &Key) -> Option<Option<Entry>> {
        match self.reads.get(key)? {
            Seen::Entry(entry) => Some(entry.clone()),
            Seen::Key => None,
        }
    }

    /// Notes what was read. The first reading counts, so that every later one agrees with it.
    pub(super) fn saw(&mut self, key: Key, entry: Option<Entry>) {
        let seen = self.reads.entry(key).or_insert(Seen::Key);
        if matches!(seen, Seen::Key) {
            *seen = Seen::Entry(entry);
        }
    }

    /// Notes a scanned range and what was in it.
    pub(super) fn saw_range(&mut self, range: KeyRange, items: &[Item]) {
        self.ranges.push((range, items.len() as u64));
        self.saw_items(items);
    }

    /// Notes what a scan came across.
    pub(super) fn saw_items(&mut self, items: &[Item]) {
        for item in items {
            match &item.entry {
                Some(entry) => self.saw(item.key.clone(), Some(entry.clone())),
                None => {
                    self.reads.entry(item.key.clone()).or_insert(Seen::Key);
                }
            }
        }
    }

    /// Notes what `key` is to become.
    pub(super) fn wish(&mut self, key: Key, wish: Wish) {
        let wish = match (self.writes.get(&key), wish) {
            // The deadline that is kept is the one that this transaction gave.
            (
                Some(Wish::Put { expiry, .. } | Wish::Touch { expiry }),
                Wish::Put {
                    value,
                    expiry: Expiry::Keep,
                    ..
                },
            ) => Wish::put(value, *expiry),
            (
                Some(Wish::Delete),
                Wish::Put {
                    value,
                    expiry: Expiry::Keep,
                    ..
                },
            ) => Wish::put(value, Expiry::Never),
            (Some(Wish::Put { .. } | Wish::Touch { .. }), Wish::Touch { expiry: Expiry::Keep }) => return,
            (Some(Wish::Put { value, .. }), Wish::Touch { expiry }) => Wish::put(value.clone(), expiry),
            // What is gone has no deadline.
            (Some(Wish::Delete), Wish::Touch { .. }) => return,
            (_, wish) => wish,
        };
        self.writes.insert(key, wish);
    }

    /// The puts and deletes in `range`, in key order.
    pub(super) fn wishes_in(&self, range: &KeyRange) -> Vec<(Key, Option<Entry>)> {
        let inside = self.writes.iter().filter(|(key, _)| range.contains(key));
        inside
            .filter_map(|(key, wish)| match wish {
                Wish::Put { entry, .. } => Some((key.clone(), Some(entry.clone()))),
                Wish::Delete => Some((key.clone(), None)),
                Wish::Touch { .. } => None,
            })
            .collect()
    }

    pub(super) fn wants_nothing(&self) -> bool {
        self.writes.is_empty()
    }

    pub(super) fn saw_nothing(&self) -> bool {
        self.reads.is_empty() && self.ranges.is_empty()
    }

    /// Whether all that was read lies in one partition.
    pub(super) fn read_one_partition(&self) -> bool {
        let of_keys = self.reads.keys().map(Key::partition_bytes);
        let of_ranges = self
            .ranges
            .iter()
            .filter_map(|(range, _)| range.single_partition())
            .map(Partition::as_bytes);
        let mut partitions = of_keys.chain(of_ranges);
        let first = partitions.next();
        partitions.all(|partition| Some(partition) == first)
    }

    pub(super) fn read_keys(&self) -> impl Iterator<Item = &Key> {
        self.reads.keys()
    }

    pub(super) fn written_keys(&self) -> impl Iterator<Item = &Key> {
        self.writes.keys()
    }

    /// What was seen, as preconditions.
    pub(super) fn checks(&self) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for (key, seen) in &self.reads {
            let expect = match seen {
                Seen::Entry(Some(entry)) => Expect::At(entry.revision()),
                Seen::Entry(None) => Expect::Absent,
                Seen::Key => Expect::Present,
            };
            batch = batch.expect(key.clone(), expect);
        }
        for (range, entries) in &self.ranges {
            batch = batch.expect_count(range.clone(), *entries);
        }
        batch
    }

    /// The one batch that the transaction is.
    pub(super) fn batch(&self) -> WriteBatch {
        let mut batch = self.checks();
        for (key, wish) in &self.writes {
            let key = key.clone();
            batch = match wish {
                Wish::Put { value, expiry, .. } => batch.put_with(key, value.clone(), *expiry),
                Wish::Delete => batch.delete(key),
                Wish::Touch { expiry } => batch.touch(key, *expiry),
            };
        }
        batch
    }
}
