//! What the engine and its views share.

use std::collections::BTreeMap;
use std::ops::Bound;

use parking_lot::{Mutex, RwLock};
use sled::{Db, IVec};
use stead_core::{Direction, Error, Result};

use crate::layers::{Layers, Replaced};
use crate::record::{self, Body, OWN_KEY};
use crate::scan::Scan;
use crate::seal::{self, HOST, Seal};
use crate::{compress, error};

/// How many records a check reads before it lets commits go on.
const VERIFY_RECORDS: usize = 256;

/// Locks in this order: the state, then the views.
pub(crate) struct Shared {
    state: RwLock<State>,
    /// How many views are alive of each commit.
    views: Mutex<BTreeMap<u64, usize>>,
}

/// What one commit changes in one instant. Held for writing only while memory is written, never while the disk is.
struct State {
    /// `None` once the engine is closed.
    db: Option<Db>,
    /// The newest commit.
    commit: u64,
    layers: Layers,
    /// A commit failed, and nobody knows how much of it the tree holds.
    broken: bool,
}

impl State {
    fn db(&self) -> Result<&Db> {
        self.db.as_ref().ok_or_else(Error::closed)
    }
}

impl Shared {
    pub(crate) fn new(db: Db) -> Self {
        Shared {
            state: RwLock::new(State {
                db: Some(db),
                commit: 0,
                layers: Layers::default(),
                broken: false,
            }),
            views: Mutex::default(),
        }
    }

    /// Says which commit the tree is of.
    pub(crate) fn begin(&self, commit: u64) {
        self.state.write().commit = commit;
    }

    /// Ends all reading. Views live on without anything to read.
    pub(crate) fn end(&self) -> Option<Db> {
        let mut state = self.state.write();
        let layers = std::mem::take(&mut state.layers);
        let db = state.db.take();
        drop(state);
        drop(layers);
        db
    }

    /// The tree.
    ///
    /// # Errors
    ///
    /// `Closed`.
    pub(crate) fn tree(&self) -> Result<sled::Tree> {
        self.state.read().db().map(|db| sled::Tree::clone(db))
    }

    /// Begins a view of the newest commit, and gives its number.
    ///
    /// # Errors
    ///
    /// `Closed`, or `Unavailable` after a commit that failed.
    pub(crate) fn begin_view(&self) -> Result<u64> {
        let state = self.state.read();
        state.db()?;
        if state.broken {
            return Err(Error::unavailable("a commit failed; open the store anew"));
        }
        *self.views.lock().entry(state.commit).or_insert(0) += 1;
        Ok(state.commit)
    }

    /// Ends a view of `commit`. The last one of its commit takes along what only it needed.
    pub(crate) fn end_view(&self, commit: u64) {
        {
            let mut views = self.views.lock();
            match views.get_mut(&commit) {
                Some(count) if *count > 1 => {
                    *count -= 1;
                    return;
                }
                _ => views.remove(&commit),
            };
        }
        let mut state = self.state.write();
        let views = self.views.lock();
        if views.contains_key(&commit) {
            return;
        }
        let oldest = views.keys().next().copied();
        let released = state.layers.release(commit, oldest);
        drop(views);
        drop(state);
        drop(released);
    }

    /// Makes a commit seen: all of `batch`, in one instant. `replaced` is what views of earlier commits still see.
    ///
    /// # Errors
    ///
    /// As sled has them; the outcome is open.
    pub(crate) fn apply(
        &self,
        tree: &sled::Tree,
        commit: u64,
        batch: sled::Batch,
        replaced: Replaced,
    ) -> Result<()> {
        let mut state = self.state.write();
        let before = state.commit;
        {
            let views = self.views.lock();
            if !views.is_empty() {
                let is_seen = views.contains_key(&before);
                state.layers.push(commit, replaced, is_seen);
            }
        }
        state.commit = commit;
        state.broken = true;
        tree.apply_batch(batch).map_err(error::commit)?;
        state.broken = false;
        Ok(())
    }

    /// The record under `key` as a view of `commit` sees it.
    ///
    /// # Errors
    ///
    /// A failure to read.
    pub(crate) fn get(&self, commit: u64, key: &[u8]) -> Result<Option<IVec>> {
        let state = self.state.read();
        let db = state.db()?;
        if !state.layers.is_current(commit)
            && let Some(replaced) = state.layers.find(commit, key)
        {
            return Ok(replaced.clone());
        }
        error::guarded(|| db.get(key).map_err(error::storage))
    }

    /// Looks at the tree and at what was replaced in it, while no commit goes on.
    ///
    /// # Errors
    ///
    /// `Closed`, and those of `look`.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Db, &Layers) -> Result<T>) -> Result<T> {
        let state = self.state.read();
        look(state.db()?, &state.layers)
    }

    /// The value of a record under `key` as a view of `commit` sees it.
    ///
    /// # Errors
    ///
    /// A failure to read, `Corrupt` for a record that is none.
    pub(crate) fn value(
        &self,
        commit: u64,
        key: &[u8],
        record: &[u8],
        read: &mut dyn FnMut(&[u8]),
    ) -> Result<()> {
        let decoded = record::decode(record)?;
        let joined;
        let body = match decoded.body {
            Body::Here(body) => body,
            Body::Parts(length) => {
                let mut bytes = Vec::new();
                for number in 0..decoded.body.parts() {
                    let part = self.get(commit, &record::part_key(key, number))?;
                    bytes.extend_from_slice(&part.ok_or_else(record::damaged)?);
                }
                if bytes.len() != length {
                    return Err(record::damaged());
                }
                joined = bytes;
                &joined
            }
        };
        if decoded.is_compressed {
            read(&compress::decompress(body)?);
        } else {
            read(body);
        }
        Ok(())
    }

    /// The newest seal that a view of `commit` sees.
    ///
    /// # Errors
    ///
    /// A failure to read, `Corrupt` for a record that is none.
    pub(crate) fn seal(&self, commit: u64) -> Result<Option<Seal>> {
        let host = self.get(commit, &record::key_of(HOST.0, HOST.1))?;
        let own = self.get(commit, OWN_KEY)?;
        seal::newest(host.as_deref(), own.as_deref())
    }

    /// Reads every record as a view of `commit` sees them, and compares them with the seal. Costs O(store).
    ///
    /// # Errors
    ///
    /// `Corrupt` if they do not fit it.
    pub(crate) fn verify(&self, commit: u64) -> Result<()> {
        let mut found = Seal::default();
        let mut scan = Scan::new(commit, (Bound::Unbounded, Bound::Unbounded), Direction::Forward);
        let mut pairs = Vec::new();
        let mut more = true;
        while more {
            more = scan.read(self, VERIFY_RECORDS, &mut pairs)?;
            for (key, record) in pairs.drain(..) {
                if !record::is_own(&key) {
                    found.add(&key, &record);
                }
            }
        }
        let seal = self.seal(commit)?.ok_or_else(record::damaged)?;
        seal.compare(&found)
    }
}
