//! The whole suite on sled: as it is opened by default, with buffered writes as the default, and with compression where
//! it is compiled in.

mod support;

use std::process::ExitCode;

use stead_core::Durability;
use stead_engine_testing::{TestedEngine, conformance, subject};
use support::Sled;

fn main() -> ExitCode {
    let mut subjects = vec![
        subject::<Sled>("sled", Durability::Durable, Sled::config),
        subject::<Sled>("sled-buffered", Durability::Buffered, Sled::config),
    ];
    if cfg!(feature = "compression") {
        let compressed = subject::<Sled>("sled-compressed", Durability::Buffered, |path| {
            Sled::config(path).with_compression(true)
        });
        subjects.push(compressed);
    }
    conformance(subjects)
}
