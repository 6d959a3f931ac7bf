//! Each engine bare and under Stead, with the same records and the same durability on both sides.
//!
//! An engine is one row of [`ENGINES`]: how to open it bare, and how under Stead. What is measured is the same for all.

mod bare;
mod by_hand;
mod compare;
mod page;
mod resident;
mod results;
mod run;
mod sides;
mod space;
#[cfg(test)]
mod tests;

#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(feature = "sled")]
mod sled;

pub use bare::{Bare, Table, Writes, data_record};
pub use by_hand::ByHand;
pub use sides::Stead;

pub(crate) use resident::ran_as_child;
pub(crate) use run::{Settings, run};

use std::path::Path;
use std::sync::Arc;

use stead_core::Backend;
use stead_embedded::EmbeddedOptions;

/// One engine, bare and under Stead.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    /// As in the URL of a store.
    pub name: &'static str,
    /// Opens the bare engine in a directory, or begins one there.
    pub bare: fn(&Path) -> Box<dyn Bare>,
    /// Opens a store on it in another directory.
    pub stead: fn(&Path) -> Arc<dyn Backend>,
}

/// The engines that are compiled in.
pub const ENGINES: &[Engine] = &[
    #[cfg(feature = "redb")]
    redb::ENGINE,
    #[cfg(feature = "sled")]
    sled::ENGINE,
    #[cfg(feature = "fjall")]
    fjall::ENGINE,
    #[cfg(feature = "rocksdb")]
    rocksdb::ENGINE,
];

/// What either side may keep of its files in memory.
const CACHE_BYTES: usize = 256 << 20;

/// The settings of every store: the change log is kept whole, as the bare side keeps it.
fn options() -> EmbeddedOptions {
    EmbeddedOptions::default().with_change_retention(u64::MAX)
}
