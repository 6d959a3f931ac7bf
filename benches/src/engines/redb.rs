//! redb: a table for each map, and a transaction for each commit.

use std::path::Path;

use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition};

use super::bare::{Bare, Table, Writes};
use super::{CACHE_BYTES, Engine, options};

/// redb bare and under Stead.
pub(super) const ENGINE: Engine = Engine {
    name: "redb",
    bare: |path| Box::new(BareRedb::open(path)),
    stead: |path| {
        let config = stead_redb::RedbConfig::new(path).with_cache_bytes(CACHE_BYTES);
        stead_redb::open(&config, options()).expect("the store opens")
    },
};

const fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

struct BareRedb(Database);

impl BareRedb {
    fn open(path: &Path) -> Self {
        std::fs::create_dir_all(path).expect("a directory");
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(path.join("bare.redb"))
            .expect("redb opens its file");
        BareRedb(database)
    }

    fn data(&self) -> ReadOnlyTable<&'static [u8], &'static [u8]> {
        let transaction = self.0.begin_read().expect("a transaction");
        transaction.open_table(definition(Table::Data)).expect("a table")
    }
}

impl Bare for BareRedb {
    fn commit(&self, writes: &Writes<'_>, sync: bool) {
        let mut transaction = self.0.begin_write().expect("a transaction");
        if sync {
            transaction.set_two_phase_commit(true);
        } else {
            transaction
                .set_durability(Durability::None)
                .expect("no savepoints are open");
        }
        {
            let open = |table| transaction.open_table(definition(table)).expect("a table");
            let (mut data, mut changes, mut meta) =
                (open(Table::Data), open(Table::Changes), open(Table::Meta));
            writes.for_each(|table, key, value| {
                let table = match table {
                    Table::Data => &mut data,
                    Table::Changes => &mut changes,
                    Table::Meta => &mut meta,
                };
                table.insert(key, value).expect("it writes");
            });
        }
        transaction.commit().expect("it commits");
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let found = self.data().get(key).expect("it reads")?;
        Some(found.value().to_vec())
    }

    fn scan(&self, start: &[u8], end: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let range = self.data().range(start..end).expect("it reads");
        range
            .take(limit)
            .map(|found| {
                let (key, value) = found.expect("it reads");
                (key.value().to_vec(), value.value().to_vec())
            })
            .collect()
    }

    fn count(&self) -> usize {
        let range = self.data().range::<&[u8]>(..).expect("it reads");
        range.inspect(|found| assert!(found.is_ok(), "it reads")).count()
    }

    fn close(self: Box<Self>) {
        // Dropping a redb database closes it, and makes durable what it holds.
    }
}
