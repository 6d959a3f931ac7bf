//! Writing to the store and to the model.

use bytes::Bytes;
use stead_core::{
    Conflict, Direction, Entry, ErrorKind, Expect, Expiry, Extent, Found, Key, Outcome, Partition,
    Precondition, RequestId, Revision, Timestamp, Ttl, WriteBatch,
};

use super::driver::{Driver, Step, nth};
use super::follow::Sweeps;
use super::look::{same, told};
use super::ops::{Change, Life, Slot, Wish, Write};
use super::state::{Verdict, list, visible};

impl Driver {
    /// The batch that `write` means in the state of the model.
    pub(super) fn batch(&mut self, write: &Write) -> WriteBatch {
        let now = self.now();
        let is_endless = |change: &Change| {
            matches!(
                change,
                Change::Put(_, _, Life::Endless) | Change::Touch(_, Life::Endless)
            )
        };
        let mut batch = WriteBatch::new();
        // Whether a conflict or a deadline that makes no sense comes first is left open.
        if !write.changes.iter().any(is_endless) {
            for (slot, wish) in &write.wishes {
                let key = slot.key();
                let expect = self.expect(&key, *wish, now);
                batch = batch.expect(key, expect);
            }
            if let Some((span, off)) = write.count
                && self.capabilities.range_preconditions
            {
                let range = match self.capabilities.atomicity {
                    Extent::Store => span.range(),
                    Extent::Partition => span.of_one_partition().range(),
                };
                let counted = list(&self.model.entries, &range, Direction::Forward, now);
                batch = batch.expect_count(range, (counted.len() as u64).saturating_add_signed(off.into()));
            }
        }
        for change in &write.changes {
            batch = match *change {
                Change::Put(slot, value, life) => {
                    batch.put_with(slot.key(), bytes(value), self.expiry(life, now))
                }
                Change::Delete(slot) => batch.delete(slot.key()),
                Change::Touch(slot, life) => batch.touch(slot.key(), self.expiry(life, now)),
            };
        }
        if self.capabilities.atomicity == Extent::Partition {
            batch = within_one_partition(&batch);
        }
        if write.has_id && self.capabilities.request_ids {
            self.next_id += 1;
            let id = RequestId::new(format!("request-{}", self.next_id)).expect("short enough");
            batch = batch.request_id(id);
        }
        batch
    }

    fn expect(&self, key: &Key, wish: Wish, now: Timestamp) -> Expect {
        match wish {
            Wish::Absent => Expect::Absent,
            Wish::Present => Expect::Present,
            Wish::Current => {
                let current = visible(&self.model.entries, key, now);
                Expect::At(current.map_or(Revision::MAX, Entry::revision))
            }
            Wish::Old(which) => Expect::At(nth(&self.model.revisions, which).copied().unwrap_or_default()),
        }
    }

    fn expiry(&self, life: Life, now: Timestamp) -> Expiry {
        let at = |millis: u64| Expiry::At(Timestamp::from_millis(millis));
        match life {
            Life::Keep => Expiry::Keep,
            _ if !self.capabilities.ttl => Expiry::Never,
            Life::Never => Expiry::Never,
            Life::After(millis) => Expiry::After(Ttl::from_millis(millis.max(1).into()).expect("not zero")),
            Life::Past(millis) => at(now.as_millis() - u64::from(millis)),
            Life::At(millis) => at(now.as_millis() + u64::from(millis)),
            Life::Endless => Expiry::After(Ttl::from_millis(u64::MAX).expect("not zero")),
        }
    }

    /// Applies `batch` and demands the end that the model gives it.
    pub(super) async fn write(&mut self, batch: WriteBatch) -> Step {
        let now = self.now();
        let want = self.model.judge(&batch, now);
        let got = self.store().apply(batch.clone()).await;
        let differ =
            |got: &dyn std::fmt::Debug| Err(format!("{batch:?}\n    store: {got:?}\n    model: {want:?}"));
        let outcome = match (got, &want) {
            (Ok(Outcome::Committed(revision)), Verdict::Commits(after)) => {
                self.check_revision(&batch, revision)?;
                if !batch.mutations().is_empty() {
                    self.model.commit(&batch, after.clone(), revision, now);
                }
                Outcome::Committed(revision)
            }
            (Ok(Outcome::Rejected(got)), Verdict::Rejects(conflict))
                if is_same_conflict(&batch, &got, conflict) =>
            {
                Outcome::Rejected(got)
            }
            (Err(error), Verdict::Fails(kind)) if error.kind() == *kind => return Ok(()),
            (got, _) => return differ(&got),
        };
        if batch.id().is_some() {
            self.model.requests.push((batch, outcome));
        }
        Ok(())
    }

    /// Whether `revision` fits the order of those before it.
    fn check_revision(&self, batch: &WriteBatch, revision: Revision) -> Step {
        let partition = batch
            .mutations()
            .first()
            .map(|mutation| mutation.key().partition());
        let newest = self.model.newest(partition.as_ref());
        let fits = match (batch.mutations().is_empty(), self.sweeps) {
            (false, _) => revision > newest,
            (true, Sweeps::Known) => revision == newest,
            (true, Sweeps::Unknown) => {
                self.capabilities.revision_order == Extent::Partition || revision >= newest
            }
        };
        if fits {
            return Ok(());
        }
        Err(format!(
            "{batch:?} committed at {revision} when the newest revision was {newest}"
        ))
    }

    pub(super) async fn retry(&self, which: u8) -> Step {
        let Some((batch, outcome)) = nth(&self.model.requests, which) else {
            return Ok(());
        };
        let again = told("a retry", self.store().apply(batch.clone()).await)?;
        same(&format!("a retry of {batch:?}"), &again, outcome)
    }

    pub(super) async fn misuse(&self, which: u8, slot: Slot) -> Step {
        let Some((batch, _)) = nth(&self.model.requests, which) else {
            return Ok(());
        };
        let Some(id) = batch.id().cloned() else {
            return Ok(());
        };
        let other = WriteBatch::new()
            .put(slot.key(), "never written by others")
            .request_id(id);
        match self.store().apply(other).await {
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            other => Err(format!("another batch under a used request id gave {other:?}")),
        }
    }
}

/// An empty value, and others of different lengths.
fn bytes(value: u8) -> Bytes {
    Bytes::from(vec![value; usize::from(value) * 3])
}

/// What of `batch` is of the partition that it names first.
fn within_one_partition(batch: &WriteBatch) -> WriteBatch {
    let mut home: Option<Partition> = None;
    let mut is_home = |partition: Option<Partition>| match (&home, partition) {
        (_, None) => false,
        (Some(home), Some(other)) => *home == other,
        (None, first) => {
            home = first;
            true
        }
    };
    let mut cut = WriteBatch::new();
    for one in batch.preconditions() {
        let partition = match one {
            Precondition::Key { key, .. } => Some(key.partition()),
            Precondition::Count { range, .. } => range.single_partition().cloned(),
        };
        if is_home(partition) {
            cut = cut.precondition(one.clone());
        }
    }
    for one in batch.mutations() {
        if is_home(Some(one.key().partition())) {
            cut = cut.mutation(one.clone());
        }
    }
    cut
}

/// A store may stop counting at the first entry that is too many.
fn is_same_conflict(batch: &WriteBatch, got: &Conflict, want: &Conflict) -> bool {
    let found = match (got.found, want.found, &batch.preconditions()[want.precondition]) {
        (Found::Count(got), Found::Count(true_count), Precondition::Count { entries, .. }) => {
            got == true_count || (true_count > *entries && got == entries + 1)
        }
        (got, want, _) => got == want,
    };
    found && got.precondition == want.precondition && got.key == want.key
}
