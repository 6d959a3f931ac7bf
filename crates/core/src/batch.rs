//! The only way to write.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{Durability, Error, Key, KeyRange, RequestId, Result, Revision, Timestamp, Ttl};

/// What must hold of one key for a batch to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expect {
    /// No visible entry.
    Absent,
    /// A visible entry, whichever.
    Present,
    /// A visible entry of exactly this revision. One that was deleted and written again has another.
    At(Revision),
}

/// A condition that is judged in the same instant in which the batch commits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Precondition {
    /// Of one key.
    Key {
        /// The key.
        key: Key,
        /// What must hold of it.
        expect: Expect,
    },
    /// The range holds exactly this many visible entries. Together with [`Expect::At`] on each of them it says that a
    /// scan would see just what it saw.
    Count {
        /// The range.
        range: KeyRange,
        /// How many entries.
        entries: u64,
    },
}

/// What becomes of an entry's deadline when it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Expiry {
    /// It lives until it is deleted; an older deadline is removed.
    #[default]
    Never,
    /// It keeps the deadline that it has; a new entry has none.
    Keep,
    /// It lives this long, counted by the store's clock from the instant of the commit.
    After(Ttl),
    /// It lives until then. A point in the past is allowed and gives an entry that nobody sees.
    At(Timestamp),
}

impl Expiry {
    /// The deadline that an entry written at `now` gets, given the one that it has.
    ///
    /// # Errors
    ///
    /// `Invalid` when the deadline would lie beyond the end of time.
    pub fn resolve(self, now: Timestamp, current: Option<Timestamp>) -> Result<Option<Timestamp>> {
        match self {
            Expiry::Never => Ok(None),
            Expiry::Keep => Ok(current),
            Expiry::At(Timestamp::MAX) => Err(Error::invalid(
                "deadline is the end of time; ask for no deadline instead",
            )),
            Expiry::At(deadline) => Ok(Some(deadline)),
            Expiry::After(ttl) => now.checked_add(ttl).map(Some).ok_or_else(|| {
                Error::invalid("ttl reaches beyond the end of time").with("ttl_ms", ttl.as_millis())
            }),
        }
    }
}

/// One change that a batch makes. Mutations of the same key apply in the order of the batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Mutation {
    /// Writes a value.
    Put {
        /// The key.
        key: Key,
        /// The value's bytes.
        value: Bytes,
        /// What becomes of the deadline.
        expiry: Expiry,
    },
    /// Removes the entry; does nothing where there is none.
    Delete {
        /// The key.
        key: Key,
    },
    /// Gives the entry a new revision and deadline but leaves its value; does nothing where there is none.
    Touch {
        /// The key.
        key: Key,
        /// What becomes of the deadline.
        expiry: Expiry,
    },
}

impl Mutation {
    /// The key that it changes.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Mutation::Put { key, .. } | Mutation::Delete { key } | Mutation::Touch { key, .. } => key,
        }
    }
}

/// Preconditions and mutations that commit together at one revision, or not at all.
///
/// A batch without mutations only checks: it commits at the current revision and changes nothing.
///
/// ```
/// use stead_core::{Durability, Expect, Expiry, Key, Partition, WriteBatch};
///
/// let jobs = Partition::new("jobs")?;
/// let batch = WriteBatch::new()
///     .expect(Key::new(&jobs, "7/owner")?, Expect::Absent)
///     .put(Key::new(&jobs, "7/owner")?, "worker-3")
///     .delete(Key::new(&jobs, "7/waiting")?)
///     .durability(Durability::Durable);
/// assert_eq!(batch.mutations().len(), 2);
/// # Ok::<(), stead_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct WriteBatch(
    /// One pointer: a batch is handed on several times before it is committed, and a move of what was just written
    /// costs more than the allocation.
    Box<Body>,
);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Body {
    preconditions: Vec<Precondition>,
    mutations: SmallVec<[Mutation; 1]>,
    durability: Option<Durability>,
    request_id: Option<RequestId>,
    raise_to: Option<Revision>,
    following: u64,
}

impl WriteBatch {
    /// An empty batch.
    #[must_use]
    #[inline]
    pub fn new() -> Self {
        Self::default()
    }

    /// A batch of these mutations, which stay where they are.
    ///
    /// ```
    /// use stead_core::{Key, Mutation, Partition, WriteBatch};
    ///
    /// let key = Key::new(&Partition::new("agent:1")?, "note/7")?;
    /// let mutations = vec![Mutation::Delete { key: key.clone() }];
    /// assert_eq!(WriteBatch::of(mutations), WriteBatch::new().delete(key));
    /// # Ok::<(), stead_core::Error>(())
    /// ```
    #[must_use]
    pub fn of(mutations: Vec<Mutation>) -> Self {
        WriteBatch(Box::new(Body {
            mutations: SmallVec::from_vec(mutations),
            ..Body::default()
        }))
    }

    /// A batch with one write, of no bytes under a copy of `key`: to be completed by way of
    /// [`mutations_mut`](WriteBatch::mutations_mut) for those who write often. What is completed where it stays is not
    /// moved, and a move of what was just written has to be waited for.
    ///
    /// ```
    /// use stead_core::{Key, Mutation, Partition, WriteBatch};
    ///
    /// let key = Key::new(&Partition::new("agent:1")?, "note/")?;
    /// let mut batch = WriteBatch::of_put(&key);
    /// if let [Mutation::Put { key, value, .. }] = batch.mutations_mut() {
    ///     key.push("7")?;
    ///     *value = "tidy the attic".into();
    /// }
    /// assert_eq!(batch.mutations()[0].key().as_bytes(), b"agent:1\0note/7");
    /// # Ok::<(), stead_core::Error>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn of_put(key: &Key) -> Self {
        const BLANK: Mutation = Mutation::Put {
            key: Key::BLANK,
            value: Bytes::new(),
            expiry: Expiry::Never,
        };
        let mut batch = WriteBatch::new().mutation(BLANK);
        if let [Mutation::Put { key: blank, .. }] = batch.mutations_mut() {
            *blank = key.clone();
        }
        batch
    }

    /// Adds a precondition on one key.
    #[must_use]
    #[inline]
    pub fn expect(self, key: Key, expect: Expect) -> Self {
        self.precondition(Precondition::Key { key, expect })
    }

    /// Adds a precondition on the number of visible entries in a range.
    #[must_use]
    #[inline]
    pub fn expect_count(self, range: KeyRange, entries: u64) -> Self {
        self.precondition(Precondition::Count { range, entries })
    }

    /// Adds a precondition.
    #[must_use]
    #[inline]
    pub fn precondition(mut self, precondition: Precondition) -> Self {
        self.0.preconditions.push(precondition);
        self
    }

    /// Adds a write of `value` without a deadline.
    #[must_use]
    #[inline]
    pub fn put(self, key: Key, value: impl Into<Bytes>) -> Self {
        self.put_with(key, value, Expiry::Never)
    }

    /// Adds a write of `value`.
    #[must_use]
    #[inline]
    pub fn put_with(self, key: Key, value: impl Into<Bytes>, expiry: Expiry) -> Self {
        self.mutation(Mutation::Put {
            key,
            value: value.into(),
            expiry,
        })
    }

    /// Adds a removal.
    #[must_use]
    #[inline]
    pub fn delete(self, key: Key) -> Self {
        self.mutation(Mutation::Delete { key })
    }

    /// Adds a change of the deadline.
    #[must_use]
    #[inline]
    pub fn touch(self, key: Key, expiry: Expiry) -> Self {
        self.mutation(Mutation::Touch { key, expiry })
    }

    /// Adds a mutation.
    #[must_use]
    #[inline]
    pub fn mutation(mut self, mutation: Mutation) -> Self {
        self.0.mutations.push(mutation);
        self
    }

    /// Asks for a durability other than the store's default.
    #[must_use]
    #[inline]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.0.durability = Some(durability);
        self
    }

    /// Makes a retry of this batch safe.
    #[must_use]
    #[inline]
    pub fn request_id(mut self, id: RequestId) -> Self {
        self.0.request_id = Some(id);
        self
    }

    /// Has the batch commit behind `revision`, which another store has handed out: for data that moves from one store to
    /// another, or back out of a backup, so that revisions go on increasing for those who know the old ones.
    ///
    /// Where `revision` lies ahead of the store (of the partition, where revisions are ordered within one), the commit
    /// takes a revision above it and the log of changes begins anew right there: a watch from before is told
    /// [`Compacted`](crate::WatchEvent::Compacted) or [`Lagged`](crate::WatchEvent::Lagged), because the changes in between
    /// were never in this log. Else it changes nothing, and in a batch that is rejected or has no mutations it never does.
    ///
    /// At most [`Revision::HIGHEST_RAISE`]; what lies above is refused as `Invalid`.
    #[must_use]
    #[inline]
    pub fn raise_to(mut self, revision: Revision) -> Self {
        self.0.raise_to = Some(revision);
        self
    }

    /// Says that about `entries` new entries will follow in later batches: for loads and restores, of which it is known.
    ///
    /// It changes nothing but time: a store that keeps tables in memory may make room for all of them at once. It may be
    /// wrong, and a store may take it for less.
    #[must_use]
    #[inline]
    pub fn to_follow(mut self, entries: u64) -> Self {
        self.0.following = entries;
        self
    }

    /// The preconditions in order.
    #[must_use]
    #[inline]
    pub fn preconditions(&self) -> &[Precondition] {
        &self.0.preconditions
    }

    /// The mutations in order.
    #[must_use]
    #[inline]
    pub fn mutations(&self) -> &[Mutation] {
        &self.0.mutations
    }

    /// The mutations in order, to change in place: for layers that rewrite values.
    #[inline]
    pub fn mutations_mut(&mut self) -> &mut [Mutation] {
        &mut self.0.mutations
    }

    /// The durability that was asked for, if any.
    #[must_use]
    #[inline]
    pub fn wanted_durability(&self) -> Option<Durability> {
        self.0.durability
    }

    /// The request id, if any.
    #[must_use]
    #[inline]
    pub fn id(&self) -> Option<&RequestId> {
        self.0.request_id.as_ref()
    }

    /// The revision that the batch is to commit behind, if any.
    #[must_use]
    #[inline]
    pub fn raised_to(&self) -> Option<Revision> {
        self.0.raise_to
    }

    /// How many new entries are said to follow; 0 where nothing was said.
    #[must_use]
    #[inline]
    pub fn following(&self) -> u64 {
        self.0.following
    }

    /// Whether the batch neither checks nor changes anything.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.preconditions.is_empty() && self.0.mutations.is_empty()
    }
}
