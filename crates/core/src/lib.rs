//! The vocabulary and the traits that every part of Stead agrees on.
//!
//! A [`Backend`] stores [`Entry`]s under [`Key`]s. The only way to write is a [`WriteBatch`]: preconditions and
//! mutations that commit together, at one [`Revision`], or not at all. What a backend can do is declared as data in
//! its [`Capabilities`]; whatever it declares is proved by the public suite in `stead-conformance`.
//!
//! This crate knows no runtime, no engine and no I/O, so that anything may depend on it:
//!
//! - those who *call* a store use [`BackendExt`], which has the conveniences;
//! - those who *write* a backend implement [`Read`] and [`Backend`] and take the parts that are alike everywhere from
//!   [`kit`];
//! - those who *wrap* a backend implement [`Layer`].

mod backend;
mod batch;
mod capabilities;
mod change;
mod clock;
mod entry;
mod error;
mod ext;
mod fingerprint;
mod inline_bytes;
mod key;
pub mod kit;
mod limits;
mod outcome;
#[cfg(stead_planted)]
#[doc(hidden)]
pub mod planted;
#[cfg(not(stead_planted))]
mod planted;
mod random;
mod range;
mod reply;
mod request;
mod revision;
mod scan;
#[cfg(stead_shuttle)]
#[doc(hidden)]
pub mod sync;
#[cfg(not(stead_shuttle))]
mod sync;
mod time;
mod units;
mod url;
mod watch;

pub use backend::{Backend, CheckReport, Layer, Read, Snapshot, Stats};
pub use batch::{Expect, Expiry, Mutation, Precondition, WriteBatch};
pub use capabilities::{Capabilities, Durability, Extent, Strength};
pub use change::{Change, ChangeKind, ChangeSet};
pub use clock::{Clock, ManualClock, SystemClock};
pub use entry::Entry;
pub use error::{Error, ErrorKind, Result};
pub use ext::{BackendExt, ReadExt};
pub use fingerprint::Fingerprint;
pub use key::{Key, KeyPrefix, Partition};
pub use limits::Limits;
pub use outcome::{Conflict, Found, Outcome};
pub use random::{Random, SeededRandom, SystemRandom};
pub use range::KeyRange;
pub use reply::Reply;
pub use request::RequestId;
pub use revision::Revision;
pub use scan::{Cursor, Direction, Item, Page, Scan};
pub use time::{Timestamp, Ttl};
pub use units::{parse_bytes, parse_duration};
pub use url::{StoreUrl, nearest};
pub use watch::{WatchEvent, WatchFrom, WatchSpec, Watcher};
