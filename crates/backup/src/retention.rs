//! Which backups are kept: pure functions over what is known of each.

mod age;
mod contents;
mod picks;
mod plan;
mod policy;
mod reason;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

pub use age::Pauses;
pub(crate) use contents::Contents;
pub(crate) use plan::plan_with;
pub use plan::{Candidate, Decision, RetentionPlan, plan_retention};
pub(crate) use policy::in_utc;
pub use policy::{Keep, RetentionPolicy};
pub use reason::Reason;
