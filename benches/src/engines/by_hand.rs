//! What one would write around a bare engine: revisions, flushes now and then, and a group commit.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};

use stead_core::Key;

use super::{Bare, Engine, Writes, data_record};
use crate::measure::Stopwatch;
use crate::workload::values;

/// The flush interval of both sides.
const FLUSH_MS: u128 = 100;

/// A bare engine with hand-made index records beside the data. Its buffered commits reach the disk as Stead's do: one
/// commit every 100 ms is durable.
pub struct ByHand {
    engine: Box<dyn Bare>,
    records: Vec<Vec<u8>>,
    revision: AtomicU64,
    flushed: Mutex<Stopwatch>,
}

impl ByHand {
    /// Opens `engine` bare at `path`.
    #[must_use]
    pub fn open(engine: &Engine, path: &Path) -> Self {
        ByHand {
            engine: (engine.bare)(path),
            records: values().iter().map(|value| data_record(value)).collect(),
            revision: AtomicU64::new(0),
            flushed: Mutex::new(Stopwatch::start()),
        }
    }

    /// The engine itself, to read from.
    #[must_use]
    pub fn engine(&self) -> &dyn Bare {
        &*self.engine
    }

    /// Commits `keys` as one batch, durable only if a flush is due.
    ///
    /// # Panics
    ///
    /// When the engine fails.
    pub fn put_buffered(&self, keys: &[Key]) {
        let mut flushed = self.flushed.lock().expect("nobody panicked");
        let due = flushed.millis() >= FLUSH_MS;
        if due {
            *flushed = Stopwatch::start();
        }
        drop(flushed);
        self.commit(&[keys], due);
    }

    /// Commits one key durably. Many threads may do so at once: this is the engine's own way of concurrent fsynced puts.
    ///
    /// # Panics
    ///
    /// When the engine fails.
    pub fn put_durable(&self, key: &Key) {
        self.commit(&[std::slice::from_ref(key)], true);
    }

    /// Writes all `keys` in batches of `size`, and makes them durable.
    ///
    /// # Panics
    ///
    /// When the engine fails.
    pub fn load(&self, keys: &[Key], size: usize) {
        for batch in keys.chunks(size) {
            self.put_buffered(batch);
        }
        self.commit(&[&keys[..1]], true);
    }

    /// A hand-made group commit: `writers` threads put `each` keys, and one more thread takes what is queued, commits it
    /// at once and answers everybody. `key` says what a writer puts.
    ///
    /// # Panics
    ///
    /// When the engine fails.
    pub fn group_commit<'k>(
        &self,
        writers: usize,
        each: usize,
        key: &(dyn Fn(usize, usize) -> &'k Key + Sync),
    ) {
        let (queue, requests) = mpsc::channel::<(&Key, mpsc::SyncSender<()>)>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while let Ok(first) = requests.recv() {
                    let group: Vec<_> = std::iter::once(first).chain(requests.try_iter()).collect();
                    let batches: Vec<_> = group.iter().map(|(key, _)| std::slice::from_ref(*key)).collect();
                    self.commit(&batches, true);
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
                        queue
                            .send((key(writer, index), done.clone()))
                            .expect("the committer runs");
                        finished.recv().expect("the committer answers");
                    }
                });
            }
            drop(queue);
        });
    }

    /// Releases the files.
    pub fn close(self) {
        self.engine.close();
    }

    fn commit(&self, batches: &[&[Key]], sync: bool) {
        let revision = self.revision.fetch_add(batches.len() as u64, Ordering::Relaxed);
        let writes = Writes {
            batches,
            revision,
            records: &self.records,
        };
        self.engine.commit(&writes, sync);
    }
}
