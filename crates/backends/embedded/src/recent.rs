//! What entries that were written lately are made of, so that judging a batch need not read what it replaces.
//!
//! A put counts what it replaces out of the store's numbers and takes its deadline out of the index; a precondition asks
//! for its revision. All of that fits into 40 bytes, and keeping them saves a read of the engine for whatever is written
//! again and again. What is remembered is always what the newest commit made of the entry: it is taken in together with
//! the commit, under the lock of the writer, and forgotten as a whole when a commit fails.

use std::hash::Hasher;
use std::hint::black_box;

use siphasher::sip128::{Hasher128, SipHasher13};
use stead_core::{Revision, Timestamp};

use crate::planted::planted;
use crate::sync::Mutex;

/// What stands under a key, without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    Nothing,
    Entry(Facts),
}

/// An entry without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) revision: Revision,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) value_bytes: u64,
}

impl Facts {
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}

/// Stands for a key: 128 bits of a hash with a secret that is new with every open. Two keys of one mark are a matter of
/// 1 in 2^128 for each pair, whoever chooses the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    place: u64,
    rest: u64,
}

/// A bounded memory of what stands under which key. Whoever holds the lock of the writer may use it: what it says is of
/// the newest commit.
pub(crate) struct Recent {
    hasher: SipHasher13,
    table: Mutex<Table>,
}

impl Mark {
    /// A piece of the mark that has no part in the place, and is not [`FREE`].
    fn tag(self) -> u8 {
        self.rest.to_le_bytes()[0].max(1)
    }
}

impl Recent {
    /// One of at most about `limit_bytes`, none at all if that is too little for anything.
    pub(crate) fn new(limit_bytes: usize, secret: u128) -> Self {
        Recent {
            hasher: SipHasher13::new_with_key(&secret.to_le_bytes()),
            table: Mutex::new(Table {
                limit_sets: limit_bytes / SET_BYTES,
                ..Table::default()
            }),
        }
    }

    pub(crate) fn mark(&self, key: &[u8]) -> Mark {
        let mut hasher = self.hasher;
        hasher.write(key);
        let hash = hasher.finish128();
        Mark {
            place: hash.h1,
            rest: hash.h2,
        }
    }

    /// What stands under the key of `mark`, if that is remembered.
    pub(crate) fn find(&self, mark: Mark) -> Option<Stored> {
        self.table.lock().find(mark)
    }

    /// Reads where these keys are looked for, and does nothing with it: the reads do not wait for each other, as those of
    /// batches that are judged one after the other do, and a large table is in no cache.
    pub(crate) fn look_ahead<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        let table = self.table.lock();
        for key in keys {
            let mark = self.mark(key);
            black_box(table.way(table.place(mark), mark));
        }
    }

    /// Takes in what a commit made of its keys, in the order in which it did.
    pub(crate) fn learn(&self, learnt: impl IntoIterator<Item = (Mark, Stored)>) {
        let mut table = self.table.lock();
        for (mark, stored) in learnt {
            table.put(mark, stored);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.table.lock().clear();
    }
}

/// How many keys share a place. The one of them that was written the longest ago makes room for another.
const WAYS: usize = 8;
/// An empty table begins with at most so many sets.
const FIRST_SETS: usize = 32;

/// The bytes of a set.
const SET_BYTES: usize = size_of::<Head>() + WAYS * size_of::<Slot>();

/// What tells where in a set a key is, so that looking for it touches one slot and not all of them: the slots of a large
/// table are in no cache.
#[derive(Clone, Copy)]
struct Head {
    /// A piece of the mark in each slot, or [`FREE`].
    tags: [u8; WAYS],
    /// The slots, the one that was written last first. Those that are free are behind all others.
    order: [u8; WAYS],
}

/// The tag of a slot that nobody uses.
const FREE: u8 = 0;

impl Head {
    const EMPTY: Head = Head {
        tags: [FREE; WAYS],
        order: [0, 1, 2, 3, 4, 5, 6, 7],
    };

    /// The slots with this tag.
    fn tagged(&self, tag: u8) -> impl Iterator<Item = usize> {
        self.tags
            .into_iter()
            .enumerate()
            .filter_map(move |(way, of_way)| (of_way == tag).then_some(way))
    }

    /// A free slot, else the one that was written the longest ago.
    fn last(&self) -> usize {
        usize::from(self.order[WAYS - 1])
    }

    /// Makes a slot the one that was written last.
    fn renew(&mut self, way: usize, tag: u8) {
        self.tags[way] = tag;
        let at = self.order.iter().position(|&other| usize::from(other) == way);
        self.order[..=at.unwrap_or(WAYS - 1)].rotate_right(1);
    }
}

#[derive(Clone, Copy)]
struct Slot {
    mark: Mark,
    revision: u64,
    /// [`NO_DEADLINE`] stands for none.
    deadline: u64,
    /// [`NOTHING`] for a key with nothing under it.
    value_bytes: u64,
}

/// The end of time is no deadline that an entry can have.
const NO_DEADLINE: u64 = Timestamp::MAX.as_millis();
const NOTHING: u64 = u64::MAX;

impl Slot {
    const EMPTY: Slot = Slot {
        mark: Mark { place: 0, rest: 0 },
        revision: 0,
        deadline: NO_DEADLINE,
        value_bytes: NOTHING,
    };

    fn new(mark: Mark, stored: Stored) -> Self {
        match stored {
            Stored::Nothing => Slot {
                mark,
                value_bytes: NOTHING,
                ..Slot::EMPTY
            },
            Stored::Entry(facts) => Slot {
                mark,
                revision: facts.revision.get(),
                deadline: facts.deadline.map_or(NO_DEADLINE, Timestamp::as_millis),
                value_bytes: facts.value_bytes,
            },
        }
    }

    fn stored(&self) -> Stored {
        if self.value_bytes == NOTHING {
            return Stored::Nothing;
        }
        Stored::Entry(Facts {
            revision: Revision::new(self.revision),
            deadline: (self.deadline != NO_DEADLINE).then(|| Timestamp::from_millis(self.deadline)),
            value_bytes: self.value_bytes,
        })
    }
}

/// Sets of slots. It doubles when a set is full, until it is as large as it may be.
#[derive(Default)]
struct Table {
    heads: Vec<Head>,
    /// Those of each head, one set behind the other.
    slots: Vec<Slot>,
    limit_sets: usize,
}

impl Table {
    fn clear(&mut self) {
        self.heads = Vec::new();
        self.slots = Vec::new();
    }

    /// The set of a mark: the marks are cut into as many ranges as there are sets, so that a set falls into two
    /// neighbours when the table doubles.
    fn place(&self, mark: Mark) -> usize {
        let place = (u128::from(mark.place) * self.heads.len() as u128) >> 64;
        usize::try_from(place).expect("below the number of sets")
    }

    /// Which slot of its set is that of a mark.
    fn way(&self, place: usize, mark: Mark) -> Option<usize> {
        let mut tagged = self.heads.get(place)?.tagged(mark.tag());
        tagged.find(|way| self.slots[place * WAYS + way].mark == mark)
    }

    fn find(&self, mark: Mark) -> Option<Stored> {
        let place = self.place(mark);
        let way = self.way(place, mark)?;
        Some(self.slots[place * WAYS + way].stored())
    }

    fn put(&mut self, mark: Mark, stored: Stored) {
        if self.limit_sets == 0 {
            return;
        }
        if self.heads.is_empty() {
            self.make_room(self.first_sets());
        }
        loop {
            let place = self.place(mark);
            let of_key = self.way(place, mark);
            if of_key.is_some() && planted("recent-unrenewed") {
                return;
            }
            let head = &mut self.heads[place];
            let way = of_key.unwrap_or_else(|| head.last());
            if of_key.is_none() && head.tags[way] != FREE && self.grow() {
                continue;
            }
            self.heads[place].renew(way, mark.tag());
            self.slots[place * WAYS + way] = Slot::new(mark, stored);
            return;
        }
    }

    fn make_room(&mut self, sets: usize) {
        self.heads = vec![Head::EMPTY; sets];
        self.slots = vec![Slot::EMPTY; sets * WAYS];
    }

    /// So many that doubling leads to the limit.
    fn first_sets(&self) -> usize {
        let mut sets = self.limit_sets;
        while sets > FIRST_SETS {
            sets /= 2;
        }
        sets
    }

    /// Doubles the table, as far as it may grow.
    fn grow(&mut self) -> bool {
        let sets = self.heads.len() * 2;
        if sets > self.limit_sets {
            return false;
        }
        let heads = std::mem::take(&mut self.heads);
        let slots = std::mem::take(&mut self.slots);
        self.make_room(sets);
        for (head, slots) in heads.iter().zip(slots.chunks_exact(WAYS)) {
            // The oldest first, so that they keep their order.
            let oldest_first = head.order.iter().rev().map(|&way| usize::from(way));
            for slot in oldest_first
                .filter(|&way| head.tags[way] != FREE)
                .map(|way| slots[way])
            {
                let place = self.place(slot.mark);
                let head = &mut self.heads[place];
                let way = head.last();
                head.renew(way, slot.mark.tag());
                self.slots[place * WAYS + way] = slot;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64) -> Stored {
        Stored::Entry(Facts {
            revision: Revision::new(number),
            deadline: number.is_multiple_of(2).then(|| Timestamp::from_millis(number)),
            value_bytes: number * 3,
        })
    }

    fn learn(recent: &Recent, number: u64, stored: Stored) {
        recent.learn([(recent.mark(&number.to_be_bytes()), stored)]);
    }

    fn find(recent: &Recent, number: u64) -> Option<Stored> {
        recent.find(recent.mark(&number.to_be_bytes()))
    }

    #[test]
    fn what_was_learnt_last_is_found_through_every_doubling() {
        let recent = Recent::new(1 << 20, 7);
        for number in 0..5_000 {
            learn(&recent, number, Stored::Nothing);
            learn(&recent, number, entry(number));
        }
        learn(&recent, 17, Stored::Nothing);
        for number in 0..5_000 {
            let wanted = if number == 17 {
                Stored::Nothing
            } else {
                entry(number)
            };
            assert_eq!(find(&recent, number), Some(wanted), "{number}");
        }
        assert_eq!(find(&recent, 5_000), None);
        recent.clear();
        assert_eq!(find(&recent, 16), None);
    }

    #[test]
    fn full_memory_forgets_the_oldest_and_is_never_wrong() {
        let limit = 64 * SET_BYTES;
        let recent = Recent::new(limit, 7);
        let many = 64 * WAYS as u64 * 4;
        for number in 0..many {
            learn(&recent, number, entry(number));
            assert_eq!(
                find(&recent, number),
                Some(entry(number)),
                "the newest is always there"
            );
        }
        let table = recent.table.lock();
        assert!(size_of_val(&table.heads[..]) + size_of_val(&table.slots[..]) <= limit);
        drop(table);
        let kept: Vec<_> = (0..many)
            .filter(|&number| find(&recent, number).is_some())
            .collect();
        assert!(
            kept.iter()
                .all(|&number| find(&recent, number) == Some(entry(number)))
        );
        assert!(kept.len() <= 64 * WAYS);
        assert!(kept.len() >= 32 * WAYS, "half of the room is used at the least");
        let middle = kept[kept.len() / 2];
        assert!(middle > many / 2, "the newer ones are kept");
    }

    #[test]
    fn memory_of_nothing_remembers_nothing() {
        let recent = Recent::new(SET_BYTES - 1, 7);
        learn(&recent, 1, entry(1));
        assert_eq!(find(&recent, 1), None);
    }

    #[test]
    fn marks_are_of_the_whole_key_and_the_secret() {
        let (one, other) = (Recent::new(0, 7), Recent::new(0, 8));
        assert_eq!(one.mark(b"key"), one.mark(b"key"));
        assert_ne!(one.mark(b"key"), one.mark(b"key\0"));
        assert_ne!(one.mark(b"key"), other.mark(b"key"));
        assert_eq!((size_of::<Slot>(), size_of::<Head>()), (40, 16));
    }
}
