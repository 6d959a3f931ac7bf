//! A disk loses its power: every acknowledged durable write is there, and a disk that syncs nothing is found out.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::{Command, Output};

fn laboratory(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stead-lab"))
        .args(arguments)
        .output()
        .unwrap()
}

fn survives(engine: &str, images: &str) {
    let output = laboratory(&["power", "--engine", engine, "--images", images]);
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    // Where nothing can be traced there is no result, and the line says so.
    if output.status.code() == Some(3) && told.contains("NOT RUN") && !told.contains("without syncs 0 of") {
        println!("{told}");
        return;
    }
    assert!(output.status.success(), "{told}");
    let line = told.lines().find(|line| line.starts_with("result ")).unwrap();
    assert!(line.contains(&format!("runs={images} ")), "{told}");
    assert!(line.contains("lost=0 half=0 reused=0 other=0"), "{told}");
    let control = told
        .lines()
        .find(|line| line.starts_with("control ") && line.contains("fail ("))
        .unwrap();
    assert!(!control.contains("without syncs 0 of"), "{told}");
}

#[test]
#[cfg(feature = "redb")]
fn redb_survives_the_loss_of_power() {
    survives("redb", "400");
}

#[test]
#[cfg(feature = "sled")]
fn sled_survives_the_loss_of_power() {
    survives("sled", "60");
}

#[test]
#[cfg(feature = "rocksdb")]
fn rocksdb_survives_the_loss_of_power() {
    survives("rocksdb", "60");
}

#[test]
#[cfg(feature = "fjall")]
fn fjall_survives_the_loss_of_power() {
    survives("fjall", "60");
}
