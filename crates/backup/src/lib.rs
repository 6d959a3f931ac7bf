//! Backups and checkpoints of a store.

mod error;
mod location;
mod retention;

pub use location::{Leftovers, Location, Purpose, open_location, open_location_with};
pub use retention::{
    Candidate, Decision, Keep, Pauses, Reason, RetentionPlan, RetentionPolicy, plan_retention,
};
