//! fjall: a keyspace for each map, and a batch for each commit.

use std::path::Path;

use fjall::{Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::bare::{Bare, Table, Writes};
use super::{CACHE_BYTES, Engine, options};

/// fjall bare and under Stead.
pub(super) const ENGINE: Engine = Engine {
    name: "fjall",
    bare: |path| Box::new(BareFjall::open(path)),
    stead: |path| {
        let config = stead_fjall::FjallConfig::new(path).with_cache_bytes(CACHE_BYTES as u64);
        stead_fjall::open(&config, options()).expect("the store opens")
    },
};

struct BareFjall {
    database: Database,
    keyspaces: [Keyspace; Table::ALL.len()],
}

impl BareFjall {
    fn open(path: &Path) -> Self {
        let database = Database::builder(path)
            .cache_size(CACHE_BYTES as u64)
            .open()
            .expect("fjall opens its directory");
        let keyspaces = Table::ALL.map(|table| {
            database
                .keyspace(table.name(), KeyspaceCreateOptions::default)
                .expect("a keyspace")
        });
        BareFjall { database, keyspaces }
    }

    fn keyspace(&self, table: Table) -> &Keyspace {
        &self.keyspaces[table as usize]
    }
}

impl Bare for BareFjall {
    fn commit(&self, writes: &Writes<'_>, sync: bool) {
        let persist = if sync {
            PersistMode::SyncData
        } else {
            PersistMode::Buffer
        };
        let mut batch = self.database.batch().durability(Some(persist));
        writes.for_each(|table, key, value| batch.insert(self.keyspace(table), key, value));
        batch.commit().expect("it commits");
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let found = self.keyspace(Table::Data).get(key).expect("it reads")?;
        Some(found.to_vec())
    }

    fn scan(&self, start: &[u8], end: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.keyspace(Table::Data)
            .range(start..end)
            .take(limit)
            .map(|found| {
                let (key, value) = found.into_inner().expect("it reads");
                (key.to_vec(), value.to_vec())
            })
            .collect()
    }

    fn count(&self) -> usize {
        self.keyspace(Table::Data)
            .iter()
            .map(Guard::into_inner)
            .inspect(|found| assert!(found.is_ok(), "it reads"))
            .count()
    }

    fn close(self: Box<Self>) {
        self.database.persist(PersistMode::SyncAll).expect("it syncs");
    }
}
