//! Reading every record and index, and comparing them with each other.

use stead_core::{CheckReport, Error, Key, Result};

use crate::convert::{column, key_from_sql, number_from_sql, revision_from_sql, revision_to_sql};
use crate::error::into_error;
use crate::server::{Purpose, Session};
use crate::shared::Shared;

/// Records that are asked for at once.
const PAGE: i64 = 4096;

type Progress<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// Checks the store as it is at one instant.
///
/// # Errors
///
/// `Corrupt` for the first thing that does not fit; other kinds where reading failed.
pub(crate) async fn check(shared: &Shared, progress: Progress<'_>) -> Result<CheckReport> {
    let session = shared
        .server
        .session(Purpose::Snapshot)
        .await
        .map_err(into_error)?;
    let begin =
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0";
    let checked = async {
        session.run(begin).await.map_err(into_error)?;
        let report = Checker::begin(shared, &session, progress).await?.run().await?;
        session.run("COMMIT").await.map_err(into_error)?;
        Ok(report)
    };
    let report = checked.await;
    if report.is_err() {
        session.abandon();
    }
    report
}

struct Checker<'a> {
    shared: &'a Shared,
    session: &'a Session,
    progress: Progress<'a>,
    newest: u64,
    floor: u64,
    /// What the newest change set says that there is.
    entries: u64,
    bytes: u64,
    records: u64,
}

impl<'a> Checker<'a> {
    async fn begin(shared: &'a Shared, session: &'a Session, progress: Progress<'a>) -> Result<Self> {
        let head = session.row(&shared.sql.stats, &[]).await.map_err(into_error)?;
        Ok(Checker {
            shared,
            session,
            progress,
            newest: number_from_sql(column(&head, 0)?)?,
            entries: number_from_sql(column(&head, 1)?)?,
            bytes: number_from_sql(column(&head, 2)?)?,
            floor: number_from_sql(column(&head, 3)?)?,
            records: 0,
        })
    }

    async fn run(mut self) -> Result<CheckReport> {
        self.entries().await?;
        self.changes().await?;
        self.requests().await?;
        Ok(CheckReport::new(self.entries, self.records))
    }

    fn read(&mut self, records: usize) {
        self.records += records as u64;
        (self.progress)(self.records);
    }

    async fn entries(&mut self) -> Result<()> {
        let (mut entries, mut bytes, mut deadlines) = (0, 0, 0);
        let mut last: Option<Key> = None;
        loop {
            let after = last.as_ref().map_or(&[][..], Key::as_bytes);
            let rows = self
                .session
                .rows(&self.shared.sql.check_entries, &[&after, &PAGE])
                .await;
            let rows = rows.map_err(into_error)?;
            self.read(rows.len());
            for row in &rows {
                let key = key_from_sql(column(row, 0)?)?;
                let revision = revision_from_sql(column(row, 2)?)?.get();
                if revision == 0 || revision > self.newest {
                    return Err(
                        damaged("an entry has a revision that the store has not reached").with("key", &key)
                    );
                }
                if last.as_ref().is_some_and(|last| *last >= key) {
                    return Err(
                        damaged("the index of the keys is out of order; REINDEX it").with("key", &key)
                    );
                }
                let value: i32 = column(row, 1)?;
                entries += 1;
                bytes += key.as_bytes().len() as u64 + number_from_sql(value.into())?;
                deadlines += u64::from(column::<Option<i64>>(row, 3)?.is_some());
                last = Some(key);
            }
            if rows.is_empty() {
                break;
            }
        }
        let indexed = self.session.row(&self.shared.sql.check_deadlines, &[]).await;
        let indexed = number_from_sql(column(&indexed.map_err(into_error)?, 0)?)?;
        self.same(
            "the index of the deadlines does not fit the entries; REINDEX it",
            indexed,
            deadlines,
        )?;
        self.same(
            "the number of entries is not what was counted",
            entries,
            self.entries,
        )?;
        self.same(
            "the size of the entries is not what was counted",
            bytes,
            self.bytes,
        )
    }

    fn same(&self, message: &'static str, found: u64, expected: u64) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        Err(damaged(message).with("found", found).with("expected", expected))
    }

    async fn changes(&mut self) -> Result<()> {
        let mut last = self.floor;
        loop {
            let after = revision_to_sql(stead_core::Revision::new(last));
            let rows = self
                .session
                .rows(&self.shared.sql.check_changes, &[&after, &PAGE])
                .await;
            let rows = rows.map_err(into_error)?;
            self.read(rows.len());
            for row in &rows {
                let revision = number_from_sql(column(row, 0)?)?;
                self.same("a change set is missing", revision, last + 1)?;
                let (keys, kinds): (i32, Option<i32>) = (column(row, 1)?, column(row, 2)?);
                if kinds.is_some_and(|kinds| kinds != keys) {
                    return Err(damaged("a change set is not what was written").with("revision", revision));
                }
                last = revision;
            }
            if rows.is_empty() {
                return self.same(
                    "the change log does not reach the newest revision",
                    last,
                    self.newest,
                );
            }
        }
    }

    async fn requests(&mut self) -> Result<()> {
        let mut last = 0_i64;
        loop {
            let rows = self
                .session
                .rows(&self.shared.sql.check_requests, &[&last, &PAGE])
                .await;
            let rows = rows.map_err(into_error)?;
            self.read(rows.len());
            for row in &rows {
                last = column(row, 0)?;
                let (id, fingerprint): (i32, i32) = (column(row, 1)?, column(row, 2)?);
                let outcome: i16 = column(row, 3)?;
                let (revision, place): (Option<i64>, Option<i32>) = (column(row, 4)?, column(row, 5)?);
                let whole = match outcome {
                    0 => revision.is_some(),
                    1 => place.is_some(),
                    _ => false,
                };
                if !(1..=64).contains(&id) || fingerprint != 32 || !whole {
                    return Err(damaged("a remembered request is not what was written").with("number", last));
                }
            }
            if rows.is_empty() {
                return Ok(());
            }
        }
    }
}

fn damaged(message: &'static str) -> Error {
    Error::corrupt(message)
}
