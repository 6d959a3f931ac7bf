//! A second store beside a live one, which takes its place.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use stead_core::{Backend as _, Direction, Error, ErrorKind, Reply, Result, StoreUrl};

use crate::cursor::Origin as _;
use crate::format::{HEADER_KEY, ORDER_PREFIX, REQUEST_PREFIX};
use crate::url::off_thread;
use crate::view::Held;
use crate::{
    DirectoryLock, Embedded, EmbeddedOptions, Engine, EngineConfig, Keyspace, Previous, View, WriteSet,
    open_store, parse_url,
};

/// A live store and, once it was [made](Staging::stage), a second one beside it, of the same engine and with the same
/// options, that can be put in its place.
///
/// - The live store is open here and nowhere else from the beginning to the end: its lock is let go only when the switch
///   is on disk. So no write of anybody's is lost, and nobody goes on writing to what was replaced.
/// - The staged store goes on where the live one is: the same lineage, higher revisions, and what is remembered of request
///   ids. It has no entry and no change in its log.
/// - Until the switch, everything is as it was. A kill at any instant leaves the old or the new data, whole, under the name
///   of the store.
/// - Dropping this closes both stores and removes the staged one, on the thread that drops it.
///
/// ```
/// use futures_executor::block_on;
/// use stead_core::{BackendExt, Key, Partition, Read};
/// # use stead_embedded::{EngineConfig, Previous, Staging};
///
/// # fn restore<C: EngineConfig>(url: &str) -> stead_core::Result<()> {
/// let mut staging = block_on(Staging::<C>::open(url.parse()?))?;
/// let staged = block_on(staging.stage(Previous::Remove))?;
/// let key = Key::new(&Partition::new("agent:1")?, "plan")?;
/// block_on(staged.put(key, "what shall be there"))?;
/// block_on(staging.switch())?;
/// # Ok(())
/// # }
/// ```
pub struct Staging<C: EngineConfig> {
    config: C,
    options: EmbeddedOptions,
    staged: Option<Staged<C>>,
    live: Arc<Embedded<C::Engine>>,
}

/// In the order in which they are let go.
struct Staged<C: EngineConfig> {
    store: Arc<Embedded<C::Engine>>,
    stage: Stage<C>,
    /// Of the live store.
    lock: DirectoryLock,
}

/// The staged store's files, which go with this.
struct Stage<C: EngineConfig> {
    /// Of the live store.
    config: C,
    previous: Previous,
    switched: bool,
}

impl<C: EngineConfig> Drop for Stage<C> {
    fn drop(&mut self) {
        if !self.switched {
            self.config.directory().clear_stage();
        }
    }
}

impl<C: EngineConfig> Staging<C> {
    /// Opens the live store at `url`, or makes it, on a thread of its own.
    ///
    /// # Errors
    ///
    /// As [`open_url`](crate::open_url).
    ///
    /// # Cancellation
    ///
    /// As [`open_url`](crate::open_url).
    pub fn open(url: StoreUrl) -> Reply<'static, Self> {
        let (config, options) = match parse_url::<C>(url) {
            Ok(parsed) => parsed,
            Err(error) => return Reply::fail(error.during("open")),
        };
        off_thread(move || {
            let live = open_store(&config, options.clone())?;
            Ok(Staging {
                config,
                options,
                staged: None,
                live,
            })
        })
    }

    /// The live store.
    #[must_use]
    pub fn live(&self) -> &Arc<Embedded<C::Engine>> {
        &self.live
    }

    /// That a second store can be made, as far as that is known before: nothing is made yet.
    ///
    /// # Errors
    ///
    /// - `Invalid`: what is replaced shall be kept, and there is something that was kept before;
    /// - `Unavailable`: somebody has a store open in the folder in which it would be made.
    pub fn check(&self, previous: Previous) -> Result<()> {
        let checked = self.config.directory().check_stage(previous);
        checked.map_err(|error| error.with("path", self.config.path().display()).during("stage"))
    }

    /// Makes the second store, on a thread of its own. What an earlier restore left there is removed first.
    ///
    /// # Errors
    ///
    /// - `Unsupported`: the live store is open for reading only, or the file system has no locks, or cannot exchange files;
    /// - `Invalid`: what is replaced shall be kept, and there is something that was kept before;
    /// - `Full`, `Unavailable`: there is no room, or the operating system refuses;
    /// - `Internal`: it was made before.
    ///
    /// # Cancellation
    ///
    /// Dropping the reply removes what was made.
    pub async fn stage(&mut self, previous: Previous) -> Result<Arc<Embedded<C::Engine>>> {
        let made = self.stage_inner(previous).await;
        made.map_err(|error| error.with("path", self.config.path().display()).during("stage"))
    }

    async fn stage_inner(&mut self, previous: Previous) -> Result<Arc<Embedded<C::Engine>>> {
        if self.staged.is_some() {
            return Err(Error::internal("there is a staged store already"));
        }
        if !self.live.capabilities().writable {
            return Err(Error::unsupported("the store is open for reading only"));
        }
        let lock = hold(&self.live)?;
        let held = self.live.held()?;
        let (config, options) = (self.config.clone(), self.options.clone());
        let staged = off_thread(move || {
            let stage = Stage {
                previous,
                switched: false,
                config,
            };
            stage.config.directory().make_stage(previous)?;
            let config = stage.config.clone().at(&stage.config.directory().staged_path());
            let engine = config.open_engine()?;
            go_on(&engine, &held)?;
            let store = Embedded::open(engine, config.options(options))?;
            Ok(Staged { store, stage, lock })
        });
        let staged = self.staged.insert(staged.await?);
        Ok(Arc::clone(&staged.store))
    }

    /// Closes both stores and puts the second in the place of the first. Returns where the replaced data are, if they still
    /// are: [kept](Previous::Keep), or not removed because the operating system refused.
    ///
    /// # Errors
    ///
    /// - `Internal`: there is no second store;
    /// - `UnknownOutcome`: the switch was made, and the disk failed before it was sure to last;
    /// - what a store says of its close, and what the file system refuses. The live store is as it was, then.
    ///
    /// # Cancellation
    ///
    /// Dropping the reply before the stores are closed removes the staged one; afterwards the switch is carried out.
    pub async fn switch(mut self) -> Result<Option<PathBuf>> {
        let path = self.config.path().to_owned();
        let switched = self.switch_inner().await;
        switched.map_err(|error| error.with("path", path.display()).during("switch"))
    }

    async fn switch_inner(&mut self) -> Result<Option<PathBuf>> {
        let none = || Error::internal("there is no staged store to switch to");
        let staged = self.staged.as_ref().ok_or_else(none)?;
        // Whoever opens the staged store by its path in between is kept out by this one.
        let staged_lock = hold(&staged.store)?;
        staged.store.close().await?;
        self.live.close().await?;
        let Staged { mut stage, lock, .. } = self.staged.take().ok_or_else(none)?;
        off_thread(move || {
            // Let go when all is done.
            let _locks = (lock, staged_lock);
            let switched = stage.config.directory().switch(C::RECORDS, stage.previous);
            stage.switched = match &switched {
                Ok(_) => true,
                Err(error) => error.kind() == ErrorKind::UnknownOutcome,
            };
            drop(stage);
            switched
        })
        .await
    }
}

/// The lock of an open store once more.
fn hold<E: Engine>(store: &Embedded<E>) -> Result<DirectoryLock> {
    store
        .shared()
        .engine
        .read()
        .as_ref()
        .ok_or_else(Error::closed)?
        .hold()
}

/// Begins the empty store in `engine` where the one that `held` shows is: the same lineage, no lower revision, and the
/// requests that are remembered.
fn go_on<E: Engine>(engine: &E, held: &Held<impl View>) -> Result<()> {
    let mut header = held.header;
    header.revision = header.ceiling;
    header.floor = header.ceiling;
    (header.change_sets, header.entries, header.bytes) = (0, 0, 0);
    let mut writes = WriteSet::new();
    for prefix in [ORDER_PREFIX, REQUEST_PREFIX] {
        let end = [prefix + 1];
        held.view.scan(
            Keyspace::Meta,
            &[prefix],
            Some(&end),
            Direction::Forward,
            &mut |key, value| {
                writes.put(Keyspace::Meta, key.to_vec(), value.to_vec());
                ControlFlow::Continue(())
            },
        )?;
    }
    writes.put(Keyspace::Meta, HEADER_KEY.to_vec(), header.encode());
    engine.commit(&writes, true)
}
