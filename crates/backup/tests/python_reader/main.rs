//! The reader in Python, which was written from the page of the format, reads what the crate writes, and refuses what is
//! damaged.
//!
//! A target without a harness: what decompresses zstd for Python may be missing, and a test that cannot run says so.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod contents;
mod crafted;
mod damage;
#[path = "../support/partitions.rs"]
mod life;
mod reader;
mod story;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};

use contents::{
    extracts_increments_within_partitions, lists_and_extracts_every_state, reads_the_fixtures_of_format_1,
    reads_the_pruned_fixture_of_format_1, reads_what_prunes_left,
};
use crafted::{reads_a_tree_of_two_levels, reads_the_revisions_of_partitions};
use damage::{
    follows_a_log_that_was_swept, refuses_every_damaged_object, refuses_what_was_sealed_but_is_malformed,
    says_what_is_not_there,
};
use reader::Reader;

type Case = (&'static str, fn(&Reader));

fn main() -> ExitCode {
    let decompressing: [Case; 3] = [
        ("lists_and_extracts_every_state", lists_and_extracts_every_state),
        ("reads_the_fixtures_of_format_1", reads_the_fixtures_of_format_1),
        (
            "reads_the_pruned_fixture_of_format_1",
            reads_the_pruned_fixture_of_format_1,
        ),
    ];
    let others: [Case; 8] = [
        (
            "extracts_increments_within_partitions",
            extracts_increments_within_partitions,
        ),
        ("reads_what_prunes_left", reads_what_prunes_left),
        (
            "reads_the_revisions_of_partitions",
            reads_the_revisions_of_partitions,
        ),
        ("reads_a_tree_of_two_levels", reads_a_tree_of_two_levels),
        ("refuses_every_damaged_object", refuses_every_damaged_object),
        (
            "refuses_what_was_sealed_but_is_malformed",
            refuses_what_was_sealed_but_is_malformed,
        ),
        ("follows_a_log_that_was_swept", follows_a_log_that_was_swept),
        ("says_what_is_not_there", says_what_is_not_there),
    ];
    let (package, program) = (Reader::find("package"), Reader::find("program"));
    let any = package.clone().or_else(|_| program.clone());
    let groups = [
        ("zstd_package", package, &decompressing[..]),
        ("zstd_program", program, &decompressing[..]),
        ("reader", any, &others[..]),
    ];
    let trials = groups
        .into_iter()
        .flat_map(|(group, reader, cases)| cases.iter().map(move |case| trial(group, case, reader.clone())));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// Ignored, with the reason, where there is nothing to run it with.
fn trial(group: &str, (name, case): &Case, reader: Result<Reader, String>) -> Trial {
    let (case, reason) = (*case, reader.as_ref().err().cloned());
    let run = move || match reader {
        Ok(reader) => {
            case(&reader);
            Ok(Completion::Completed)
        }
        // It stays ignored even when ignored ones are asked for: it could only mislead.
        Err(reason) => Ok(Completion::ignored_with(reason)),
    };
    Trial::ignorable_test(format!("{group}::{name}"), run)
        .with_ignored_flag(reason.is_some())
        .with_kind(reason.unwrap_or_default())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
