//! What a store, its tasks, its snapshots and its watches share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use stead_core::kit::Signal;
use stead_core::{Capabilities, Error, Result, Revision};
use stead_network::{Failure, NetworkOptions, Repeat, Retry};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::PostgresConfig;
use crate::convert::{column, revision_from_sql};
use crate::probe::Probe;
use crate::queue::Queue;
use crate::server::{Purpose, Server, Sql};
use crate::single::KnownHead;
use crate::snapshot::Registry;
use crate::statements::Statements;

/// Numbers since the opening.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) expired: AtomicU64,
}

pub(crate) struct Shared {
    pub(crate) server: Server,
    pub(crate) sql: Statements,
    pub(crate) config: PostgresConfig,
    pub(crate) options: NetworkOptions,
    pub(crate) probe: Probe,
    pub(crate) capabilities: Capabilities,
    pub(crate) lineage: [u8; 16],
    pub(crate) retry: Retry,
    pub(crate) runtime: Handle,
    pub(crate) queue: Queue,
    pub(crate) head: KnownHead,
    pub(crate) counters: Counters,
    /// Requests that were remembered since the oldest ones were last forgotten.
    pub(crate) remembered: AtomicU64,
    /// The newest revision that this handle knows to be visible.
    known: AtomicU64,
    /// The lowest revision that a watch may begin after, as far as this handle knows.
    pub(crate) floor: AtomicU64,
    /// Notified when `known` has grown, and when the store closes.
    pub(crate) signal: Signal,
    pub(crate) snapshots: Mutex<Registry>,
    /// Watches that are alive.
    pub(crate) watches: AtomicUsize,
    /// Wakes the task that listens for them.
    pub(crate) watched: Notify,
    closed: AtomicBool,
    /// The last revision of a closed store, which its watches still deliver.
    ended_at: Mutex<Option<Revision>>,
}

/// Everything that opening found out.
pub(crate) struct Found {
    pub(crate) server: Server,
    pub(crate) sql: Statements,
    pub(crate) config: PostgresConfig,
    pub(crate) options: NetworkOptions,
    pub(crate) probe: Probe,
    pub(crate) lineage: [u8; 16],
    pub(crate) newest: Revision,
    pub(crate) floor: Revision,
}

impl Shared {
    pub(crate) fn new(found: Found, runtime: Handle) -> Self {
        Shared {
            capabilities: found.probe.capabilities(&found.options),
            retry: found.options.retry(),
            server: found.server,
            sql: found.sql,
            config: found.config,
            options: found.options,
            probe: found.probe,
            lineage: found.lineage,
            runtime,
            queue: Queue::default(),
            head: KnownHead::default(),
            counters: Counters::default(),
            remembered: AtomicU64::new(0),
            known: AtomicU64::new(found.newest.get()),
            floor: AtomicU64::new(found.floor.get()),
            signal: Signal::default(),
            snapshots: Mutex::default(),
            watches: AtomicUsize::new(0),
            watched: Notify::new(),
            closed: AtomicBool::new(false),
            ended_at: Mutex::new(None),
        }
    }

    /// Refuses what is asked of a closed store.
    ///
    /// # Errors
    ///
    /// `Closed`.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed() {
            Err(Error::closed())
        } else {
            Ok(())
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Marks the store closed. Whether this call was the one that did it.
    pub(crate) fn begin_close(&self) -> bool {
        !self.closed.swap(true, Ordering::SeqCst)
    }

    /// Says up to where watches deliver, and wakes them.
    pub(crate) fn end_at(&self, last: Revision) {
        *self.ended_at.lock() = Some(last);
        self.signal.notify();
        self.watched.notify_one();
    }

    pub(crate) fn ended_at(&self) -> Option<Revision> {
        *self.ended_at.lock()
    }

    /// Whether watches are alive that have something to wait for.
    pub(crate) fn is_watched(&self) -> bool {
        self.watches.load(Ordering::SeqCst) > 0 && self.ended_at().is_none()
    }

    pub(crate) fn known(&self) -> Revision {
        Revision::new(self.known.load(Ordering::SeqCst))
    }

    /// Tells the watches of commits up to `revision`. Whether they are news.
    pub(crate) fn publish(&self, revision: Revision) -> bool {
        let news = self.known.fetch_max(revision.get(), Ordering::SeqCst) < revision.get();
        if news {
            self.signal.notify();
        }
        news
    }

    /// How far the log is to be cut with the next commit, if it has grown enough.
    pub(crate) fn wanted_floor(&self) -> Option<Revision> {
        let retention = self.options.change_retention;
        // By the handful, and not with each commit.
        let spare = (retention / 16).clamp(1, 256);
        let known = self.known().get();
        let floor = self.floor.load(Ordering::Relaxed);
        (known.saturating_sub(floor) > retention.saturating_add(spare))
            .then(|| Revision::new(known - retention))
    }

    /// Reads, again and again until the time is up.
    pub(crate) async fn read(&self, sql: &Sql, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        self.retry
            .run(Repeat::Read, || async {
                let session = self.server.session(Purpose::Read).await?;
                session.rows(sql, params).await
            })
            .await
    }

    /// One row that is always there.
    pub(crate) async fn read_row(&self, sql: &Sql, params: &[&(dyn ToSql + Sync)]) -> Result<Row> {
        self.retry
            .run(Repeat::Read, || async {
                let session = self.server.session(Purpose::Read).await?;
                session.row(sql, params).await
            })
            .await
    }

    /// A write of the store's own that does the same when it is done twice. The next round tries again what fails.
    pub(crate) async fn tidy(&self, sql: &Sql, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Failure> {
        let session = self.server.session(Purpose::Read).await?;
        session.rows(sql, params).await
    }

    /// Asks for the newest revision and the lowest that a watch may begin after.
    pub(crate) async fn newest(&self) -> Result<(Revision, Revision)> {
        newest_of(&self.read_row(&self.sql.newest, &[]).await?)
    }
}

/// The newest revision and the floor in a row of [`Statements::newest`].
pub(crate) fn newest_of(row: &Row) -> Result<(Revision, Revision)> {
    Ok((
        revision_from_sql(column(row, 0)?)?,
        revision_from_sql(column(row, 1)?)?,
    ))
}
