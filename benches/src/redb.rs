//! The embedded store on redb against bare redb that writes the same records and index records with the same durability.

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use futures_executor::block_on;
use redb::{Database, ReadableDatabase, TableDefinition};
use stead_core::{Backend, BackendExt, Durability, Key, WriteBatch};
use stead_redb::{EmbeddedOptions, RedbConfig};

use crate::measure::{Stopwatch, elapsed, median, pair_rounds, shuffled, time};
use crate::memory::{keys, value};
use crate::report::Report;

const ENTRIES: usize = 100_000;
const DATA: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("data");
const CHANGES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("changes");
const META: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("meta");

/// As much change log as the comparison keeps on both sides.
const RETENTION: u64 = 1_000_000;

pub(crate) fn run(report: &mut Report) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let keys = keys(ENTRIES);
    let store = open(&dir.path().join("stead"));
    load(&store, &keys);
    let bare = Bare::new(&dir.path().join("bare.redb"), &keys);
    reads(report, &store, &bare, &keys);
    one_writer(report, &store, &bare, &keys);
    for writers in [16, 64] {
        concurrent(report, &store, &bare, &keys, writers);
    }
    block_on(store.close()).expect("the store closes");
    drop(store);
    reopen(report);
}

fn open(path: &Path) -> Arc<dyn Backend> {
    let options = EmbeddedOptions::default().with_change_retention(RETENTION);
    stead_redb::open(&RedbConfig::new(path), options).expect("the store opens")
}

fn load(store: &Arc<dyn Backend>, keys: &[Key]) {
    let value = Bytes::from(value());
    for chunk in keys.chunks(5_000) {
        let batch = chunk.iter().fold(
            WriteBatch::new().durability(Durability::Buffered),
            |batch, key| batch.put(key.clone(), value.clone()),
        );
        let _ = block_on(store.apply(batch)).expect("redb takes it");
    }
    block_on(store.sync()).expect("it syncs");
}

/// Bare redb with a hand-made change log and header beside the data. Its buffered commits reach the disk as Stead's do: one
/// commit every 100 ms is durable.
struct Bare {
    database: Database,
    revision: AtomicUsize,
    flushed: Mutex<Stopwatch>,
}

/// The size of the records that the embedded store keeps beside a value; see docs/src/formats/embedded.md.
const DATA_OVERHEAD: usize = 13;
const HEADER_BYTES: usize = 94;
/// The flush interval of both sides.
const FLUSH_MS: u128 = 100;

impl Bare {
    fn new(path: &Path, keys: &[Key]) -> Self {
        let mut builder = Database::builder();
        builder.set_cache_size(256 << 20);
        let database = builder.create(path).expect("redb makes a file");
        let bare = Bare {
            database,
            revision: AtomicUsize::new(0),
            flushed: Mutex::new(Stopwatch::start()),
        };
        for chunk in keys.chunks(5_000) {
            let chunk: Vec<&Key> = chunk.iter().collect();
            bare.commit(&chunk, false);
        }
        bare.commit(&[&keys[0]], true);
        bare
    }

    /// One transaction that writes each key with its index records, and the header once.
    fn commit(&self, keys: &[&Key], durable: bool) {
        let mut flushed = self.flushed.lock().expect("nobody panicked");
        let durable = durable || flushed.millis() >= FLUSH_MS;
        if durable {
            *flushed = Stopwatch::start();
        }
        drop(flushed);
        let mut transaction = self.database.begin_write().expect("a transaction");
        if durable {
            transaction.set_two_phase_commit(true);
        } else {
            transaction
                .set_durability(redb::Durability::None)
                .expect("no savepoints are open");
        }
        {
            let mut data = transaction.open_table(DATA).expect("a table");
            let mut changes = transaction.open_table(CHANGES).expect("a table");
            let mut meta = transaction.open_table(META).expect("a table");
            let record = [vec![0; DATA_OVERHEAD], value()].concat();
            for key in keys {
                let revision = self.revision.fetch_add(1, Ordering::Relaxed) as u64;
                data.insert(key.as_bytes(), &record[..]).expect("it writes");
                let change = [key.as_bytes(), &[0; 8]].concat();
                changes
                    .insert(&revision.to_be_bytes()[..], &change[..])
                    .expect("it writes");
            }
            meta.insert(&b"header"[..], &[0; HEADER_BYTES][..])
                .expect("it writes");
        }
        transaction.commit().expect("it commits");
    }

    fn get(&self, key: &Key) -> Option<Vec<u8>> {
        let transaction = self.database.begin_read().expect("a transaction");
        let table = transaction.open_table(DATA).expect("a table");
        table
            .get(key.as_bytes())
            .expect("it reads")
            .map(|found| found.value().to_vec())
    }
}

fn reads(report: &mut Report, store: &Arc<dyn Backend>, bare: &Bare, keys: &[Key]) {
    report.section(&format!("redb: cached point reads of {ENTRIES} entries"));
    let result = pair_rounds(
        9,
        &mut || {
            time(20_000, |index| {
                let key = &keys[shuffled(index, ENTRIES)];
                black_box(block_on(store.get(key)).expect("it reads").expect("it is there"));
            })
        },
        &mut || {
            time(20_000, |index| {
                black_box(bare.get(&keys[shuffled(index, ENTRIES)]).expect("it is there"));
            })
        },
    );
    report.at_most("get / begin_read, open_table, get", result, 1.3);
}

fn one_writer(report: &mut Report, store: &Arc<dyn Backend>, bare: &Bare, keys: &[Key]) {
    report.section("redb: one writer, same records, same durability");
    let value = Bytes::from(value());
    for (name, durability, operations) in [
        ("buffered", Durability::Buffered, 3_000),
        ("durable", Durability::Durable, 300),
    ] {
        let durable = durability == Durability::Durable;
        let result = pair_rounds(
            9,
            &mut || {
                time(operations, |index| {
                    let key = keys[shuffled(index, ENTRIES)].clone();
                    let batch = WriteBatch::new().put(key, value.clone()).durability(durability);
                    let _ = block_on(store.apply(batch)).expect("it writes");
                })
            },
            &mut || {
                time(operations, |index| {
                    bare.commit(&[&keys[shuffled(index, ENTRIES)]], durable);
                })
            },
        );
        report.at_most(&format!("{name} put / commit by hand"), result, 1.3);
    }
}

fn concurrent(report: &mut Report, store: &Arc<dyn Backend>, bare: &Bare, keys: &[Key], writers: usize) {
    report.section(&format!(
        "redb: {writers} concurrent durable writers; time of one put, all writers together"
    ));
    let each = 1_600 / writers;
    let value = Bytes::from(value());
    let ours = || {
        elapsed(writers * each, || {
            std::thread::scope(|scope| {
                for writer in 0..writers {
                    let value = &value;
                    scope.spawn(move || {
                        for index in 0..each {
                            let key = keys[shuffled(writer * each + index, ENTRIES)].clone();
                            block_on(store.put(key, value.clone())).expect("it writes");
                        }
                    });
                }
            });
        })
    };
    let by_hand = || elapsed(writers * each, || group_commit(bare, keys, writers, each));
    let result = pair_rounds(7, &mut { ours }, &mut { by_hand });
    report.at_least("throughput / group commit made by hand", result, 0.9);
}

/// What one would write: a thread that takes what is queued, commits it at once, and answers everybody.
fn group_commit(bare: &Bare, keys: &[Key], writers: usize, each: usize) {
    let (queue, requests) = mpsc::channel::<(usize, mpsc::SyncSender<()>)>();
    let requests = Mutex::new(requests);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let requests = requests.lock().expect("nobody panicked");
            while let Ok(first) = requests.recv() {
                let group: Vec<_> = std::iter::once(first).chain(requests.try_iter()).collect();
                let written: Vec<&Key> = group.iter().map(|(index, _)| &keys[*index]).collect();
                bare.commit(&written, true);
                for (_, done) in group {
                    done.send(()).expect("the writer waits");
                }
            }
        });
        for writer in 0..writers {
            let queue = queue.clone();
            scope.spawn(move || {
                let (done, finished) = mpsc::sync_channel(1);
                for index in 0..each {
                    let at = shuffled(writer * each + index, ENTRIES);
                    queue.send((at, done.clone())).expect("the committer runs");
                    finished.recv().expect("the committer answers");
                }
            });
        }
        drop(queue);
    });
}

fn reopen(report: &mut Report) {
    const LARGE: usize = 1_000_000;
    report.section("redb: opening a store of 1,000,000 entries after a clean close");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (path, bare_path) = (dir.path().join("stead"), dir.path().join("bare.redb"));
    let keys = keys(LARGE);
    let store = open(&path);
    load(&store, &keys);
    block_on(store.close()).expect("the store closes");
    drop(store);
    drop(Bare::new(&bare_path, &keys));
    let ours = median(
        (0..7)
            .map(|_| {
                let mut store = None;
                let took = elapsed(1, || store = Some(open(&path)));
                block_on(store.expect("it was opened").close()).expect("the store closes");
                took
            })
            .collect(),
    );
    let bare = median(
        (0..7)
            .map(|_| {
                let mut database = None;
                let took = elapsed(1, || {
                    database = Some(Database::open(&bare_path).expect("redb opens"));
                });
                drop(database);
                took
            })
            .collect(),
    );
    report.limit("stead opens in", ours / 1e6, "ms", 50.0);
    report.compare(
        "open / bare redb open",
        crate::measure::Pair {
            ours_ns: ours,
            bare_ns: bare,
            ratio: ours / bare,
        },
    );
}
