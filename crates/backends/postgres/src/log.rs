//! The change log as watches read it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use stead_core::kit::{ChangeSource, LogRead, Signal};
use stead_core::{Change, ChangeKind, ChangeSet, Error, Reply, Result, Revision};
use tokio_postgres::Row;

use crate::convert::{column, key_from_sql, revision_from_sql, revision_to_sql};
use crate::shared::Shared;

/// One watch's way to the log.
pub(crate) struct Log {
    shared: Arc<Shared>,
    began: Revision,
}

impl Log {
    /// The log for a watch that begins when the store stands at `began`.
    pub(crate) fn new(shared: &Arc<Shared>, began: Revision) -> Self {
        shared.watches.fetch_add(1, Ordering::SeqCst);
        shared.watched.notify_one();
        Log {
            shared: Arc::clone(shared),
            began,
        }
    }

    async fn read(&self, after: Revision, limit: usize) -> Result<LogRead> {
        // Looked at first: what was committed before the end is then seen below.
        if self.shared.ended_at().is_some_and(|last| after >= last) {
            return Err(Error::closed());
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = &self.shared.sql.changes;
        let rows = self.shared.read(sql, &[&revision_to_sql(after), &limit]).await?;
        let first = rows
            .first()
            .ok_or_else(|| Error::corrupt("the store's head is missing; restore it from a backup"))?;
        let floor = revision_from_sql(column(first, 0)?)?;
        let newest = revision_from_sql(column(first, 1)?)?;
        if after < floor {
            return Ok(LogRead::Compacted { oldest: floor });
        }
        self.shared.publish(newest);
        let mut sets = Vec::with_capacity(rows.len());
        for row in &rows {
            sets.extend(set(row)?);
        }
        // Every revision behind the floor has its set, be it empty: what comes after the last one was not read.
        let up_to = sets
            .last()
            .map_or(newest.max(after), |last: &ChangeSet| last.revision);
        Ok(LogRead::Sets { sets, up_to })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.watches.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The change set of a row, if there is one.
fn set(row: &Row) -> Result<Option<ChangeSet>> {
    let Some(revision) = column::<Option<i64>>(row, 2)? else {
        return Ok(None);
    };
    let keys: Vec<&[u8]> = column(row, 3)?;
    let kinds: Option<&[u8]> = column(row, 4)?;
    if kinds.is_some_and(|kinds| kinds.len() != keys.len()) {
        return Err(damaged().with("revision", revision));
    }
    let changes = keys.into_iter().enumerate().map(|(index, key)| {
        Ok(Change {
            key: key_from_sql(key)?,
            kind: kinds.map_or(Ok(ChangeKind::Put), |kinds| kind(kinds[index]))?,
        })
    });
    Ok(Some(ChangeSet {
        revision: revision_from_sql(revision)?,
        changes: changes.collect::<Result<_>>()?,
    }))
}

fn kind(byte: u8) -> Result<ChangeKind> {
    match byte {
        0 => Ok(ChangeKind::Put),
        1 => Ok(ChangeKind::Delete),
        2 => Ok(ChangeKind::Expired),
        _ => Err(damaged()),
    }
}

fn damaged() -> Error {
    Error::corrupt("a change set is not what was written; restore the store from a backup")
}

impl ChangeSource for Log {
    fn read_after(&self, after: Revision, limit: usize) -> Reply<'_, LogRead> {
        Reply::pending(self.read(after, limit))
    }

    fn published(&self) -> Revision {
        self.began
    }

    fn signal(&self) -> &Signal {
        &self.shared.signal
    }
}
