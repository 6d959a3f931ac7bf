//! The measurements, all engines included.

use anyhow::Result;

use crate::rocksdb;
use crate::run::cargo;

/// Runs the criterion benchmarks if that is what the first word asks for, else hands the words to the program that
/// measures side by side.
pub(crate) fn run(words: &[String]) -> Result<()> {
    rocksdb::ready()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    cargo(&arguments(&words))
}

fn arguments<'a>(words: &[&'a str]) -> Vec<&'a str> {
    const PACKAGE: [&str; 4] = ["--package", "stead-benches", "--features", "rocksdb"];
    let (task, words): (&[&str], _) = match words {
        ["criterion", filter @ ..] => (&["bench", "--bench", "engines"], filter),
        words => (&["run", "--release", "--quiet"], words),
    };
    [task, &PACKAGE, &["--"], words].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criterion_and_its_filter_go_to_cargo_bench_and_the_rest_to_the_program() {
        let joined = |words: &[&str]| arguments(words).join(" ");
        assert_eq!(
            joined(&["criterion", "redb/get"]),
            "bench --bench engines --package stead-benches --features rocksdb -- redb/get"
        );
        assert_eq!(
            joined(&["engines", "--chart"]),
            "run --release --quiet --package stead-benches --features rocksdb -- engines --chart"
        );
        assert!(joined(&[]).ends_with("--features rocksdb --"));
    }
}
