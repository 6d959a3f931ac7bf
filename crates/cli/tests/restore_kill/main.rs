//! Kills `stead backup restore` while it puts a second store in the place of a large live one: at random instants, and at the
//! system calls that change names. The store is the one that was there or the one that was restored, whole, and opens.
//!
//! `STEAD_BACKUP_KILLS` says how many times for each engine and test; 3 unless set.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has strace"))]

mod bench;
mod calls;
mod random;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// The engines whose stores lie in a directory.
const ENGINES: &[&str] = &[
    "redb",
    #[cfg(feature = "fjall")]
    "fjall",
    #[cfg(feature = "rocksdb")]
    "rocksdb",
    #[cfg(feature = "sled")]
    "sled",
];

/// How many kills, for each engine and test.
fn kills() -> usize {
    std::env::var("STEAD_BACKUP_KILLS").map_or(3, |kills| kills.parse().unwrap())
}

fn main() -> ExitCode {
    let mut trials = Vec::new();
    let without_strace = calls::missing();
    for engine in ENGINES.iter().copied() {
        let mut add = |name: &str, needs_strace: bool, run: fn(&str)| {
            let reason = without_strace.filter(|_| needs_strace).unwrap_or_default();
            let trial = Trial::test(format!("{engine}::{name}"), move || {
                run(engine);
                Ok(())
            });
            trials.push(trial.with_kind(reason).with_ignored_flag(!reason.is_empty()));
        };
        add("killed_at_random_it_is_old_or_new", false, random::old_or_new);
        add(
            "write_of_another_process_is_never_lost",
            false,
            random::other_writers,
        );
        add(
            "killed_at_any_change_of_a_name_it_is_old_or_new",
            true,
            calls::old_or_new,
        );
        add("what_is_switched_is_synced_before_and_after", true, calls::synced);
        add(
            "what_the_system_refuses_leaves_the_old_store",
            true,
            calls::refused,
        );
        add("full_disk_leaves_the_old_store", false, random::full_disk);
    }
    // One after the other: each of them measures how long a restore takes.
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(1));
    libtest_mimic::run(&arguments, trials).exit_code()
}
