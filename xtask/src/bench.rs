//! The measurements, all engines included.

use anyhow::Result;

use crate::run::cargo;
use crate::{rocksdb, servers};

/// Runs the criterion benchmarks if that is what the first word asks for, else hands the words to the program that
/// measures side by side.
pub(crate) fn run(words: &[String]) -> Result<()> {
    rocksdb::ready()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if needs_servers(&words) {
        servers::ready()?;
    }
    cargo(&arguments(&words))
}

/// Whether the measurements that are asked for have servers. Without names all are meant.
fn needs_servers(words: &[&str]) -> bool {
    const WITHOUT: [&str; 7] = [
        "backup",
        "criterion",
        "footprint",
        "index",
        "memory",
        "engines",
        "state",
    ];
    words.iter().any(|word| matches!(*word, "servers" | "scale"))
        || !words.iter().any(|word| WITHOUT.contains(word))
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

    #[test]
    fn servers_are_needed_where_they_are_named_and_where_nothing_is() {
        for (words, needed) in [
            (&[][..], true),
            (&["--entries", "5000"], true),
            (&["servers", "--server", "redis"], true),
            (&["memory", "scale"], true),
            (&["engines", "--engine", "redb"], false),
            (&["backup", "--part", "peak"], false),
            (&["criterion", "redb/get"], false),
        ] {
            assert_eq!(needs_servers(words), needed, "{words:?}");
        }
    }
}
