//! Snapshots: a transaction that is held open, on a connection of its own.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use stead_core::kit::{admit_keys, admit_scan};
use stead_core::{
    Cursor, Entry, Error, Key, Partition, Read, Reply, Result, Revision, Scan, Snapshot as Contract,
};
use stead_network::{Failure, Repeat};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::convert::{column, revision_from_sql};
use crate::error::into_error;
use crate::read::{PageCursor, Source, get, get_many};
use crate::server::{Purpose, Session, Sql};
use crate::shared::Shared;

/// The time for which a server lets a transaction idle is not meant for one that is held on purpose.
const BEGIN: &str =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0";

/// The transaction that snapshots of one revision share.
struct View {
    session: Mutex<Option<Arc<Session>>>,
    revision: Revision,
    shared: Arc<Shared>,
}

/// The views that are alive, to be taken back when the store closes.
#[derive(Default)]
pub(crate) struct Registry(Vec<Weak<View>>);

impl Registry {
    /// The view of `revision`, where there is one that still works.
    fn of(&self, revision: Revision) -> Option<Arc<View>> {
        let alive = self.0.iter().filter_map(Weak::upgrade);
        let mut same = alive.filter(|view| view.revision == revision && view.session().is_ok());
        same.next()
    }

    fn add(&mut self, view: &Arc<View>) {
        self.0.retain(|view| view.strong_count() > 0);
        self.0.push(Arc::downgrade(view));
    }

    /// Takes back all of them.
    pub(crate) fn revoke(&mut self) {
        for view in self.0.drain(..).filter_map(|view| view.upgrade()) {
            view.end();
        }
    }
}

impl View {
    fn session(&self) -> Result<Arc<Session>> {
        self.shared.check_open()?;
        let session = self.session.lock().clone().ok_or_else(lost)?;
        if session.is_broken() {
            return Err(lost());
        }
        Ok(session)
    }

    /// Ends the transaction and gives the connection back.
    fn end(&self) {
        let session = self.session.lock().take();
        if let Some(session) = session {
            // Whatever still reads goes first, and what comes next on this connection goes behind the end.
            self.shared.runtime.spawn(async move {
                if session.run("ROLLBACK").await.is_err() {
                    session.abandon();
                }
            });
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.end();
    }
}

fn lost() -> Error {
    Error::unavailable("the snapshot was lost with its connection; take a new one")
}

/// A view of one revision.
pub(crate) struct Snapshot(Arc<View>);

impl Snapshot {
    /// Takes one. Snapshots of the same revision share a connection.
    ///
    /// # Errors
    ///
    /// `Unavailable` when all connections for snapshots are in use until the time is up.
    pub(crate) async fn take(shared: &Arc<Shared>) -> Result<Self> {
        shared.check_open()?;
        if let Some(view) = Self::same(shared).await? {
            return Ok(Snapshot(view));
        }
        let (session, revision) = shared
            .retry
            .run(Repeat::Read, || async {
                let session = shared.server.session(Purpose::Snapshot).await?;
                let begun = begin(&session, &shared.sql.newest).await;
                if begun.is_err() {
                    session.abandon();
                }
                begun.map(|revision| (session, revision))
            })
            .await?;
        shared.publish(revision);
        let view = Arc::new(View {
            session: Mutex::new(Some(Arc::new(session))),
            revision,
            shared: Arc::clone(shared),
        });
        shared.snapshots.lock().add(&view);
        // The close goes through the list after it is marked: it met this view, or this meets the mark.
        shared.check_open()?;
        Ok(Snapshot(view))
    }

    async fn same(shared: &Arc<Shared>) -> Result<Option<Arc<View>>> {
        if shared.snapshots.lock().0.is_empty() {
            return Ok(None);
        }
        let (newest, _) = shared.newest().await?;
        Ok(shared.snapshots.lock().of(newest))
    }
}

async fn begin(session: &Session, newest: &Sql) -> Result<Revision, Failure> {
    session.prepare(newest).await?;
    session.run(BEGIN).await?;
    let row = session.row(newest, &[]).await?;
    column(&row, 0)
        .and_then(revision_from_sql)
        .map_err(Failure::Final)
}

impl Source for Snapshot {
    fn shared(&self) -> &Shared {
        &self.0.shared
    }

    fn rows<'a>(&'a self, sql: &'a Sql, params: &'a [&'a (dyn ToSql + Sync)]) -> Reply<'a, Vec<Row>> {
        let session = match self.0.session() {
            Ok(session) => session,
            Err(error) => return Reply::fail(error),
        };
        Reply::pending(async move {
            session.rows(sql, params).await.map_err(|failure| {
                // A transaction in which something failed gives nothing more.
                session.abandon();
                lost().because(into_error(failure))
            })
        })
    }
}

impl Read for Snapshot {
    fn get<'a>(&'a self, key: &'a Key) -> Reply<'a, Option<Entry>> {
        Reply::pending(async move { get(self, key).await.map_err(|error| error.during("get")) })
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> Reply<'a, Vec<Option<Entry>>> {
        if let Err(error) = admit_keys(&self.0.shared.capabilities, keys) {
            return Reply::fail(error.during("get_many"));
        }
        Reply::pending(async move {
            get_many(self, keys)
                .await
                .map_err(|error| error.during("get_many"))
        })
    }

    fn scan<'a>(&'a self, scan: &Scan) -> Result<Box<dyn Cursor + 'a>> {
        self.0
            .shared
            .check_open()
            .and_then(|()| admit_scan(&self.0.shared.capabilities, scan))
            .map_err(|error| error.during("scan"))?;
        Ok(Box::new(PageCursor::new(self, scan)))
    }
}

impl Contract for Snapshot {
    fn revision(&self, _: &Partition) -> Revision {
        self.0.revision
    }
}
