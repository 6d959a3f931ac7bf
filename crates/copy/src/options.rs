//! What a copy is told.

use std::fmt;

use crate::{Observer, Progress};

/// What to do with a target that holds something already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Occupied {
    /// Refuse it.
    #[default]
    Refuse,
    /// Overwrite what has the same key, and keep the rest. A key that the source deletes during the copy is deleted.
    Merge,
}

/// How a copy is done.
#[derive(Clone)]
pub struct CopyOptions {
    pub(crate) source: String,
    pub(crate) occupied: Occupied,
    pub(crate) batch_bytes: usize,
    pub(crate) observer: Option<Observer>,
}

impl CopyOptions {
    /// A copy of the store that is called `source`. The name is kept in the target while the copy is unfinished: only a
    /// copy with the same one goes on with it. Name the store, and no password.
    pub fn new(source: impl AsRef<str>) -> Self {
        CopyOptions {
            // One line, and nothing that draws on a terminal.
            source: source.as_ref().escape_debug().to_string(),
            occupied: Occupied::default(),
            batch_bytes: 1 << 20,
            observer: None,
        }
    }

    /// What to do with a target that holds something already: refuse it unless told otherwise.
    #[must_use]
    pub fn with_occupied(mut self, occupied: Occupied) -> Self {
        self.occupied = occupied;
        self
    }

    /// How many bytes of keys and values go into one batch: 1 MiB unless told otherwise, and never more than the
    /// target's limit. A single larger value is a batch of its own.
    #[must_use]
    pub fn with_batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// Has `observer` called with how far the copy is, often and on the thread that copies.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.observer = Some(std::sync::Arc::new(observer));
        self
    }
}

impl fmt::Debug for CopyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyOptions")
            .field("source", &self.source)
            .field("occupied", &self.occupied)
            .field("batch_bytes", &self.batch_bytes)
            .finish_non_exhaustive()
    }
}
