//! Carrying out operations on the store and on the model.

use std::sync::Arc;
use std::time::Duration;

use stead_core::{
    Backend, Capabilities, Clock, ErrorKind, Extent, Key, ManualClock, Partition, Snapshot, Timestamp,
    WriteBatch,
};

use super::follow::{Follow, Sweeps};
use super::look::{items, look, next_page, same, scan_of, told};
use super::ops::{Listing, Look, Op, Slot, Span};
use super::state::{Entries, Model, is_visible};
use crate::oracle::stand::Stand;

pub(super) type Step = Result<(), String>;

/// A store, the model of it, and what was opened on the way.
pub(super) struct Driver {
    pub(super) stand: Stand,
    pub(super) clock: Arc<ManualClock>,
    pub(super) capabilities: Capabilities,
    pub(super) patience: Duration,
    pub(super) model: Model,
    pub(super) sweeps: Sweeps,
    pub(super) snapshots: Vec<(Arc<dyn Snapshot>, Entries)>,
    pub(super) follows: Vec<Follow>,
    pub(super) next_id: u64,
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

    pub(super) fn store(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.stand.backend)
    }

    pub(super) fn now(&self) -> Timestamp {
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

pub(super) fn nth<T>(from: &[T], which: u8) -> Option<&T> {
    from.get(usize::from(which).checked_rem(from.len())?)
}
