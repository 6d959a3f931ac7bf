//! Parts that are alike in every backend, for those who write one.
//!
//! - [`admit`] refuses what a backend does not declare and what is too large, in one place;
//! - [`judge`] decides the preconditions of a batch over any [`Lookup`];
//! - [`settle`] says what a batch makes of each key;
//! - [`Signal`] and [`LogWatcher`] turn a [`ChangeSource`] into a [`Watcher`](crate::Watcher) that resumes exactly and
//!   never skips in silence;
//! - [`Walk`] reads a whole store in order, for those who work on any backend.

mod admit;
mod judge;
mod log_watcher;
mod settle;
mod signal;
mod walk;

pub use admit::{admit, admit_keys, admit_scan, admit_watch};
pub use judge::{Lookup, judge};
pub use log_watcher::{ChangeSource, LogRead, LogWatcher};
pub use settle::{Settled, by_key, same_key, settle};
pub use signal::Signal;
pub use walk::Walk;
