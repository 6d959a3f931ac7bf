//! Opening a database so that nothing is lost in silence.

use std::path::Path;

use rocksdb::{DB, Options};
use stead_core::{Error, Result};
use stead_embedded::{Keyspace, StoreDirectory};

use crate::closed::Closed;
use crate::options::{Creation, Settings};
use crate::wal::{self, Log};
use crate::{RocksDbConfig, error};

/// The oldest log file that still holds what is in no other file.
const OLDEST_LOG: &str = "rocksdb.min-log-number-to-keep";

/// Opens the database for writing, or makes it. Only while the lock is held.
pub(crate) fn open_writable(
    config: &RocksDbConfig,
    directory: &StoreDirectory,
    closed: &Closed,
) -> Result<DB> {
    directory.begin()?;
    let data = directory.data();
    let there = data.exists();
    if there && !directory.is_marked()? {
        check_ours(&data)?;
    }
    let recorded = closed.read()?;
    if there && recorded.is_none() {
        settle(config, &data)?;
    }
    let creation = if there { Creation::Refuse } else { Creation::Make };
    let settings = Settings::new(config, creation)?;
    let db = DB::open_cf_with_opts(&settings.database, &data, settings.families())
        .map_err(|error| error::opening(error, &data))?;
    if let Some(recorded) = recorded {
        closed.compare(recorded, db.latest_sequence_number())?;
        closed.remove()?;
    }
    directory.mark()?;
    Ok(db)
}

/// Opens the database for reading, and leaves every byte as it is.
pub(crate) fn open_read_only(
    config: &RocksDbConfig,
    directory: &StoreDirectory,
    closed: &Closed,
) -> Result<DB> {
    let data = directory.data();
    let recorded = closed.read()?;
    let is_whole =
        || Ok::<_, Error>(wal::torn_end(&data)?.is_none() && look_at_log(config, &data)? == Log::Whole);
    if recorded.is_none() && !is_whole()? {
        return Err(Error::unavailable(
            "the store was not closed cleanly; open it once for writing, which repairs it",
        )
        .with("path", data.display())
        .during("open"));
    }
    let db = view_files(&Settings::new(config, Creation::Refuse)?, &data)?;
    if let Some(recorded) = recorded {
        closed.compare(recorded, db.latest_sequence_number())?;
    }
    Ok(db)
}

/// Opens the files of a database that somebody may have open for writing.
pub(crate) fn view_files(settings: &Settings, data: &Path) -> Result<DB> {
    DB::open_cf_with_opts_for_read_only(&settings.database, data, settings.families(), false)
        .map_err(|error| error::opening(error, data))
}

/// Which log files of an open database are still needed.
pub(crate) fn oldest_log(db: &DB) -> Result<u64> {
    db.property_int_value(OLDEST_LOG)
        .map_err(error::reading)?
        .ok_or_else(|| Error::internal("rocksdb does not say which log it needs"))
}

/// What lies there without our marker is a stranger's, unless it has just our column families: then the marker is lost.
fn check_ours(data: &Path) -> Result<()> {
    let stranger = |cause: Option<rocksdb::Error>| {
        let error = Error::corrupt("the directory holds files that are not those of a stead store")
            .with("path", data.display())
            .during("open");
        match cause {
            Some(cause) => error.because(cause),
            None => error,
        }
    };
    let families = DB::list_cf(&Options::default(), data).map_err(|cause| stranger(Some(cause)))?;
    let ours = Keyspace::ALL
        .iter()
        .all(|space| families.iter().any(|name| name == space.as_str()));
    if ours && families.len() == Keyspace::ALL.len() + 1 {
        Ok(())
    } else {
        Err(stranger(None))
    }
}

/// Cuts torn ends off the manifest and the log, and refuses a damaged log.
fn settle(config: &RocksDbConfig, data: &Path) -> Result<()> {
    if let Some(cut) = wal::torn_end(data)? {
        wal::cut(&[cut])?;
    }
    match look_at_log(config, data)? {
        Log::Torn(cuts) => wal::cut(&cuts),
        _ => Ok(()),
    }
}

/// Examines the log after an unclean end.
///
/// # Errors
///
/// `Corrupt` for damage to what was synced.
fn look_at_log(config: &RocksDbConfig, data: &Path) -> Result<Log> {
    // Most logs are whole from the first file on. Else a file may be missing because it is not needed any more, and only
    // RocksDB knows which are.
    let mut log = wal::examine(data, 0)?;
    if log != Log::Whole {
        let settings = Settings::new(config, Creation::Refuse)?.tolerant();
        let oldest = oldest_log(&view_files(&settings, data)?)?;
        log = wal::examine(data, oldest)?;
    }
    check_log(log)
}

/// # Errors
///
/// `Corrupt` for damage to what was synced.
pub(crate) fn check_log(log: Log) -> Result<Log> {
    let Log::Damaged { file, offset } = log else {
        return Ok(log);
    };
    Err(Error::corrupt(
        "the log is damaged where it was safe on disk, and later writes follow; restore the store from a backup",
    )
    .with("file", file.display())
    .with("offset_bytes", offset))
}
