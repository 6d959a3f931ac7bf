//! Power loss: what a disk may hold of a store when the power comes back.
//!
//! 1. [`recording`]: a store does numbered writes, and all that it does to its disk is taken down in one order with what
//!    it acknowledges. redb does so over a [`memory`] of its own, and every engine in a process whose system calls are
//!    [recorded](traced) and [understood](trace).
//! 2. [`plan`]: the power goes at positions of that [`log`], most of them around syncs, acknowledgements and changes of
//!    names.
//! 3. [`disk`]: what was synced is there. Of the rest, [writes and lengths](mod@file) and [names] may be there or not.
//! 4. [`campaign`]: each such image is opened and compared with what was acknowledged by then.
//!
//! [`backups`] does the same with a repository of backups in a directory.

#[cfg(feature = "backup")]
pub(crate) mod backups;
mod campaign;
mod content;
mod dice;
mod disk;
mod file;
mod findings;
mod log;
#[cfg(feature = "redb")]
mod memory;
mod names;
mod plan;
mod recording;
#[cfg(feature = "redb")]
mod redb;
mod section;
mod text;
mod trace;
mod traced;
mod tree;
mod variant;

pub(crate) use section::{Power, run};
