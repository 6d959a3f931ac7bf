//! The store.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stead_core::kit::{LogWatcher, admit, admit_keys, admit_scan, admit_watch};
use stead_core::{
    Backend, Capabilities, CheckReport, Cursor, Durability, Entry, Error, Fingerprint, Key, Outcome, Read,
    Reply, Result, Revision, Scan, Snapshot as AnySnapshot, Stats, WatchFrom, WatchSpec, Watcher, WriteBatch,
};
use stead_network::{Background, NetworkOptions, Repeat, ask};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::commit::{conflict, instant};
use crate::convert::{column, number_from_sql, revision_from_sql, time_to_sql};
use crate::log::Log;
use crate::plan::{Checks, Piece, some, unless_wrong};
use crate::queue::Waiting;
use crate::read::{PageCursor, Source, get, get_many};
use crate::server::{Purpose, Sql};
use crate::shared::{Shared, newest_of};
use crate::snapshot::Snapshot;
use crate::{PostgresConfig, check, error, open, tasks};

/// A store in a schema of a PostgreSQL database.
///
/// - Batches of one handle that wait together are committed by one transaction and one round trip, each judged in turn.
///   Transactions of several handles wait for each other.
/// - Reads go to a pool of connections and are repeated when one breaks, until the retry deadline.
/// - A snapshot is a transaction on a connection of its own; those of one revision share it. Many that are held for long
///   need `snapshots` to be raised, and keep the server from clearing away old versions.
/// - Watches are told by the server, or poll where it cannot tell.
///
/// It works on the tokio runtime on which it was opened.
///
/// # Cancellation
///
/// A batch is handed over by the call itself; dropping the reply takes nothing back.
///
/// # Closing
///
/// [`close`](Backend::close) commits what waits, ends snapshots and lets go of the connections. Dropping the store without
/// it lets the batches that were handed over be committed, and nothing waits for them.
pub struct PostgresBackend {
    shared: Arc<Shared>,
    sweeper: Option<Background>,
    follower: AbortHandle,
    closing: tokio::sync::Mutex<bool>,
}

impl PostgresBackend {
    /// Opens the store that `config` names, and makes it where it is missing.
    ///
    /// # Errors
    ///
    /// - `Invalid`: there is something else in the schema; no such database; no tokio runtime; settings that cannot be;
    /// - `Denied`: the login, or the right to make the schema;
    /// - `Corrupt`: the store was written by a newer Stead, or is not what was written;
    /// - `Unsupported`: the server is too old;
    /// - `Unavailable`: the server cannot be reached until the retry deadline, or takes no writes.
    pub async fn open(config: PostgresConfig, options: NetworkOptions) -> Result<Arc<Self>> {
        let servers = config.hosts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let shared = open::open(config, options)
            .await
            .map_err(|error| error.with("server", servers.join(",")).during("open"))?;
        let sweeper = shared.capabilities.writable.then(|| {
            let swept = Arc::clone(&shared);
            let rounds = Arc::new(AtomicU64::new(0));
            Background::every(shared.options.sweep_interval, move || {
                let (shared, rounds) = (Arc::clone(&swept), Arc::clone(&rounds));
                async move { tasks::sweep(&shared, rounds.fetch_add(1, Ordering::Relaxed)).await }
            })
        });
        let follower = tokio::spawn(tasks::follow(Arc::clone(&shared))).abort_handle();
        Ok(Arc::new(PostgresBackend {
            shared,
            sweeper,
            follower,
            closing: tokio::sync::Mutex::new(false),
        }))
    }

    /// The id that this store was given when it was made: two stores with the same one hold the same history.
    #[must_use]
    pub fn lineage(&self) -> u128 {
        u128::from_be_bytes(self.shared.lineage)
    }

    /// Whether the server tells watches of commits; they poll where it cannot, as behind a proxy that pools transactions.
    #[must_use]
    pub fn is_told_of_commits(&self) -> bool {
        self.shared.server.sessions
    }

    fn apply_inner(&self, batch: WriteBatch) -> Reply<'_, Outcome> {
        let shared = &self.shared;
        if let Err(error) = shared
            .check_open()
            .and_then(|()| admit(&shared.capabilities, &batch))
        {
            return Reply::fail(error);
        }
        if batch.mutations().is_empty() && batch.id().is_none() {
            return Reply::pending(async move { self.judge(batch).await });
        }
        if !shared.capabilities.writable {
            return Reply::fail(Error::unsupported("the store is open for reading only"));
        }
        let (done, outcome) = oneshot::channel();
        let waiting = Waiting {
            durable: shared.capabilities.durability(batch.wanted_durability()) == Durability::Durable,
            fingerprint: batch.id().map(|_| Fingerprint::of(&batch)),
            since: instant(),
            may_be_done: false,
            batch,
            done,
        };
        if waiting.fingerprint.is_some() {
            shared.remembered.fetch_add(1, Ordering::Relaxed);
        }
        match shared.submit(waiting) {
            Ok(()) => Reply::pending(async move { outcome.await.unwrap_or_else(|_| Err(lost())) }),
            Err(error) => Reply::fail(error),
        }
    }

    /// A batch that only asks is judged at one instant, without the store's lock.
    async fn judge(&self, batch: WriteBatch) -> Result<Outcome> {
        let shared = &self.shared;
        let now = shared.options.clock.now();
        let wrong = Piece::new(&batch, None, now).wrong;
        let checks = Checks::of(&batch);
        let now = time_to_sql(now);
        let params: &[&(dyn ToSql + Sync)] = &[
            &now,
            &some(&checks.batch),
            &some(&checks.place),
            &some(&checks.expect),
            &some(&checks.key),
            &some(&checks.end),
            &some(&checks.number),
        ];
        let row = shared.read_row(&shared.sql.judge, params).await?;
        match column::<Option<i32>>(&row, 1)? {
            Some(place) => {
                shared.counters.conflicts.fetch_add(1, Ordering::Relaxed);
                Ok(Outcome::Rejected(conflict(&batch, place, column(&row, 2)?)?))
            }
            None => {
                let revision = revision_from_sql(column(&row, 0)?)?;
                unless_wrong(Outcome::Committed(revision), false, wrong)
            }
        }
    }

    /// The newest revision, for a watch to begin at.
    fn newest_now(&self, spec: &WatchSpec) -> Result<Revision> {
        let shared = &*self.shared;
        let known = shared.known();
        if let WatchFrom::After(revision) = spec.from
            && revision <= known
        {
            return Ok(known);
        }
        ask(shared.options.timeout, || async move {
            let asked = shared.retry.run(Repeat::Read, || async {
                let (client, connection) = shared.server.connect().await?;
                let driver = tokio::spawn(connection);
                let row = client.query_typed_one(&shared.sql.newest.text, &[]).await;
                driver.abort();
                row.map_err(error::asking)
            });
            let (newest, _) = newest_of(&asked.await?)?;
            shared.publish(newest);
            Ok(newest)
        })
    }

    async fn sync_inner(&self) -> Result<()> {
        let shared = &self.shared;
        if !shared.capabilities.writable {
            return Ok(());
        }
        let setting = shared.probe.synchronous_commit_of_sync();
        shared
            .retry
            .run(Repeat::Read, || async {
                let session = shared.server.session(Purpose::Read).await?;
                session.rows(&shared.sql.sync, &[&setting]).await.map(drop)
            })
            .await
    }

    async fn stats_inner(&self) -> Result<Stats> {
        let shared = &self.shared;
        shared.check_open()?;
        let row = shared.read_row(&shared.sql.stats, &[]).await?;
        let counters = &shared.counters;
        let mut stats = Stats::default();
        stats.revision = revision_from_sql(column(&row, 0)?)?;
        stats.entries = number_from_sql(column(&row, 1)?)?;
        stats.bytes = number_from_sql(column(&row, 2)?)?;
        stats.oldest_revision = revision_from_sql(column(&row, 3)?)?;
        stats.disk_bytes = Some(number_from_sql(column(&row, 4)?)?);
        stats.hits = counters.hits.load(Ordering::Relaxed);
        stats.misses = counters.misses.load(Ordering::Relaxed);
        stats.commits = counters.commits.load(Ordering::Relaxed);
        stats.conflicts = counters.conflicts.load(Ordering::Relaxed);
        stats.expired = counters.expired.load(Ordering::Relaxed);
        stats.lineage = Some(self.lineage());
        Ok(stats)
    }

    async fn close_inner(&self) -> Result<()> {
        let mut closed = self.closing.lock().await;
        if *closed {
            return Ok(());
        }
        let shared = &self.shared;
        shared.begin_close();
        shared.queue.close();
        shared.queue.drained().await;
        if let Some(sweeper) = &self.sweeper {
            sweeper.stop().await;
        }
        let synced = self.sync_inner().await;
        let last = match shared.newest().await {
            Ok((newest, _)) => newest,
            Err(_) => shared.known(),
        };
        shared.publish(last);
        shared.end_at(last);
        self.follower.abort();
        shared.snapshots.lock().revoke();
        shared.server.close();
        *closed = true;
        synced
    }
}

#[cold]
fn lost() -> Error {
    Error::unknown_outcome("the runtime of the store ended before it answered; open the store anew")
}

impl Source for PostgresBackend {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn rows<'a>(&'a self, sql: &'a Sql, params: &'a [&'a (dyn ToSql + Sync)]) -> Reply<'a, Vec<Row>> {
        Reply::pending(self.shared.read(sql, params))
    }
}

impl Read for PostgresBackend {
    fn get<'a>(&'a self, key: &'a Key) -> Reply<'a, Option<Entry>> {
        if let Err(error) = self.shared.check_open() {
            return Reply::fail(error.during("get"));
        }
        Reply::pending(async move { get(self, key).await.map_err(|error| error.during("get")) })
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> Reply<'a, Vec<Option<Entry>>> {
        let admitted = self.shared.check_open();
        if let Err(error) = admitted.and_then(|()| admit_keys(&self.shared.capabilities, keys)) {
            return Reply::fail(error.during("get_many"));
        }
        Reply::pending(async move {
            get_many(self, keys)
                .await
                .map_err(|error| error.during("get_many"))
        })
    }

    fn scan<'a>(&'a self, scan: &Scan) -> Result<Box<dyn Cursor + 'a>> {
        self.shared
            .check_open()
            .and_then(|()| admit_scan(&self.shared.capabilities, scan))
            .map_err(|error| error.during("scan"))?;
        Ok(Box::new(PageCursor::new(self, scan)))
    }
}

impl Backend for PostgresBackend {
    fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    fn apply(&self, batch: WriteBatch) -> Reply<'_, Outcome> {
        self.apply_inner(batch)
            .map_result(|result| result.map_err(|error| error.during("apply")))
    }

    fn snapshot(&self) -> Reply<'_, Arc<dyn AnySnapshot>> {
        Reply::pending(async move {
            let taken = Snapshot::take(&self.shared).await;
            let snapshot = taken.map_err(|error| error.during("snapshot"))?;
            Ok(Arc::new(snapshot) as Arc<dyn AnySnapshot>)
        })
    }

    fn watch(&self, spec: &WatchSpec) -> Result<Box<dyn Watcher>> {
        let watcher = self
            .shared
            .check_open()
            .and_then(|()| admit_watch(&self.shared.capabilities, spec))
            .and_then(|()| self.newest_now(spec))
            .and_then(|newest| LogWatcher::new(Arc::new(Log::new(&self.shared, newest)), spec));
        match watcher {
            Ok(watcher) => Ok(Box::new(watcher)),
            Err(error) => Err(error.during("watch")),
        }
    }

    fn sync(&self) -> Reply<'_, ()> {
        if let Err(error) = self.shared.check_open() {
            return Reply::fail(error.during("sync"));
        }
        Reply::pending(async move { self.sync_inner().await.map_err(|error| error.during("sync")) })
    }

    fn stats(&self) -> Reply<'_, Stats> {
        Reply::pending(async move { self.stats_inner().await.map_err(|error| error.during("stats")) })
    }

    fn check<'a>(&'a self, progress: &'a (dyn Fn(u64) + Send + Sync)) -> Reply<'a, CheckReport> {
        if let Err(error) = self.shared.check_open() {
            return Reply::fail(error.during("check"));
        }
        Reply::pending(async move {
            let report = check::check(&self.shared, progress).await;
            report.map_err(|error| error.during("check"))
        })
    }

    fn close(&self) -> Reply<'_, ()> {
        // Told at once, so that nothing is taken in after the call.
        self.shared.begin_close();
        self.shared.queue.close();
        Reply::pending(async move { self.close_inner().await.map_err(|error| error.during("close")) })
    }
}

impl Drop for PostgresBackend {
    fn drop(&mut self) {
        self.shared.begin_close();
        self.shared.queue.close();
        self.follower.abort();
        self.shared.end_at(self.shared.known());
        self.shared.snapshots.lock().revoke();
    }
}

impl fmt::Debug for PostgresBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBackend")
            .field("database", &self.shared.config.database)
            .field("schema", &self.shared.config.schema)
            .field("revision", &self.shared.known())
            .finish_non_exhaustive()
    }
}
