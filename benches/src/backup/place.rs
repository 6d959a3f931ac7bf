//! Where backups go.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use stead_backup::{BackupManager, BackupMetadata, BackupType, CreateOptions, Repository};
use stead_core::{Backend, SystemClock, SystemRandom};
use tokio::runtime::{Builder, Runtime};

use crate::measure::Stopwatch;

/// A runtime with a thread for each of two cores, as a small server has.
pub(super) fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime")
}

/// A repository in a directory that is gone with it.
pub(super) struct Place {
    pub(super) dir: tempfile::TempDir,
    pub(super) repository: Repository,
}

impl Place {
    pub(super) fn new(runtime: &Runtime) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let url = dir.path().to_str().expect("a path of UTF-8");
        let made = runtime.block_on(Repository::init(url, &SystemClock, &SystemRandom));
        Place {
            repository: made.expect("a repository"),
            dir,
        }
    }

    /// What backs `store` up to here.
    pub(super) fn manager(&self, store: &Arc<dyn Backend>) -> BackupManager {
        BackupManager::new(self.repository.clone(), Arc::clone(store))
    }

    /// All of its files.
    pub(super) fn bytes(&self) -> u64 {
        bytes_below(self.dir.path())
    }
}

/// Makes a backup. What there is to know of it, and the nanoseconds that it took.
pub(super) fn back_up(runtime: &Runtime, manager: &BackupManager, kind: BackupType) -> (BackupMetadata, f64) {
    let watch = Stopwatch::start();
    let made = runtime.block_on(manager.create(&CreateOptions::new(kind)));
    let nanos = watch.nanos();
    (made.expect("a backup"), nanos)
}

pub(super) fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    entries
        .map(|entry| {
            let entry = entry.expect("the folder can be read");
            let found = entry.metadata().expect("the file is there");
            if found.is_dir() {
                bytes_below(&entry.path())
            } else {
                found.size()
            }
        })
        .sum()
}
