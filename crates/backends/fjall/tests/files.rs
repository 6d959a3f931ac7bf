//! What every engine must do with its files.

mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    stead_engine_testing::files::<support::Fjall>()
}
