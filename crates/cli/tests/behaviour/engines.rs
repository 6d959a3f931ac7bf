//! The commands on the other engines that are compiled in.

use crate::support::{Bench, Ended, command};

const ENGINES: &[&str] = &[
    #[cfg(feature = "fjall")]
    "fjall",
    #[cfg(feature = "rocksdb")]
    "rocksdb",
    #[cfg(feature = "sled")]
    "sled",
];

fn on(bench: &Bench, url: &str, arguments: &[&str]) -> Ended {
    Ended::of(&mut command(url, &bench.path(""), arguments))
}

#[test]
fn what_one_process_wrote_the_next_one_reads() {
    for engine in ENGINES {
        let bench = Bench::new();
        let url = format!("{engine}:{}", bench.path("other").display());
        on(&bench, &url, &["get", "global", "k"]).failed(1, &["there is no store"]);
        on(&bench, &url, &["set", "global", "k", "{\"a\": 1}"]).done();
        on(&bench, &url, &["incr", "global", "n"]).done();
        assert_eq!(on(&bench, &url, &["incr", "global", "n"]).done().trim(), "2");
        assert!(on(&bench, &url, &["get", "global", "k"]).done().contains("\"a\""));
        on(&bench, &url, &["check"]).done();
        assert_eq!(on(&bench, &url, &["export"]).done().matches("\"key\"").count(), 2);

        let elsewhere = format!("redb:{}", bench.path("other").display());
        let word = format!("engine={engine}");
        on(&bench, &elsewhere, &["get", "global", "k"]).failed(2, &["of another engine", &word]);
    }
}

/// Without a build that has the engine, the message says how to get one.
#[test]
fn engine_that_is_not_compiled_in_is_said() {
    let bench = Bench::new();
    let missing = ["fjall", "rocksdb", "sled"]
        .into_iter()
        .filter(|engine| !ENGINES.contains(engine));
    for engine in missing.chain(["etcd"]) {
        let url = format!("{engine}:./x");
        on(&bench, &url, &["set", "global", "k", "1"]).failed(2, &["compiled in", "feature"]);
    }
}
