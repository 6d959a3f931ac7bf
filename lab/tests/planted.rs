//! The short form of the planted faults, as `cargo xtask crash planted --short` runs it.

use std::process::Command;

#[test]
fn every_planted_defect_is_noticed() {
    let status = Command::new(env!("CARGO_BIN_EXE_stead-lab"))
        .args(["planted", "--short"])
        .status()
        .expect("the laboratory starts");
    assert!(status.success(), "{status}");
}
