//! What an engine must give: an ordered byte map with a few fixed keyspaces.

use std::fmt;
use std::ops::ControlFlow;

use stead_core::{Direction, Error, Result, Strength};

use crate::{DirectoryLock, WriteSet};

/// The byte maps of a store, each ordered on its own: one tree, table or column family of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keyspace {
    /// Entries by encoded key.
    Data,
    /// Entries with a deadline, ordered by it.
    Expiry,
    /// Change sets by revision.
    Changes,
    /// The store's header, counters and request ids.
    Meta,
    /// Reserved for older values; empty so far.
    History,
}

impl Keyspace {
    /// All of them.
    pub const ALL: [Keyspace; 5] = [
        Keyspace::Data,
        Keyspace::Expiry,
        Keyspace::Changes,
        Keyspace::Meta,
        Keyspace::History,
    ];

    /// The name on disk.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Keyspace::Data => "data",
            Keyspace::Expiry => "expiry",
            Keyspace::Changes => "changes",
            Keyspace::Meta => "meta",
            Keyspace::History => "history",
        }
    }

    /// The position in [`Keyspace::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Keyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An ordered byte map that commits atomically and gives consistent read views.
///
/// [`Embedded`](crate::Embedded) makes a store of it. It calls [`commit`](Engine::commit) from one thread at a time and
/// judges every batch before it does, so an engine needs no conflict handling of its own.
pub trait Engine: Send + Sync + 'static {
    /// A consistent read view.
    type View: View;

    /// The kind of store, as in its URL.
    fn name(&self) -> &'static str;

    /// What survives of a commit without and with `sync`, in this order.
    fn strengths(&self) -> (Strength, Strength);

    /// A view of everything that was committed so far. It stays what it is while later commits go on, and does not stop
    /// them.
    ///
    /// # Errors
    ///
    /// A failure to read; the store is then poisoned.
    fn view(&self) -> Result<Self::View>;

    /// Applies all of `writes` or none. With `sync`, this commit and all before it are as safe as the second of
    /// [`strengths`](Engine::strengths) when it returns; without, views see it and it may be lost as the first says,
    /// but never a part of it nor it without its predecessors.
    ///
    /// # Errors
    ///
    /// `Full` only where it is certain that nothing was written. Any other kind leaves the outcome open. Whatever the
    /// kind, the store is poisoned: no write follows on this engine.
    fn commit(&self, writes: &WriteSet, sync: bool) -> Result<()>;

    /// Bytes on disk, where there is a disk.
    ///
    /// # Errors
    ///
    /// A failure to ask.
    fn disk_bytes(&self) -> Result<Option<u64>>;

    /// The engine's own check of its files, beyond what reading every record shows.
    ///
    /// # Errors
    ///
    /// `Corrupt` for what does not fit.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The lock of the store's directory once more, so that nobody else gets in when the engine is closed.
    ///
    /// # Errors
    ///
    /// `Unsupported` by an engine that has no directory, which is so unless said otherwise, and as
    /// [`DirectoryLock::hold`].
    fn hold(&self) -> Result<DirectoryLock> {
        Err(Error::unsupported("the store lies in no directory of its own"))
    }

    /// Releases files and locks, so that the same path can be opened at once. All views of the store have been dropped
    /// by then, unless a read takes longer than [`Embedded`](crate::Embedded) waits for; such a read gets what the engine
    /// still has of the view in memory, or else a `Closed` error.
    ///
    /// # Errors
    ///
    /// What went wrong; the files are released all the same.
    fn close(self) -> Result<()>;
}

/// What a [`View::scan`] hands keys and values to; it breaks when it has seen enough.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// A consistent read view of an [`Engine`].
pub trait View: Send + Sync + 'static {
    /// Hands the value under `key` to `read`, without a copy where the engine can. Returns whether there is one.
    ///
    /// # Errors
    ///
    /// A failure to read; never `false` for it.
    fn get(&self, space: Keyspace, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Hands the pairs from `start` (included) to `end` (excluded) to `visit` in byte order or against it, until it
    /// breaks. A start at or beyond the end gives nothing. Costs O(log n + visited).
    ///
    /// # Errors
    ///
    /// A failure to read.
    fn scan(
        &self,
        space: Keyspace,
        start: &[u8],
        end: Option<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()>;

    /// As [`scan`](View::scan), for a `visit` that breaks after `about` pairs or a few more: an engine that reads ahead
    /// of what it hands out need not read further than that at first.
    ///
    /// # Errors
    ///
    /// A failure to read.
    fn scan_about(
        &self,
        space: Keyspace,
        start: &[u8],
        end: Option<&[u8]>,
        direction: Direction,
        about: usize,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let _ = about;
        self.scan(space, start, end, direction, visit)
    }
}
