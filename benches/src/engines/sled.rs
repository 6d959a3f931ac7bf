//! sled: one tree with a byte in front of each key, because a batch is atomic within a tree, and a transaction over
//! several trees costs more.

use std::fs::File;
use std::path::Path;

use sled::{Batch, Db};

use super::bare::{Bare, Table, Writes};
use super::{CACHE_BYTES, Engine, options};

/// sled bare and under Stead.
pub(super) const ENGINE: Engine = Engine {
    name: "sled",
    bare: |path| Box::new(BareSled::open(path)),
    stead: |path| {
        let config = stead_sled::SledConfig::new(path)
            .with_cache_capacity(CACHE_BYTES as u64)
            // Once in so much time, as the bare side; not also after so many batches.
            .with_flush_every(u64::MAX);
        stead_sled::open(&config, options()).expect("the store opens")
    },
};

const CLEAN_EVERY_MS: u64 = 100;

struct BareSled {
    database: Db,
    /// What sled's own flush leaves in the disk's cache is synced here, as Stead does.
    log: File,
}

impl BareSled {
    fn open(path: &Path) -> Self {
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES as u64)
            // sled cleans its log up on a thread that also syncs: as often as under Stead.
            .flush_every_ms(Some(CLEAN_EVERY_MS));
        let database = config.open().expect("sled opens its directory");
        let log = File::open(path.join("db")).expect("sled has a log");
        BareSled { database, log }
    }

    fn sync(&self) {
        self.database.flush().expect("it flushes");
        self.log.sync_data().expect("it syncs");
    }
}

fn place(table: Table, key: &[u8]) -> Vec<u8> {
    let mut place = Vec::with_capacity(1 + key.len());
    place.push(table as u8);
    place.extend_from_slice(key);
    place
}

impl Bare for BareSled {
    fn commit(&self, writes: &Writes<'_>, sync: bool) {
        let mut batch = Batch::default();
        writes.for_each(|table, key, value| batch.insert(place(table, key), value));
        self.database.apply_batch(batch).expect("it writes");
        if sync {
            self.sync();
        }
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let found = self.database.get(place(Table::Data, key)).expect("it reads")?;
        Some(found.to_vec())
    }

    fn scan(&self, start: &[u8], end: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let range = place(Table::Data, start)..place(Table::Data, end);
        self.database
            .range(range)
            .take(limit)
            .map(|found| {
                let (key, value) = found.expect("it reads");
                (key[1..].to_vec(), value.to_vec())
            })
            .collect()
    }

    fn count(&self) -> usize {
        let found = self.database.scan_prefix([Table::Data as u8]);
        found.inspect(|found| assert!(found.is_ok(), "it reads")).count()
    }

    fn close(self: Box<Self>) {
        self.sync();
    }
}
