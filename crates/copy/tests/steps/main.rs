//! What a copy does, step by step, between stores whose revisions are ordered in the whole store or within partitions.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod interrupted;
mod moving;
mod refused;
mod support;
mod whole;
