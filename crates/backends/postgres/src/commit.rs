//! Group commit: batches that wait together are judged and written in one transaction, by one round trip.
//!
//! The transaction holds the store's lock from before it judges until after its commit is visible, so revisions become
//! visible in their order. It also holds it over the fsync: what makes up for that is that all who wait share it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use stead_core::{Conflict, Durability, Error, Found, Outcome, Precondition, Result, Revision, WriteBatch};
use stead_network::Failure;
use tokio::time::{Instant, sleep};
use tokio_postgres::Row;

use crate::convert::{column, number_from_sql, revision_from_sql, revision_to_sql, time_to_sql};
use crate::error;
use crate::plan::{Arguments, Piece, Step, some, steps, unless_wrong};
use crate::queue::{Pushed, Waiting};
use crate::server::{Purpose, Session};
use crate::shared::Shared;
use crate::single::Head;

/// What the server says of one batch.
const COMMITTED: i16 = 0;
const REJECTED: i16 = 1;
const WAS_COMMITTED: i16 = 2;
const WAS_REJECTED: i16 = 3;
const ID_TAKEN: i16 = 4;

#[expect(
    clippy::disallowed_methods,
    reason = "the runtime's own clock, which bounds waits and decides no deadline of an entry"
)]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

impl Shared {
    /// Hands a batch over. It is committed even if nobody waits for it.
    ///
    /// # Errors
    ///
    /// As [`Queue::push`](crate::queue::Queue::push).
    pub(crate) fn submit(self: &Arc<Self>, waiting: Waiting) -> Result<()> {
        let shared = Arc::clone(self);
        let lead = async move { shared.lead().await };
        match self.queue.push(waiting)? {
            Pushed::Behind => {}
            Pushed::First => drop(self.runtime.spawn(lead)),
            Pushed::Alone => stead_network::begin(&self.runtime, lead),
        }
        Ok(())
    }

    async fn lead(&self) {
        let mut lead = self.queue.lead();
        loop {
            let group = self.queue.take(&mut lead);
            if group.is_empty() {
                return;
            }
            let alone = group.len() == 1;
            self.commit(group).await;
            // One who is alone is kept waiting by nothing: giving way means a look at the system's events, and often another
            // thread.
            if alone && self.queue.end_if_idle(&mut lead) {
                return;
            }
            // Those who were answered may have the next batch ready in a moment. Without this they would take turns: the
            // first of them alone, and then all others.
            tokio::task::yield_now().await;
        }
    }

    /// Commits the batches of `group` in order, and answers each.
    async fn commit(&self, mut group: VecDeque<Waiting>) {
        let mut failures = 0;
        let mut one_by_one = false;
        while !group.is_empty() {
            let wanted = if one_by_one { 1 } else { group.len() };
            let mut sent = 0;
            let asked = group.make_contiguous().get(..wanted).unwrap_or_default();
            match self.attempt(asked, &mut sent).await {
                Ok(results) => {
                    failures = 0;
                    for result in results {
                        if let Some(waiting) = group.pop_front() {
                            waiting.answer(result);
                        }
                    }
                    if !one_by_one && !group.is_empty() {
                        return self.queue.give_back(group);
                    }
                }
                Err(Failure::Final(_)) if wanted > 1 => one_by_one = true,
                Err(Failure::Final(error)) => {
                    if let Some(waiting) = group.pop_front() {
                        let error = if waiting.may_be_done {
                            unknown(&error)
                        } else {
                            error
                        };
                        waiting.answer(Err(error));
                    }
                }
                Err(failure) => {
                    self.keep_what_can_be_repeated(&mut group, sent, failure);
                    sleep(self.retry.pause(failures)).await;
                    failures += 1;
                }
            }
        }
    }

    fn keep_what_can_be_repeated(&self, group: &mut VecDeque<Waiting>, sent: usize, failure: Failure) {
        let was_sent = matches!(failure, Failure::Unanswered(_));
        let error = error::into_error(failure);
        let now = instant();
        let mut kept = VecDeque::with_capacity(group.len());
        for (index, mut waiting) in group.drain(..).enumerate() {
            waiting.may_be_done |= was_sent && index < sent && !waiting.batch.mutations().is_empty();
            let repeatable = !waiting.may_be_done || waiting.fingerprint.is_some();
            if repeatable && now.duration_since(waiting.since) < self.options.retry_deadline {
                kept.push_back(waiting);
            } else if waiting.may_be_done {
                waiting.answer(Err(unknown(&error)));
            } else {
                waiting.answer(Err(error::copy(&error)));
            }
        }
        *group = kept;
    }

    /// Sends the first batches of `group` that go together, and gives the result of each of them. `sent` is how many they
    /// are.
    async fn attempt(&self, group: &[Waiting], sent: &mut usize) -> Result<Vec<Result<Outcome>>, Failure> {
        let now = self.options.clock.now();
        let pieces = group
            .iter()
            .map(|waiting| Piece::new(&waiting.batch, waiting.request(), now));
        let (steps, held) = steps(pieces);
        *sent = held;
        let durable = group.iter().take(held).any(|waiting| waiting.durable);
        let durability = if durable {
            Durability::Durable
        } else {
            Durability::Buffered
        };
        let session = self.server.session(Purpose::Write).await?;
        let call = Call {
            shared: self,
            session: &session,
            now: time_to_sql(now),
            sync: self.probe.synchronous_commit(durability),
            floor: self.wanted_floor().map(revision_to_sql),
        };
        if call.sync.is_none()
            && call.floor.is_none()
            && let Some(revision) = self.put_alone(&session, &steps, call.now).await?
        {
            self.counters.commits.fetch_add(1, Ordering::Relaxed);
            self.publish(revision);
            return Ok(vec![Ok(Outcome::Committed(revision))]);
        }
        session.prepare(&self.sql.commit).await?;
        let rows = call.send(&steps).await?;
        if let Some(floor) = call.floor {
            self.floor.fetch_max(floor.cast_unsigned(), Ordering::Relaxed);
        }
        let commits = self.counters.commits.load(Ordering::Relaxed);
        let mut results = Vec::with_capacity(held);
        let mut newest = Revision::ZERO;
        for (step, row) in steps.into_iter().zip(&rows) {
            // What the server answered cannot be asked for again.
            newest = newest.max(
                self.read_answers(step, row, &mut results)
                    .map_err(Failure::Final)?,
            );
        }
        if let Some(last) = rows.last() {
            let head = Head {
                revision: newest,
                entries: column(last, 6).map_err(Failure::Final)?,
                bytes: column(last, 7).map_err(Failure::Final)?,
            };
            let written = self.counters.commits.load(Ordering::Relaxed) - commits;
            self.head.learn(&session, head, written);
        }
        self.publish(newest);
        Ok(results)
    }

    /// Gives the result of each batch of a step, and the revision at which it left the store.
    fn read_answers(
        &self,
        step: Step<'_>,
        row: &Row,
        results: &mut Vec<Result<Outcome>>,
    ) -> Result<Revision> {
        let last = revision_from_sql(column(row, 0)?)?;
        let expired = number_from_sql(column(row, 1)?)?;
        self.counters.expired.fetch_add(expired, Ordering::Relaxed);
        let answers = Answers {
            outcomes: column(row, 2)?,
            revisions: column(row, 3)?,
            places: column(row, 4)?,
            found: column(row, 5)?,
            first: last.get().saturating_sub(step.pieces.len() as u64),
        };
        for (index, piece) in step.pieces.into_iter().enumerate() {
            let writes = !piece.batch.mutations().is_empty();
            let (outcome, is_new) = match answers.of(index, piece.batch) {
                Ok(Some(outcome)) => outcome,
                Ok(None) => {
                    results.push(Err(id_taken()));
                    continue;
                }
                Err(error) => {
                    results.push(Err(error));
                    continue;
                }
            };
            let committed = outcome.is_committed();
            let result = unless_wrong(outcome, !committed, piece.wrong);
            if is_new && !committed {
                self.counters.conflicts.fetch_add(1, Ordering::Relaxed);
            } else if is_new && writes && result.is_ok() {
                self.counters.commits.fetch_add(1, Ordering::Relaxed);
            }
            results.push(result);
        }
        Ok(last)
    }
}

/// The server's answers to the batches of one step; all but the first are missing where every batch was committed.
struct Answers {
    outcomes: Option<Vec<i16>>,
    revisions: Option<Vec<Option<i64>>>,
    places: Option<Vec<Option<i32>>>,
    found: Option<Vec<Option<i64>>>,
    first: u64,
}

impl Answers {
    /// The outcome of the batch at `index` and whether it is new, or `None` where its request id is another batch's.
    fn of(&self, index: usize, batch: &WriteBatch) -> Result<Option<(Outcome, bool)>> {
        let Some(outcomes) = &self.outcomes else {
            let revision = Revision::new(self.first + index as u64 + 1);
            return Ok(Some((Outcome::Committed(revision), true)));
        };
        let missing = || Error::corrupt("the server answers for fewer batches than it was sent");
        let outcome = *outcomes.get(index).ok_or_else(missing)?;
        let is_new = matches!(outcome, COMMITTED | REJECTED);
        let outcome = match outcome {
            COMMITTED | WAS_COMMITTED => {
                let revision = at(self.revisions.as_deref(), index).ok_or_else(missing)?;
                Outcome::Committed(revision_from_sql(revision)?)
            }
            REJECTED | WAS_REJECTED => {
                let place = at(self.places.as_deref(), index).ok_or_else(missing)?;
                Outcome::Rejected(conflict(batch, place, at(self.found.as_deref(), index))?)
            }
            ID_TAKEN => return Ok(None),
            _ => return Err(missing()),
        };
        Ok(Some((outcome, is_new)))
    }
}

fn at<T: Copy>(array: Option<&[Option<T>]>, index: usize) -> Option<T> {
    array.and_then(|array| array.get(index).copied().flatten())
}

/// The conflict at the precondition with this number.
///
/// # Errors
///
/// `Corrupt` where the batch has no such precondition.
pub(crate) fn conflict(batch: &WriteBatch, place: i32, found: Option<i64>) -> Result<Conflict> {
    let precondition = usize::try_from(place).ok();
    let named = precondition.and_then(|place| Some((place, batch.preconditions().get(place)?)));
    let Some((precondition, named)) = named else {
        return Err(Error::corrupt(
            "the server names a precondition that the batch has not",
        ));
    };
    let (key, found) = match (named, found) {
        (Precondition::Key { key, .. }, None) => (Some(key.clone()), Found::Missing),
        (Precondition::Key { key, .. }, Some(revision)) => {
            (Some(key.clone()), Found::Revision(revision_from_sql(revision)?))
        }
        (Precondition::Count { .. }, count) => (None, Found::Count(number_from_sql(count.unwrap_or(0))?)),
    };
    Ok(Conflict {
        precondition,
        key,
        found,
    })
}

fn id_taken() -> Error {
    Error::conflict("the request id was used for another batch; give each batch an id of its own")
}

fn unknown(cause: &Error) -> Error {
    Error::unknown_outcome(
        "the server did not answer; the write may or may not have happened. Use a request id to retry safely",
    )
    .because(error::copy(cause))
}

/// One transaction.
struct Call<'a> {
    shared: &'a Shared,
    session: &'a Session,
    now: i64,
    sync: Option<&'static str>,
    floor: Option<i64>,
}

/// A part of a transaction under way.
type Part<'a> = Pin<Box<dyn Future<Output = Result<Option<Row>, Failure>> + Send + 'a>>;

impl Call<'_> {
    /// A row for each step. A single one is a transaction by itself.
    async fn send(&self, steps: &[Step<'_>]) -> Result<Vec<Row>, Failure> {
        if let [step] = steps {
            return Ok(vec![self.step(step.arguments()).await?]);
        }
        let frame = |statement: &'static str| -> Part<'_> {
            Box::pin(async move { self.session.run(statement).await.map(|()| None) })
        };
        let mut parts = vec![frame("BEGIN ISOLATION LEVEL READ COMMITTED")];
        for step in steps {
            let arguments = step.arguments();
            parts.push(Box::pin(async move { self.step(arguments).await.map(Some) }));
        }
        parts.push(frame("COMMIT"));
        let mut rows = Vec::with_capacity(steps.len());
        let mut failed = None;
        for answer in in_order(parts).await {
            match answer {
                Ok(row) => rows.extend(row),
                // What follows the first failure only says that it failed.
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        failed.map_or(Ok(rows), Err)
    }

    async fn step(&self, arguments: Arguments<'_>) -> Result<Row, Failure> {
        let Arguments {
            count,
            raise,
            writes,
            ids,
            fingerprints,
            checks,
            puts,
            others,
        } = arguments;
        self.session
            .row(
                &self.shared.sql.commit,
                &[
                    &self.now,
                    &self.sync,
                    &self.floor,
                    &raise,
                    &count,
                    &writes,
                    &ids,
                    &fingerprints,
                    &some(&checks.batch),
                    &some(&checks.place),
                    &some(&checks.expect),
                    &some(&checks.key),
                    &some(&checks.end),
                    &some(&checks.number),
                    &some(&puts.batch),
                    &some(&puts.key),
                    &some(&puts.value),
                    &some(&puts.deadline),
                    &some(&others.batch),
                    &some(&others.key),
                    &some(&others.value),
                    &some(&others.absent),
                    &some(&others.absent_deadline),
                    &some(&others.present),
                    &some(&others.present_deadline),
                ],
            )
            .await
    }
}

/// Polls all parts until each is done, the earlier ones first: that is the order in which they are sent.
async fn in_order(mut parts: Vec<Part<'_>>) -> Vec<Result<Option<Row>, Failure>> {
    let mut answers: Vec<_> = parts.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        let mut all = true;
        for (part, answer) in parts.iter_mut().zip(&mut answers) {
            if answer.is_none() {
                match part.as_mut().poll(cx) {
                    Poll::Ready(done) => *answer = Some(done),
                    Poll::Pending => all = false,
                }
            }
        }
        if all { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    answers.into_iter().flatten().collect()
}
