//! What runs the cases.

mod case;
mod context;
mod failure;
mod need;
mod run;
mod stands;
mod subject;
#[cfg(test)]
mod tests;

pub use run::{Verdict, main, run, verdicts};
pub use subject::{Offers, OpenOptions, Place, Subject};

pub(crate) use case::{Case, Group, cases};
pub(crate) use context::Context;
pub(crate) use failure::{CaseResult, Failure, require, require_eq, require_matches};
pub(crate) use need::{Need, needs};
pub(crate) use stands::Stands;
