//! The public suite that every Stead backend and layer must pass.
//!
//! More than three hundred named cases say what a store does that has a capability, and that it refuses what it does
//! not declare. A case that says nothing about a store is shown as ignored with its reason, never as passed.
//!
//! # Run it on your own backend
//!
//! Implement [`Subject`], which takes three methods, in a test target without the usual harness:
//!
//! ```toml
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! ```no_run
//! use std::{process::ExitCode, sync::Arc};
//! use stead_conformance::{OpenOptions, Place, Subject, reference::{Options, Reference}};
//! use stead_core::{Backend, Capabilities, Reply};
//!
//! struct Mine;
//!
//! impl Subject for Mine {
//!     fn name(&self) -> String { "mine".into() }
//!     fn capabilities(&self) -> Capabilities { Capabilities::volatile("reference") }
//!     fn open<'a>(&'a self, _: &'a Place, options: &'a OpenOptions) -> Reply<'a, Arc<dyn Backend>> {
//!         Reply::ready(Arc::new(Reference::open(options.clock.clone(), Options::default())))
//!     }
//! }
//!
//! fn main() -> ExitCode { stead_conformance::main(vec![Arc::new(Mine)]) }
//! ```
//!
//! `cargo test --test conformance` runs it; `-- snapshots::` runs one group, `-- --list` names every case. A store that
//! is found again after closing opens it in [`Place::dir`] or under [`Place::name`]. The more of the [`OpenOptions`]
//! it heeds, the more cases apply: say so by [`Subject::offers`].
//!
//! # What is where
//!
//! - the cases, in groups: values, batches, preconditions, concurrency, transactions, expiry, deadlines, sweeping,
//!   scans, paging, isolation, snapshots, watching, watchers, change_log, requests, restart, closing, limits,
//!   capabilities, oracles;
//! - [`crash`]: numbered writes, and what must be left of them after a crash;
//! - [`oracle`]: random sequences against a model, and a check of concurrent histories;
//! - [`small_disk`]: tests on a file system that is soon full;
//! - [`mod@reference`]: a store that is simple enough to be right by reading it, and that can be made wrong on purpose, to
//!   show that the suite bites.

mod cases;
pub mod crash;
mod harness;
pub mod oracle;
mod pass_through;
pub mod reference;
pub mod small_disk;
mod support;

pub use harness::{Offers, OpenOptions, Place, Subject, Verdict, main, run, verdicts};
pub use libtest_mimic::{Arguments, Conclusion};
pub use pass_through::PassThrough;
