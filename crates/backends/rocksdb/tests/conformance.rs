//! The whole suite on RocksDB: as it is opened by default, and with buffered writes as the default.

mod support;

use std::process::ExitCode;

use stead_core::Durability;
use stead_engine_testing::{TestedEngine, conformance, subject};
use support::RocksDb;

fn main() -> ExitCode {
    conformance(vec![
        subject::<RocksDb>("rocksdb", Durability::Durable, RocksDb::config),
        subject::<RocksDb>("rocksdb-buffered", Durability::Buffered, RocksDb::config),
    ])
}
