//! Watching the store.

use stead_core::{ErrorKind, Extent, KeyRange, Revision, WatchSpec};

use super::driver::{Driver, Step};
use super::follow::{Drained, Follow};
use super::look::told;
use super::ops::Span;

impl Driver {
    fn watched(&self, span: Span) -> KeyRange {
        match self.capabilities.revision_order {
            Extent::Store => span.range(),
            Extent::Partition => span.of_one_partition().range(),
        }
    }

    pub(super) async fn follow(&mut self, span: Span) -> Step {
        if !self.capabilities.watch {
            return Ok(());
        }
        let range = self.watched(span);
        let watcher = told("a watch", self.store().watch(&WatchSpec::new(range.clone())))?;
        let at = self.model.newest(range.single_partition());
        self.follows.push(Follow::new(watcher, range, at, Revision::ZERO));
        Ok(())
    }

    pub(super) async fn follow_after(&mut self, span: Span, after: Revision) -> Step {
        let range = self.watched(span);
        // A revision of another partition may lie ahead of this one.
        if !self.capabilities.watch || after > self.model.newest(range.single_partition()) {
            return Ok(());
        }
        self.push_follow(range, after).await
    }

    pub(super) async fn push_follow(&mut self, range: KeyRange, after: Revision) -> Step {
        let store = self.store();
        let oldest = told("stats", store.stats().await)?.oldest_revision;
        let watcher = told(
            "a watch",
            store.watch(&WatchSpec::new(range.clone()).after(after)),
        )?;
        self.follows.push(Follow::new(watcher, range, after, oldest));
        Ok(())
    }

    pub(super) fn follow_ahead(&self, span: Span) -> Step {
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

    pub(super) async fn drain(&mut self, which: u8) -> Step {
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

    pub(super) async fn resume(&mut self, which: u8) -> Step {
        if self.follows.is_empty() {
            return Ok(());
        }
        let old = self.follows.remove(usize::from(which) % self.follows.len());
        self.push_follow(old.range.clone(), old.position()).await
    }
}
