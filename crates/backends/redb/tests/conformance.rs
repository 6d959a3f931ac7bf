//! The whole suite on redb: as it is opened by default, and with buffered writes as the default.

mod support;

use std::process::ExitCode;

use stead_core::Durability;
use stead_engine_testing::{TestedEngine, conformance, subject};
use support::Redb;

fn main() -> ExitCode {
    conformance(vec![
        subject::<Redb>("redb", Durability::Durable, Redb::config),
        subject::<Redb>("redb-buffered", Durability::Buffered, Redb::config),
    ])
}
