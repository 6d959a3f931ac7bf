//! Revisions, deadlines, change log, group commit and watch over any ordered engine.
//!
//! An engine author implements [`Engine`] and [`View`]: an ordered byte map with five fixed keyspaces that commits
//! atomically and gives consistent read views. [`Embedded`] makes a [`Backend`](stead_core::Backend) of it. Everything
//! is judged here, against a view and what the same commit writes already, so an engine needs neither transactions with
//! conflicts nor merge operators.
//!
//! The bytes on disk are described in `docs/src/formats/embedded.md`.

mod check;
mod commit;
mod committer;
mod config;
mod counters;
mod cursor;
mod directory;
mod effects;
mod engine;
mod format;
mod group;
mod guard;
mod log;
mod open;
mod options;
mod page;
mod planted;
mod queue;
mod recent;
mod shared;
mod snapshot;
mod staging;
mod store;
mod sync;
mod trim;
mod url;
mod view;
mod write_set;

pub use config::{EngineConfig, open_store};
pub use directory::{DirectoryLock, Previous, StoreDirectory, file_error, is_free, locked_error};
pub use engine::{Engine, Keyspace, View, Visit};
pub use guard::{Outside, guarded, guarded_around};
pub use options::EmbeddedOptions;
pub use staging::Staging;
pub use store::Embedded;
pub use url::{open_url, parse_url};
pub use write_set::WriteSet;
