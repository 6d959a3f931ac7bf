//! From a request to the state, at once or, where a fault wants it, in steps that others can see between.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use stead_core::kit::admit;
use stead_core::{Entry, Key, Mutation, Outcome, Read, Reply, Result, WriteBatch};

use super::entries::Entries;
use super::faults::Fault;
use super::handle::{Reference, Session};

/// Refuses what is not declared or too large.
pub(super) fn prepare(session: &Session, mut batch: WriteBatch) -> Result<WriteBatch> {
    let faults = session.options.faults;
    if !faults.has(Fault::ClosedStillWrites) {
        drop(session.state()?);
    }
    let limits = &session.options.capabilities.limits;
    if faults.has(Fault::ValueTruncated) {
        for mutation in batch.mutations_mut() {
            if let Mutation::Put { value, .. } = mutation {
                *value = Bytes::copy_from_slice(&value[..value.len().min(limits.value_bytes)]);
            }
        }
    }
    if faults.has(Fault::UndeclaredAccepted) {
        limits.check_batch(&batch)?;
    } else {
        admit(&session.options.capabilities, &batch)?;
    }
    Ok(batch)
}

/// Commits or rejects a batch that was prepared.
pub(super) fn apply(session: &Arc<Session>, batch: WriteBatch) -> Reply<'static, Outcome> {
    let faults = session.options.faults;
    if faults.has(Fault::PreconditionsJudgedTooEarly) && !batch.mutations().is_empty() {
        return judge_then_write(Arc::clone(session), batch);
    }
    let shows_halves = faults.has(Fault::BatchVisibleInHalves) && batch.mutations().len() > 1;
    let shows_doubtful = faults.has(Fault::DirtyRead) && !batch.preconditions().is_empty();
    if shows_halves || shows_doubtful {
        return apply_in_steps(Arc::clone(session), batch);
    }
    apply_now(session, &batch).into()
}

fn apply_now(session: &Session, batch: &WriteBatch) -> Result<Outcome> {
    let mut state = if session.options.faults.has(Fault::ClosedStillWrites) {
        session.data.state.lock()
    } else {
        session.state()?
    };
    let outcome = state.apply(batch, session.clock.now(), &session.options)?;
    drop(state);
    session.data.signal.notify();
    Ok(outcome)
}

/// Others run between the judgement and the write.
fn judge_then_write(session: Arc<Session>, batch: WriteBatch) -> Reply<'static, Outcome> {
    let judged = session
        .state()
        .and_then(|state| state.judge(&batch, session.clock.now(), &session.options));
    match judged {
        Ok(None) => {}
        Ok(Some(_)) => return apply_now(&session, &batch).into(),
        Err(error) => return Reply::fail(error),
    }
    Reply::pending(async move {
        let_others_run().await;
        let mut unconditional = WriteBatch::new();
        for mutation in batch.mutations() {
            unconditional = unconditional.mutation(mutation.clone());
        }
        if let Some(id) = batch.id() {
            unconditional = unconditional.request_id(id.clone());
        }
        apply_now(&session, &unconditional)
    })
}

/// Others see the second half of a committed batch late, or all of a rejected one for a while.
fn apply_in_steps(session: Arc<Session>, batch: WriteBatch) -> Reply<'static, Outcome> {
    let step = || -> Result<(Outcome, Arc<Entries>, Arc<Entries>)> {
        let mut state = session.state()?;
        let now = session.clock.now();
        let before = Arc::clone(&state.entries);
        let outcome = state.apply(&batch, now, &session.options)?;
        let end = Arc::clone(&state.entries);
        if outcome.is_committed() && session.options.faults.has(Fault::BatchVisibleInHalves) {
            let mutations = batch.mutations();
            let late = mutations[mutations.len().div_ceil(2)..].iter().map(Mutation::key);
            let entries = Arc::make_mut(&mut state.entries);
            late.for_each(|key| entries.replace(key, before.get(key)));
        }
        if !outcome.is_committed() && session.options.faults.has(Fault::DirtyRead) {
            let entries = Arc::make_mut(&mut state.entries);
            for mutation in batch.mutations() {
                if let Mutation::Put { key, value, .. } = mutation {
                    entries.insert(key.clone(), Entry::new(value, stead_core::Revision::MAX, None));
                }
            }
        }
        let middle = Arc::clone(&state.entries);
        Ok((outcome, middle, end))
    };
    let (outcome, middle, end) = match step() {
        Ok(steps) => steps,
        Err(error) => return Reply::fail(error),
    };
    Reply::pending(async move {
        let_others_run().await;
        let mut state = session.data.state.lock();
        let entries = Arc::make_mut(&mut state.entries);
        for key in batch.mutations().iter().map(Mutation::key) {
            // What others wrote meanwhile stays.
            if entries.get(key) == middle.get(key) {
                entries.replace(key, end.get(key));
            }
        }
        drop(state);
        session.data.signal.notify();
        Ok(outcome)
    })
}

/// A bulk read as a row of point reads, with others between them.
pub(super) fn get_one_by_one<'a>(store: &'a Reference, keys: &'a [Key]) -> Reply<'a, Vec<Option<Entry>>> {
    Reply::pending(async move {
        let mut entries = Vec::with_capacity(keys.len());
        for key in keys {
            entries.push(store.get(key).await?);
            let_others_run().await;
        }
        Ok(entries)
    })
}

/// Gives the thread away a few times, so that tasks that are ready run first even where there is but one thread.
async fn let_others_run() {
    for _ in 0..4 {
        let mut asked = false;
        poll_fn(|cx| {
            if asked {
                return Poll::Ready(());
            }
            asked = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        std::thread::yield_now();
    }
}
