//! Carrying out operations on the store and on the model.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stead_core::{
    Backend, Capabilities, Clock, Conflict, ErrorKind, Expect, Expiry, Extent, Found, Key, KeyRange,
    ManualClock, Outcome, Partition, RequestId, Revision, Snapshot, Timestamp, Ttl, WatchSpec, WriteBatch,
};

use super::follow::{Drained, Follow, Sweeps};
use super::look::{items, look, next_page, same, scan_of, told};
use super::ops::{Change, Life, Listing, Look, Op, Slot, Span, Wish, Write};
use super::state::{Entries, Model, Verdict, is_visible, visible};
use crate::oracle::stand::Stand;

type Step = Result<(), String>;

/// A store, the model of it, and what was opened on the way.
pub(super) struct Driver {
    stand: Stand,
    clock: Arc<ManualClock>,
    capabilities: Capabilities,
    patience: Duration,
    model: Model,
    sweeps: Sweeps,
    snapshots: Vec<(Arc<dyn Snapshot>, Entries)>,
    follows: Vec<Follow>,
    next_id: u64,
}

impl Driver {
    pub(super) fn new(stand: Stand, clock: Arc<ManualClock>, patience: Duration) -> Self {
        let capabilities = stand.backend.capabilities().clone();
        let order = capabilities.revision_order;
        let knows = stand.sweep.is_some() && order == Extent::Store;
        Driver {
            stand,
            clock,
            patience,
            model: Model::new(order),
            sweeps: if knows { Sweeps::Known } else { Sweeps::Unknown },
            capabilities,
            snapshots: Vec::new(),
            follows: Vec::new(),
            next_id: 0,
        }
    }

    fn store(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.stand.backend)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) async fn step(&mut self, op: &Op) -> Step {
        match op {
            Op::Read(what) => match self.allowed(what) {
                Some(what) => look(&*self.store(), &self.model.entries, self.now(), &what).await,
                None => Ok(()),
            },
            Op::ListUnderWrites(listing, slot) => self.list_under_writes(*listing, *slot).await,
            Op::Write(write) => {
                let batch = self.batch(write);
                self.write(batch).await
            }
            Op::Retry(which) => self.retry(*which).await,
            Op::Misuse(which, slot) => self.misuse(*which, *slot).await,
            Op::Advance(millis) => {
                self.clock.advance_millis(u64::from(*millis));
                Ok(())
            }
            Op::StepBack(millis) => {
                self.step_back(u64::from(*millis));
                Ok(())
            }
            Op::Sweep => self.sweep().await,
            Op::Snapshot => self.take_snapshot().await,
            Op::ReadSnapshot(which, what) => match (nth(&self.snapshots, *which), self.allowed(what)) {
                (Some((snapshot, entries)), Some(what)) => look(&**snapshot, entries, self.now(), &what)
                    .await
                    .map_err(|difference| format!("of a snapshot: {difference}")),
                _ => Ok(()),
            },
            Op::DropSnapshot(which) => {
                if !self.snapshots.is_empty() {
                    self.snapshots.remove(usize::from(*which) % self.snapshots.len());
                }
                Ok(())
            }
            Op::Follow(span) => self.follow(*span).await,
            Op::FollowOld(span, which) => {
                let after = nth(&self.model.revisions, *which).copied().unwrap_or_default();
                self.follow_after(*span, after).await
            }
            Op::FollowAhead(span) => self.follow_ahead(*span),
            Op::Drain(which) => self.drain(*which).await,
            Op::Resume(which) => self.resume(*which).await,
            Op::Reopen => self.reopen().await,
            Op::Stats => self.compare_stats().await,
        }
    }

    /// Compares everything once more.
    pub(super) async fn finish(mut self) -> Step {
        let all = |is_reverse| Listing {
            span: Span::All,
            is_reverse,
            limit: None,
            page: 3,
            is_keys_only: false,
        };
        for is_reverse in [false, true] {
            self.step(&Op::Read(Look::List(all(is_reverse)))).await?;
        }
        while !self.follows.is_empty() {
            self.drain(0).await?;
            self.follows.pop();
        }
        self.sweep().await?;
        self.compare_stats().await?;
        let store = self.store();
        let report = told("check", store.check(&|_| {}).await)?;
        let stats = told("stats", store.stats().await)?;
        same("entries that a check read", &report.entries, &stats.entries)?;
        self.snapshots.clear();
        told("close", store.close().await)?;
        match store
            .get(&Key::new(&home(), "").map_err(|error| error.to_string())?)
            .await
        {
            Err(error) if error.kind() == ErrorKind::Closed => Ok(()),
            other => Err(format!("a get of a closed store gave {other:?}")),
        }
    }

    /// `what`, or the nearest thing to it that the store declares.
    fn allowed(&self, what: &Look) -> Option<Look> {
        let one_partition = self.capabilities.revision_order == Extent::Partition;
        let span = |span: Span| {
            if one_partition {
                span.of_one_partition()
            } else {
                span
            }
        };
        match what {
            Look::List(listing) if listing.is_reverse && !self.capabilities.reverse_scans => None,
            Look::List(listing) => Some(Look::List(Listing {
                span: span(listing.span),
                ..*listing
            })),
            Look::Count(counted) => Some(Look::Count(span(*counted))),
            what => Some(what.clone()),
        }
    }

    async fn list_under_writes(&mut self, listing: Listing, slot: Slot) -> Step {
        let Some(Look::List(listing)) = self.allowed(&Look::List(listing)) else {
            return Ok(());
        };
        let scan = scan_of(&Listing {
            limit: None,
            ..listing
        });
        let store = self.store();
        let before = items(&self.model.entries, &scan, self.now());
        let mut cursor = told("scan", store.scan(&scan))?;
        let first = next_page(&mut *cursor, &scan).await?;
        let mut writes = vec![WriteBatch::new().put(slot.key(), "meanwhile")];
        let shown = first.iter().rev().skip(1);
        writes.extend(shown.map(|item| WriteBatch::new().delete(item.key.clone())));
        for batch in writes {
            self.write(batch).await?;
        }
        let mut seen: Vec<Key> = first.into_iter().map(|item| item.key).collect();
        loop {
            let page = next_page(&mut *cursor, &scan).await?;
            if page.is_empty() {
                break;
            }
            seen.extend(page.into_iter().map(|item| item.key));
        }
        let stayed = before.iter().map(|item| &item.key);
        let stayed: Vec<&Key> = stayed
            .filter(|key| self.model.entries.contains_key(*key))
            .collect();
        let seen_of_them: Vec<&Key> = seen.iter().filter(|key| stayed.contains(key)).collect();
        same("what stayed during a scan", &seen_of_them, &stayed)
    }

    /// The batch that `write` means in the state of the model.
    fn batch(&mut self, write: &Write) -> WriteBatch {
        let now = self.now();
        let is_endless = |change: &Change| matches!(change, Change::Put(_, _, Life::Endless));
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
                let counted =
                    super::state::list(&self.model.entries, &range, stead_core::Direction::Forward, now);
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
                Expect::At(current.map_or(Revision::MAX, stead_core::Entry::revision))
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
    async fn write(&mut self, batch: WriteBatch) -> Step {
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

    async fn retry(&self, which: u8) -> Step {
        let Some((batch, outcome)) = nth(&self.model.requests, which) else {
            return Ok(());
        };
        let again = told("a retry", self.store().apply(batch.clone()).await)?;
        same(&format!("a retry of {batch:?}"), &again, outcome)
    }

    async fn misuse(&self, which: u8, slot: Slot) -> Step {
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

    fn step_back(&self, millis: u64) {
        let now = self.now().as_millis();
        let mut target = now - millis;
        if self.sweeps == Sweeps::Unknown {
            // What is past its deadline may be swept already, and must not be visible again.
            let passed = self.model.deadlines.range(..=self.now()).next_back();
            target = target.max(passed.map_or(0, |deadline| deadline.as_millis()));
        }
        self.clock.set(Timestamp::from_millis(target));
    }

    async fn sweep(&mut self) -> Step {
        let now = self.now();
        let store = self.store();
        let live = self
            .model
            .entries
            .values()
            .filter(|entry| is_visible(entry, now))
            .count();
        match &mut self.stand.sweep {
            Some(sweep) => told("a sweep", sweep())?,
            None => return self.await_sweep(live as u64).await,
        }
        if self.sweeps == Sweeps::Known && live < self.model.entries.len() {
            let revision = told("stats", store.stats().await)?.revision;
            let newest = self.model.newest(None);
            if revision <= newest {
                return Err(format!(
                    "a sweep left the store at {revision}, which was at {newest} before"
                ));
            }
            self.model.sweep(revision, now);
        }
        Ok(())
    }

    /// Waits for a store that sweeps by itself. What the model holds past its deadline does not matter then.
    async fn await_sweep(&self, live: u64) -> Step {
        let (store, step) = (self.store(), Duration::from_millis(1));
        let mut left = self.patience;
        loop {
            // Some stores sweep on access.
            told("get", store.get(&Slot::first().key()).await)?;
            let entries = told("stats", store.stats().await)?.entries;
            if entries == live {
                return Ok(());
            }
            if left.is_zero() {
                return Err(format!(
                    "entries after a sweep\n    store: {entries}\n    model: {live}"
                ));
            }
            left = left.saturating_sub(step);
            tokio::time::sleep(step).await;
        }
    }

    async fn take_snapshot(&mut self) -> Step {
        if !self.capabilities.snapshots {
            return Ok(());
        }
        let snapshot = told("a snapshot", self.store().snapshot().await)?;
        let newest = self.model.newest(Some(&home()));
        let revision = snapshot.revision(&home());
        let fits = match self.sweeps {
            Sweeps::Known => revision == newest,
            Sweeps::Unknown => revision >= newest,
        };
        if !fits {
            return Err(format!(
                "a snapshot is of {revision} when the newest revision was {newest}"
            ));
        }
        self.snapshots.push((snapshot, self.model.entries.clone()));
        Ok(())
    }

    fn watched(&self, span: Span) -> KeyRange {
        match self.capabilities.revision_order {
            Extent::Store => span.range(),
            Extent::Partition => span.of_one_partition().range(),
        }
    }

    async fn follow(&mut self, span: Span) -> Step {
        if !self.capabilities.watch {
            return Ok(());
        }
        let range = self.watched(span);
        let watcher = told("a watch", self.store().watch(&WatchSpec::new(range.clone())))?;
        let at = self.model.newest(range.single_partition());
        self.follows.push(Follow::new(watcher, range, at, Revision::ZERO));
        Ok(())
    }

    async fn follow_after(&mut self, span: Span, after: Revision) -> Step {
        let range = self.watched(span);
        // A revision of another partition may lie ahead of this one.
        if !self.capabilities.watch || after > self.model.newest(range.single_partition()) {
            return Ok(());
        }
        self.push_follow(range, after).await
    }

    async fn push_follow(&mut self, range: KeyRange, after: Revision) -> Step {
        let store = self.store();
        let oldest = told("stats", store.stats().await)?.oldest_revision;
        let watcher = told(
            "a watch",
            store.watch(&WatchSpec::new(range.clone()).after(after)),
        )?;
        self.follows.push(Follow::new(watcher, range, after, oldest));
        Ok(())
    }

    fn follow_ahead(&self, span: Span) -> Step {
        if !self.capabilities.watch {
            return Ok(());
        }
        let range = self.watched(span);
        let ahead = Revision::new(self.model.newest(range.single_partition()).get() + 1_000_000);
        match self.store().watch(&WatchSpec::new(range).after(ahead)) {
            Err(error) if error.kind() == ErrorKind::Invalid => Ok(()),
            Err(error) => Err(format!("a watch ahead of the store failed with {}", error.kind())),
            Ok(_) => Err("a watch ahead of the store began".to_owned()),
        }
    }

    async fn drain(&mut self, which: u8) -> Step {
        if self.follows.is_empty() {
            return Ok(());
        }
        let index = usize::from(which) % self.follows.len();
        let oldest = told("stats", self.store().stats().await)?.oldest_revision;
        let follow = &mut self.follows[index];
        let drained = follow
            .drain(&self.model.feed, oldest, self.sweeps, self.patience)
            .await?;
        if matches!(drained, Drained::Ended) {
            self.follows.remove(index);
        }
        Ok(())
    }

    async fn resume(&mut self, which: u8) -> Step {
        if self.follows.is_empty() {
            return Ok(());
        }
        let old = self.follows.remove(usize::from(which) % self.follows.len());
        self.push_follow(old.range.clone(), old.position()).await
    }

    async fn reopen(&mut self) -> Step {
        let Some(reopen) = &mut self.stand.reopen else {
            return Ok(());
        };
        self.snapshots.clear();
        let old: Vec<_> = self
            .follows
            .drain(..)
            .map(|one| (one.range.clone(), one.position()))
            .collect();
        self.stand.backend = told("to open the store again", reopen())?;
        for (range, position) in old {
            self.push_follow(range, position).await?;
        }
        Ok(())
    }

    async fn compare_stats(&self) -> Step {
        let stats = told("stats", self.store().stats().await)?;
        let newest = self.model.newest(None);
        if self.sweeps == Sweeps::Known {
            same("entries held", &stats.entries, &(self.model.entries.len() as u64))?;
            same("newest revision", &stats.revision, &newest)?;
        }
        if stats.oldest_revision > stats.revision {
            return Err(format!(
                "the log begins after {}, ahead of {}",
                stats.oldest_revision, stats.revision
            ));
        }
        Ok(())
    }
}

fn home() -> Partition {
    Slot::first().key().partition()
}

fn nth<T>(from: &[T], which: u8) -> Option<&T> {
    from.get(usize::from(which).checked_rem(from.len())?)
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
            stead_core::Precondition::Key { key, .. } => Some(key.partition()),
            stead_core::Precondition::Count { range, .. } => range.single_partition().cloned(),
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
        (Found::Count(got), Found::Count(true_count), stead_core::Precondition::Count { entries, .. }) => {
            got == true_count || (true_count > *entries && got == entries + 1)
        }
        (got, want, _) => got == want,
    };
    found && got.precondition == want.precondition && got.key == want.key
}
