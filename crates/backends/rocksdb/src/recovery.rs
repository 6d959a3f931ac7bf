//! Opening a database so that nothing is lost in silence.

use std::path::Path;

use rocksdb::{DB, Options};
use stead_core::{Error, Result};
use stead_embedded::{Keyspace, StoreDirectory};

use crate::options::{Creation, Settings};
use crate::session::{Session, SessionFile};
use crate::wal::{self, Log, manifest};
use crate::{RocksDbConfig, error};

/// The oldest log file that still holds what is in no other file.
const OLDEST_LOG: &str = "rocksdb.min-log-number-to-keep";

/// Opens the database for writing, or makes it. Only while the lock is held.
pub(crate) fn open_writable(
    config: &RocksDbConfig,
    directory: &StoreDirectory,
    file: &SessionFile,
) -> Result<DB> {
    directory.begin()?;
    let data = directory.data();
    let there = data.exists();
    if there && !directory.is_marked()? {
        check_ours(&data)?;
    }
    // A store that is being made has no session yet.
    let session = if there { file.read()? } else { None };
    if there {
        settle(config, &data, session.as_ref())?;
    }
    let creation = if there { Creation::Refuse } else { Creation::Make };
    let settings = Settings::new(config, creation)?;
    let db = DB::open_cf_with_opts(&settings.database, &data, settings.families())
        .map_err(|error| error::opening(error, &data))?;
    file.compare(session.as_ref(), db.latest_sequence_number())?;
    directory.mark()?;
    file.write(&manifest::settle(&data)?)?;
    Ok(db)
}

/// Opens the database for reading, and leaves every byte as it is.
pub(crate) fn open_read_only(
    config: &RocksDbConfig,
    directory: &StoreDirectory,
    file: &SessionFile,
) -> Result<DB> {
    let data = directory.data();
    let session = file.read()?;
    let whole = manifest::torn_end(&data, session.as_ref())?.is_none()
        && (is_clean(session.as_ref()) || look_at_log(config, &data)? == Log::Whole);
    if !whole {
        return Err(Error::unavailable(
            "the store was not closed cleanly; open it once for writing, which repairs it",
        )
        .with("path", data.display())
        .during("open"));
    }
    let db = view_files(&Settings::new(config, Creation::Refuse)?, &data)?;
    file.compare(session.as_ref(), db.latest_sequence_number())?;
    Ok(db)
}

/// After a clean close everything is in files with checksums of their own, and the log does not matter.
fn is_clean(session: Option<&Session>) -> bool {
    matches!(session, Some(Session::Closed(_)))
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

/// Cuts torn ends off the manifest and the log, puts right what a failed write left, and refuses what is damaged.
fn settle(config: &RocksDbConfig, data: &Path, session: Option<&Session>) -> Result<()> {
    if let Some(cut) = manifest::torn_end(data, session)? {
        wal::cut(&[cut])?;
    }
    if is_clean(session) {
        return Ok(());
    }
    loop {
        match look_at_log(config, data)? {
            Log::Torn(cuts) => return wal::cut(&cuts),
            // Each opening may have left one, and each that is put right is none any more.
            Log::Abandoned(abandoned) => abandoned.mend()?,
            Log::Whole | Log::Damaged { .. } => return Ok(()),
        }
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
    if !matches!(log, Log::Whole | Log::Abandoned(_)) {
        let settings = Settings::new(config, Creation::Refuse)?.without_log();
        let oldest = oldest_log(&view_files(&settings, data)?)?;
        log = check_log(wal::examine(data, oldest)?)?;
    }
    if matches!(log, Log::Torn(_)) {
        let settings = Settings::new(config, Creation::Refuse)?.up_to_damage();
        view_files(&settings, data)?;
    }
    Ok(log)
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

#[cfg(test)]
mod tests;
