//! What RocksDB is told when it opens a store.

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, LogLevel, Options};
use stead_core::{Error, Result};
use stead_embedded::Keyspace;

use crate::{Compression, RocksDbConfig};

/// The settings of the database, and those of each of our column families.
pub(crate) struct Settings {
    pub(crate) database: Options,
    families: Options,
}

/// Whether a database is made where none is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Creation {
    Make,
    Refuse,
}

impl Settings {
    pub(crate) fn new(config: &RocksDbConfig, creation: Creation) -> Result<Self> {
        let database = database(config, creation)?;
        let families = families(&database, config);
        Ok(Settings { database, families })
    }

    /// These settings for a database that is only looked at: it stops at the end of the good part of its log, and is
    /// refused if some column families hold in files what others had behind that end.
    pub(crate) fn up_to_damage(mut self) -> Self {
        self.database.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
        self
    }

    /// These settings for a database of which only the files are looked at, whatever is in its log.
    pub(crate) fn without_log(mut self) -> Self {
        self.database
            .set_wal_recovery_mode(DBRecoveryMode::SkipAnyCorruptedRecord);
        self
    }

    /// The names of our column families, and how each is opened.
    pub(crate) fn families(&self) -> impl Iterator<Item = (&'static str, Options)> {
        Keyspace::ALL
            .iter()
            .map(|space| (space.as_str(), self.families.clone()))
    }
}

/// What has no function of its own in the bindings.
///
/// - `track_and_verify_wals`: a log says which one it follows, and what is missing between them is missed.
/// - `max_bgerror_resume_count`: after a failure to write, RocksDB stays stopped until it is opened anew. Only when the disk
///   is full does it go on once there is room, which no option forbids: see `wal::abandoned`.
/// - `db_host_id`: otherwise every file holds the name of the machine.
const BY_NAME: &str = "track_and_verify_wals=true;max_bgerror_resume_count=0;db_host_id=stead";

fn database(config: &RocksDbConfig, creation: Creation) -> Result<Options> {
    let mut options = Options::default()
        .get_options_from_string(BY_NAME)
        .map_err(|error| Error::internal("rocksdb does not know its own options").because(error))?;
    let make = creation == Creation::Make;
    options.create_if_missing(make);
    options.create_missing_column_families(make);
    // The default recovery stops at the first damaged record and opens with what came before. `wal` has looked at the log
    // by then and cut off what a crash may have torn, so whatever RocksDB still does not like is damage.
    options.set_wal_recovery_mode(DBRecoveryMode::AbsoluteConsistency);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_paranoid_checks(true);
    // A log that is written over an old one would hold the old one's records behind its own.
    options.set_recycle_log_file_num(0);
    bound_open_files(&mut options, config.max_open_files());
    options.set_write_buffer_size(config.write_buffer_size());
    options.set_db_write_buffer_size(config.write_buffer_size());
    options.set_max_total_wal_size(2 * config.write_buffer_size() as u64);
    // RocksDB's own log of what it does: warnings only, two small files, no statistics.
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(1 << 20);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    Ok(options)
}

fn bound_open_files(options: &mut Options, files: Option<u32>) {
    let Some(files) = files else {
        options.set_max_open_files(-1);
        return;
    };
    options.set_max_open_files(i32::try_from(files).unwrap_or(i32::MAX));
    // The open files are spread over shards, each of which keeps at least one: 64 unless told otherwise, however small
    // the bound is.
    let shards = (files / 64).clamp(1, 64);
    options.set_table_cache_num_shard_bits(i32::try_from(shards.ilog2()).unwrap_or(0));
}

fn families(database: &Options, config: &RocksDbConfig) -> Options {
    let mut options = database.clone();
    options.set_compression_type(match config.compression {
        Compression::None => DBCompressionType::None,
        Compression::Lz4 => DBCompressionType::Lz4,
        Compression::Zstd => DBCompressionType::Zstd,
    });
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(config.cache_capacity));
    // Ten bits for each key save nine of ten reads of files that do not have it, in each level.
    table.set_bloom_filter(10.0, false);
    options.set_block_based_table_factory(&table);
    options
}
