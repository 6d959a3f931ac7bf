//! Every bit that is flipped, and every file that is cut short, is found: by a verification, and by a restore before its
//! first write.
//!
//! Each of about half a million flips is verified and restored. That takes minutes in a test profile: the tests take every
//! 32nd flip and every eighth length, from a beginning that differs from file to file. With `STEAD_DAMAGE=all` and
//! `--release` they take all.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use object_store::ObjectStoreExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;
use stead_core::{Backend, ManualClock};

use super::craft::{NOW, backend, restore, verify};
use super::sample::{ReadBy, Sample};
use crate::hash::Hash;

/// A thread's own copy of the repository, and a target that must stay as it is.
struct Bench<'a> {
    sample: &'a Sample,
    store: Arc<InMemory>,
    clock: Arc<ManualClock>,
    target: Arc<dyn Backend>,
}

impl<'a> Bench<'a> {
    async fn new(sample: &'a Sample) -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        Bench {
            sample,
            store: sample.copy().await,
            target: backend(&clock),
            clock,
        }
    }

    async fn put(&self, path: &Path, bytes: Bytes) {
        self.store.put(path, bytes.into()).await.unwrap();
    }

    /// That the file `path` as `bytes` is found.
    async fn is_found(&self, path: &Path, read_by: ReadBy, bytes: Bytes, what: impl Fn() -> String) {
        self.put(path, bytes).await;
        let verified = verify(&self.store).await;
        assert!(verified.is_err(), "verify did not find {path} {}", what());
        if read_by != ReadBy::Nobody {
            let point = self.sample.point(read_by);
            let restored = restore(&self.store, point, &self.target, &self.clock).await;
            assert!(restored.is_err(), "restore did not find {path} {}", what());
        }
    }

    /// That the file is again what it was, that the repository is whole with it, and that nothing was restored.
    async fn is_whole(&self, path: &Path, good: &Bytes) {
        self.put(path, good.clone()).await;
        verify(&self.store).await.unwrap();
        let stats = self.target.stats().await.unwrap();
        assert_eq!((stats.commits, stats.entries), (0, 0), "{path}");
    }
}

/// Every so manieth.
fn every(default: usize) -> usize {
    match std::env::var("STEAD_DAMAGE") {
        Ok(wanted) if wanted == "all" => 1,
        _ => default,
    }
}

/// Does `work` for each file in some threads, each with a bench of its own. `work` says how much it did.
fn sweep(what: &str, work: impl AsyncFn(&Bench<'_>, &Path, &Bytes, ReadBy) -> u64 + Sync) -> u64 {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let sample = runtime().block_on(Sample::make());
    let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                runtime().block_on(async {
                    let bench = Bench::new(&sample).await;
                    while let Some((path, good, read_by)) =
                        sample.files.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        let did = work(&bench, path, good, *read_by).await;
                        bench.is_whole(path, good).await;
                        done.fetch_add(did, Ordering::Relaxed);
                    }
                });
            });
        }
    });
    let done = done.into_inner();
    println!(
        "{done} {what} of {} files of {} bytes in all were found",
        sample.files.len(),
        sample.bytes()
    );
    done
}

/// Where to begin in a file, so that those which are left out differ.
fn beginning(path: &Path, step: usize) -> usize {
    usize::from(Hash::of(path.as_ref().as_bytes()).as_bytes()[0]) % step
}

#[test]
fn every_flipped_bit_is_found() {
    let step = every(32);
    let flips = sweep("flipped bits", async |bench, path, good, read_by| {
        let mut bad = good.to_vec();
        let mut flips = 0;
        for bit in (beginning(path, step)..good.len() * 8).step_by(step) {
            let mask = 1 << (bit % 8);
            bad[bit / 8] ^= mask;
            let bytes = Bytes::copy_from_slice(&bad);
            bench
                .is_found(path, read_by, bytes, || format!("with bit {bit} flipped"))
                .await;
            bad[bit / 8] ^= mask;
            flips += 1;
        }
        flips
    });
    assert!(flips * step as u64 >= 64 << 13, "{flips}");
}

#[test]
fn every_truncation_is_found() {
    let step = every(8);
    let lengths = sweep("truncations", async |bench, path, good, read_by| {
        let mut lengths = 0;
        for length in (beginning(path, step)..good.len()).step_by(step) {
            let bytes = good.slice(..length);
            bench
                .is_found(path, read_by, bytes, || format!("cut to {length}"))
                .await;
            lengths += 1;
        }
        lengths
    });
    assert!(lengths * step as u64 >= 64 << 10, "{lengths}");
}

#[test]
fn every_file_that_is_longer_is_found() {
    let longer = sweep("longer files", async |bench, path, good, read_by| {
        let more: [&[u8]; 5] = [b"\0", b"\n", b" ", b"{}\n", good];
        for more in more {
            let bytes = Bytes::from([good, more].concat());
            bench
                .is_found(path, read_by, bytes, || format!("with {} bytes more", more.len()))
                .await;
        }
        more.len() as u64
    });
    assert!(longer >= 150, "{longer}");
}
