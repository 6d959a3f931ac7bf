//! What every engine of the embedded kit must do with its files. Only tests depend on it.
//!
//! `stead-conformance` says what any store guarantees, wherever it lies. Here is what the engines have in common beyond
//! that because their stores lie in a directory: who may open one, what is refused and left as it was, what a URL says, and
//! that the format on disk stays readable. What only one engine does is tested in its own crate.
//!
//! The crate of an engine implements [`TestedEngine`], and has two test targets without the usual harness:
//!
//! ```toml
//! [[test]]
//! name = "conformance"
//! harness = false
//!
//! [[test]]
//! name = "files"
//! harness = false
//! ```
//!
//! The `main` of the first is [`conformance`] on some [`subject`]s; the `main` of the second is [`files`]. A case that says nothing about an
//! engine is shown as ignored with its reason.
//!
//! The cases panic where they fail, as tests do, and so does all that is in here.

#![expect(clippy::unwrap_used, reason = "a case may panic, as a test does")]

mod closing;
mod directories;
mod engine;
mod format;
mod image;
mod opening;
mod reading;
mod run;
mod staging;
mod stores;
mod subject;
mod urls;

pub use engine::{Readers, Record, TestedEngine};
pub use image::{contents, copy};
pub use run::files;
pub use stead_conformance::main as conformance;
pub use stores::{Store, entry, fill, filled, key, nth, open, open_read_only, refused};
pub use subject::subject;
