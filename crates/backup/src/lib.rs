//! Backups and checkpoints of a store.
//!
//! A [`Repository`] keeps backups: in a directory, or in an object store. A [`BackupManager`] makes them of a store while it
//! is written to: full ones, and increments that cost what changed. What makes a backup is its record in the log of the
//! repository, written when all that it names is on disk; there are no half ones.
//!
//! - Every byte is covered by a hash: chunks are named by theirs, records of the log name the one before, and the records
//!   of a backup have a Merkle root. [`Repository::verify`] finds every flipped bit and every file that is missing, and
//!   [`Repository::restore`] finds them before it writes.
//! - A backup holds entries, not files of an engine: it is restored into any backend.
//! - Revisions never go back: those of a restored store are far above the ones of before.
//!
//! The format is documented in `docs/src/formats/backup.md`.

mod attempt;
mod chunk;
mod coordinator;
mod create;
mod diff;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod hash;
mod history;
#[cfg(test)]
mod hostile;
mod increment;
mod index;
mod location;
mod lock;
mod log;
mod manager;
mod manifest;
mod merge;
mod metadata;
mod partitions;
mod prune;
mod publish;
mod reader;
mod records;
mod repository;
mod restore;
mod retention;
mod sealed;
mod spare;
mod task;
mod varint;
mod verify;
mod writer;

pub use coordinator::{
    CheckpointAnswer, CheckpointCoordinator, CheckpointEvent, CheckpointObserver, CheckpointOptions,
    CheckpointRetention, CheckpointStats, CronExpression, FullReason, LatestReport, PassedOver, Schedule,
    TrialOptions, TrialReport, TrialStore,
};
pub use diff::{Diff, Difference, DifferenceKind};
pub use hash::Hash;
pub use location::{Leftovers, Location, Purpose, open_location, open_location_with, repository_around};
pub use manager::{BackupManager, BackupType, CreateOptions, Observer, Phase, Progress};
pub use manifest::{BackupCounts, BackupId, BackupKind};
pub use metadata::{BackupMetadata, CheckpointMetadata};
pub use prune::{PruneOptions, PruneReport};
pub use repository::Repository;
pub use restore::{
    Deadlines, KeyFilter, RestoreOptions, RestorePoint, RestoreReport, RestoreWay, Staging, check_finished,
};
pub use retention::{
    Candidate, Decision, Keep, Pauses, Reason, RetentionPlan, RetentionPolicy, plan_retention,
};
pub use verify::{VerifyDepth, VerifyOptions, VerifyReport};
