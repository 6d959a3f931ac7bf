//! RocksDB: a column family for each map, and a write batch for each commit.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, DB, DBCompressionType, Direction, IteratorMode, Options,
    ReadOptions, WriteBatch, WriteOptions,
};

use super::bare::{Bare, Table, Writes};
use super::{CACHE_BYTES, Engine, options};

/// RocksDB bare and under Stead.
pub(super) const ENGINE: Engine = Engine {
    name: "rocksdb",
    bare: |path| Box::new(BareRocksDb::open(path)),
    stead: |path| {
        let config = stead_rocksdb::RocksDbConfig::new(path)
            .with_cache_capacity(CACHE_BYTES)
            .with_write_buffer_size(WRITE_BUFFER_BYTES);
        stead_rocksdb::open(&config, options()).expect("the store opens")
    },
};

const WRITE_BUFFER_BYTES: usize = 64 << 20;

struct BareRocksDb(DB);

impl BareRocksDb {
    /// With the settings that make a difference to speed and size as Stead has them.
    fn open(path: &Path) -> Self {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&Cache::new_lru_cache(CACHE_BYTES));
        blocks.set_bloom_filter(10.0, false);
        let mut options = Options::default();
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_write_buffer_size(WRITE_BUFFER_BYTES);
        options.set_db_write_buffer_size(WRITE_BUFFER_BYTES);
        options.set_max_total_wal_size(2 * WRITE_BUFFER_BYTES as u64);
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_block_based_table_factory(&blocks);
        let families = Table::ALL.map(|table| (table.name(), options.clone()));
        let database = DB::open_cf_with_opts(&options, path, families).expect("RocksDB opens its directory");
        BareRocksDb(database)
    }

    fn family(&self, table: Table) -> &ColumnFamily {
        self.0.cf_handle(table.name()).expect("a column family")
    }

    fn records(
        &self,
        from: IteratorMode<'_>,
        options: ReadOptions,
    ) -> impl Iterator<Item = (Box<[u8]>, Box<[u8]>)> {
        self.0
            .iterator_cf_opt(self.family(Table::Data), options, from)
            .map(|found| found.expect("it reads"))
    }
}

impl Bare for BareRocksDb {
    fn commit(&self, writes: &Writes<'_>, sync: bool) {
        let families = Table::ALL.map(|table| self.family(table));
        let mut batch = WriteBatch::default();
        writes.for_each(|table, key, value| batch.put_cf(families[table as usize], key, value));
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.0.write_opt(batch, &options).expect("it commits");
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get_cf(self.family(Table::Data), key).expect("it reads")
    }

    fn scan(&self, start: &[u8], end: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(end);
        self.records(IteratorMode::From(start, Direction::Forward), options)
            .take(limit)
            .map(|(key, value)| (key.into_vec(), value.into_vec()))
            .collect()
    }

    fn count(&self) -> usize {
        self.records(IteratorMode::Start, ReadOptions::default()).count()
    }

    fn close(self: Box<Self>) {
        self.0.flush_wal(true).expect("it syncs");
    }
}
