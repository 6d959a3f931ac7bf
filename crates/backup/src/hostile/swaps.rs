//! Files that are missing, in the place of others, or there twice.

use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStoreExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;
use stead_core::{Backend, ManualClock};

use super::craft::{NOW, backend, restore, state, verify};
use super::sample::{ReadBy, Sample};
use crate::BackupId;

/// A repository to change, and what its backups give.
struct Bench {
    sample: Sample,
    store: Arc<InMemory>,
    clock: Arc<ManualClock>,
}

impl Bench {
    async fn new() -> Self {
        let sample = Sample::make().await;
        Bench {
            store: sample.copy().await,
            clock: Arc::new(ManualClock::at(NOW)),
            sample,
        }
    }

    async fn put(&self, path: &Path, bytes: &Bytes) {
        self.store.put(path, bytes.clone().into()).await.unwrap();
    }

    async fn verify_fails(&self, what: &str) {
        assert!(verify(&self.store).await.is_err(), "verify did not find {what}");
    }

    /// Restores, which fails before anything is written where `must_fail`, and else gives what was backed up or fails so.
    async fn restore(&self, read_by: ReadBy, must_fail: bool, what: &str) {
        let target: Arc<dyn Backend> = backend(&self.clock);
        let point = self.sample.point(read_by);
        match restore(&self.store, point, &target, &self.clock).await {
            Ok(report) => {
                assert!(!must_fail, "restore did not find {what}");
                let found = state(&*target).await;
                assert!(
                    found == self.sample.states[&report.backup],
                    "{what} gave another state"
                );
            }
            Err(_) => assert_eq!(target.stats().await.unwrap().commits, 0, "{what}"),
        }
    }

    fn newest(&self) -> BackupId {
        self.sample.newest
    }
}

#[tokio::test]
async fn every_file_that_is_missing_is_found() {
    let bench = Bench::new().await;
    for (path, good, read_by) in &bench.sample.files {
        bench.store.delete(path).await.unwrap();
        match read_by {
            // What waits to be removed may be gone: nothing needs it.
            ReadBy::Nobody => drop(verify(&bench.store).await.unwrap()),
            _ => bench.verify_fails(path.as_ref()).await,
        }
        bench
            .restore(*read_by, *read_by != ReadBy::Nobody, path.as_ref())
            .await;
        bench.put(path, good).await;
    }
    verify(&bench.store).await.unwrap();
}

#[tokio::test]
async fn every_file_in_the_place_of_another_is_found() {
    let bench = Bench::new().await;
    let mut pairs = 0;
    for (index, (one, first, by)) in bench.sample.files.iter().enumerate() {
        for (other, second, other_by) in &bench.sample.files[..index] {
            for (path, bytes, by) in [(one, second, by), (other, first, other_by)] {
                let what = format!("{one} and {other}: {path} replaced");
                bench.put(path, bytes).await;
                bench.verify_fails(&what).await;
                bench.restore(*by, *by != ReadBy::Nobody, &what).await;
                bench.put(path, if path == one { first } else { second }).await;
            }
            let what = format!("{one} and {other} swapped");
            bench.put(one, second).await;
            bench.put(other, first).await;
            bench.verify_fails(&what).await;
            for by in [by, other_by] {
                bench.restore(*by, *by != ReadBy::Nobody, &what).await;
            }
            bench.put(one, first).await;
            bench.put(other, second).await;
            pairs += 1;
        }
    }
    assert!(pairs > 400, "{pairs}");
    verify(&bench.store).await.unwrap();
}

/// Names under which a copy of a file may come to lie.
fn other_names(path: &Path) -> Vec<String> {
    let name = path.as_ref();
    let file = path.filename().unwrap();
    let mut names = vec![
        format!("{name}.bak"),
        format!("{name}.copy"),
        format!("{name} (1)"),
        format!("{name}/{file}"),
        format!("copy/{name}"),
        format!("{name}~"),
        name.to_uppercase(),
        format!("{name}0"),
    ];
    if let Some(number) = name.strip_prefix("log/") {
        names.extend(
            [
                "1",
                "000000000000",
                "000000000099",
                "999999999999",
                "1000000000000",
            ]
            .map(|n| format!("log/{n}")),
        );
        names.push(format!("chunks/{number}"));
    } else if name.starts_with("chunks/") {
        // Another hash, the right one in another folder or in none, and one that is no hash.
        let mut hash = file.to_owned();
        let last = if hash.ends_with('0') { "1" } else { "0" };
        hash.replace_range(63.., last);
        names.push(format!("chunks/{}/{hash}", &file[..2]));
        let folder = if file.starts_with("00") { "01" } else { "00" };
        names.push(format!("chunks/{folder}/{file}"));
        names.push(format!("chunks/{file}"));
        names.push(file.to_owned());
        names.push(format!("chunks/{}/{}", &file[..2], &file[..63]));
    } else {
        names.push(format!("log/{name}"));
        names.push(format!("chunks/{name}"));
        names.push("log/000000000099".to_owned());
    }
    names.retain(|other| other != name);
    names
}

#[tokio::test]
async fn every_file_that_is_there_twice_is_found() {
    let bench = Bench::new().await;
    let mut copies = 0;
    for (path, good, _) in &bench.sample.files {
        for name in other_names(path) {
            let (copy, what) = (Path::from(name.as_str()), format!("{path} as {name}"));
            bench.put(&copy, good).await;
            bench.verify_fails(&what).await;
            // The log is read from its list; what lies beside it elsewhere takes nothing from a restore.
            let in_log = copy.as_ref().starts_with("log/");
            bench.restore(ReadBy::Backup(bench.newest()), in_log, &what).await;
            bench.store.delete(&copy).await.unwrap();
            copies += 1;
        }
    }
    assert!(copies > 300, "{copies}");
    verify(&bench.store).await.unwrap();
}
