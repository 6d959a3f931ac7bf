//! The whole suite on fjall: as it is opened by default, and with buffered writes as the default.

mod support;

use std::process::ExitCode;

use stead_core::Durability;
use stead_engine_testing::{TestedEngine, conformance, subject};
use support::Fjall;

fn main() -> ExitCode {
    conformance(vec![
        subject::<Fjall>("fjall", Durability::Durable, Fjall::config),
        subject::<Fjall>("fjall-buffered", Durability::Buffered, Fjall::config),
    ])
}
