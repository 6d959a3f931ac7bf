//! The engines that are compiled in, each opened so that little work meets many of its parts: small caches, a short
//! change log, quick sweeps.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use stead_core::{Backend, ManualClock};
use stead_embedded::EmbeddedOptions;

/// So many change sets a store keeps.
pub(crate) const RETENTION: u64 = 128;

/// What an engine's caches are held to, as far as it lets itself be held, in bytes.
const CACHE_BYTES: u64 = 4 << 20;

/// An engine by its name.
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    open: fn(&Path, EmbeddedOptions) -> stead_core::Result<Arc<dyn Backend>>,
    /// What the names of the files hold that an acknowledgement relies on: where one of them could not be written or
    /// synced, none may follow. What fails in others, which are written again or only help, may be made good.
    relied_on: &'static [&'static str],
}

/// The engines that are compiled in.
pub(crate) const ENGINES: &[Engine] = &[
    #[cfg(feature = "redb")]
    Engine {
        name: "redb",
        relied_on: &["state.redb"],
        open: |dir, options| {
            let cache = usize::try_from(CACHE_BYTES).unwrap_or(usize::MAX);
            let config = stead_redb::RedbConfig::new(dir).with_cache_bytes(cache);
            Ok(stead_redb::open(&config, options)?)
        },
    },
    #[cfg(feature = "sled")]
    Engine {
        name: "sled",
        relied_on: &["state.sled/"],
        open: |dir, options| {
            let config = stead_sled::SledConfig::new(dir).with_cache_capacity(CACHE_BYTES);
            Ok(stead_sled::open(&config, options)?)
        },
    },
    #[cfg(feature = "rocksdb")]
    Engine {
        name: "rocksdb",
        relied_on: &[".log"],
        open: |dir, options| {
            let cache = usize::try_from(CACHE_BYTES).unwrap_or(usize::MAX);
            let config = stead_rocksdb::RocksDbConfig::new(dir)
                .with_cache_capacity(cache)
                .with_write_buffer_size(64 << 10);
            Ok(stead_rocksdb::open(&config, options)?)
        },
    },
    #[cfg(feature = "fjall")]
    Engine {
        name: "fjall",
        relied_on: &[".jnl"],
        open: |dir, options| {
            let config = stead_fjall::FjallConfig::new(dir)
                .with_cache_bytes(CACHE_BYTES)
                .with_write_buffer_bytes(1 << 20)
                .with_journal_bytes(64 << 20);
            Ok(stead_fjall::open(&config, options)?)
        },
    },
];

/// The engine with this name.
///
/// # Errors
///
/// It is not compiled in.
pub(crate) fn engine(name: &str) -> Result<&'static Engine> {
    ENGINES.iter().find(|engine| engine.name == name).ok_or_else(|| {
        let names: Vec<&str> = ENGINES.iter().map(|engine| engine.name).collect();
        anyhow!(
            "there is no engine {name} here; compiled in: {}",
            names.join(", ")
        )
    })
}

impl Engine {
    /// Whether an acknowledgement relies on the file of this name.
    pub(crate) fn relies_on(&self, file: &str) -> bool {
        self.relied_on.iter().any(|part| file.contains(part))
    }

    /// Opens the store in `dir`, or makes one.
    pub(crate) fn open(&self, dir: &Path, clock: &Arc<ManualClock>) -> stead_core::Result<Arc<dyn Backend>> {
        (self.open)(dir, options(clock))
    }

    /// Opens the store in `dir` with other settings, or makes one.
    pub(crate) fn open_with(
        &self,
        dir: &Path,
        options: EmbeddedOptions,
    ) -> stead_core::Result<Arc<dyn Backend>> {
        (self.open)(dir, options)
    }
}

/// What every store of the laboratory is opened with. The reserve of revisions is short, so that it runs out.
pub(crate) fn options(clock: &Arc<ManualClock>) -> EmbeddedOptions {
    EmbeddedOptions::default()
        .with_clock(Arc::clone(clock) as Arc<dyn stead_core::Clock>)
        .with_change_retention(RETENTION)
        .with_sweep_interval(Duration::from_millis(2))
        .with_flush_interval(Duration::from_millis(20))
        .with_revision_reserve(200)
}
