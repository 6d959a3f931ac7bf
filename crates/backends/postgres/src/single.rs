//! A put that nobody shares a transaction with: one plain statement instead of the function that commits.
//!
//! A function plans nothing, but begins and ends a statement for each thing that it does, and that is most of what a single
//! put costs the server. One statement sees the store as it was when it began, which was before it had the store's lock. So
//! it is told what the newest revision was when this handle last wrote, and does nothing unless that still holds:
//!
//! - The row of the next revision must not be there. Who committed in the meantime has made it.
//! - That row must not have been removed either, with the log's old end or because revisions were raised. Both move the
//!   floor, whose row is locked and read as it is now, and not as it was.
//!
//! What the handle knows came over the same connection. A server that lost commits, or another one in its place, has cut it.

use std::time::Instant;

use parking_lot::Mutex;
use stead_core::Revision;
use stead_network::Failure;
use tokio_postgres::Statement;

use crate::convert::{column, revision_to_sql};
use crate::plan::{Arguments, Step};
use crate::server::Session;
use crate::shared::Shared;

/// So many commits in a row must have found that nobody else writes.
const ALONE: u32 = 3;

/// Where the store stood after a commit.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) revision: Revision,
    pub(crate) entries: i64,
    pub(crate) bytes: i64,
}

/// What the last commit of this handle left.
#[derive(Default)]
pub(crate) struct KnownHead(Mutex<Option<Known>>);

struct Known {
    head: Head,
    /// The connection that told it, by the time when it was made: there is one at a time.
    connection: Instant,
    /// Commits since the last that was not of this handle.
    alone: u32,
    /// The statement of a put, once it is prepared on that connection: to find it by its text costs as much as to send it.
    put: Option<Statement>,
}

impl KnownHead {
    /// Takes over where a commit of `written` new revisions left the store.
    pub(crate) fn learn(&self, session: &Session, head: Head, written: u64) {
        let Some(connection) = session.connected_at() else {
            return;
        };
        let mut known = self.0.lock();
        let before = known.take();
        let follows = |before: &&Known| before.head.revision.get() + written == head.revision.get();
        let alone = before
            .as_ref()
            .filter(follows)
            .map_or(0, |before| before.alone.saturating_add(1));
        let put = before
            .filter(|before| before.connection == connection)
            .and_then(|before| before.put);
        *known = Some(Known {
            head,
            connection,
            alone,
            put,
        });
    }

    /// The newest revision and the totals, if nobody else seems to write, and the statement if it is prepared.
    fn expected(&self, session: &Session) -> Option<(Head, Option<Statement>)> {
        let known = self.0.lock();
        let known = known.as_ref()?;
        let holds = known.alone >= ALONE && session.connected_at() == Some(known.connection);
        holds.then(|| (known.head, known.put.clone()))
    }

    fn keep(&self, session: &Session, put: &Statement) {
        if let Some(known) = &mut *self.0.lock()
            && session.connected_at() == Some(known.connection)
        {
            known.put = Some(put.clone());
        }
    }

    fn forget(&self) {
        *self.0.lock() = None;
    }
}

impl Shared {
    /// Commits `steps` if they are a single put and the store is where this handle left it. Gives its revision, or nothing
    /// where nothing was done.
    ///
    /// # Errors
    ///
    /// As [`Session::rows`].
    pub(crate) async fn put_alone(
        &self,
        session: &Session,
        steps: &[Step<'_>],
        now: i64,
    ) -> Result<Option<Revision>, Failure> {
        let [step] = steps else {
            return Ok(None);
        };
        // Through a shared session the statement would be planned each time, and the server could be another one.
        if !self.server.sessions || !step.is_single_put() {
            return Ok(None);
        }
        let Some((head, prepared)) = self.head.expected(session) else {
            return Ok(None);
        };
        let put = match prepared {
            Some(put) => put,
            None => match session.prepare(&self.sql.put_alone).await? {
                Some(put) => {
                    self.head.keep(session, &put);
                    put
                }
                None => return Ok(None),
            },
        };
        let Arguments { puts, .. } = step.arguments();
        let revision = Revision::new(head.revision.get() + 1);
        let rows = session
            .run_prepared(
                &put,
                &[
                    &puts.key.first(),
                    &puts.value.first(),
                    &puts.deadline.first().copied().flatten(),
                    &revision_to_sql(revision),
                    &head.entries,
                    &head.bytes,
                    &now,
                ],
            )
            .await?;
        let Some(row) = rows.first() else {
            self.head.forget();
            return Ok(None);
        };
        let head = Head {
            revision,
            entries: column(row, 0).map_err(Failure::Final)?,
            bytes: column(row, 1).map_err(Failure::Final)?,
        };
        self.head.learn(session, head, 1);
        Ok(Some(revision))
    }
}
