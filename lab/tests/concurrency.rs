//! The short form of the concurrency section, as `cargo xtask crash concurrency --short` runs it.

use std::process::Command;

#[test]
fn orders_and_histories_break_no_rule() {
    let status = Command::new(env!("CARGO_BIN_EXE_stead-lab"))
        .args(["concurrency", "--short"])
        .status()
        .expect("the laboratory starts");
    assert!(status.success(), "{status}");
}
