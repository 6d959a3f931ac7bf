//! Bringing the target up to a newer snapshot.

use std::collections::BTreeSet;
use std::sync::Arc;

use stead_core::{Key, KeyRange, Partition, Result, Revision, Snapshot, WatchEvent, WatchSpec};

use crate::copier::Known;
use crate::join::{Join, Pair, live, same, walk};
use crate::record::PARTITION;
use crate::{Copier, Occupied, Phase, Round};

/// Changed keys that are gathered before their values are read.
const GATHERED: usize = 4096;
/// Values that are read together have about this many bytes.
const READ_BYTES: usize = 4 << 20;
/// Values count as at least this large when the number to read together is chosen, for the next one may be larger than all
/// that were seen.
const LEAST_WIDTH: usize = 32 << 10;
/// Partitions that are listed at a time.
const LISTED: usize = 256;

impl Copier {
    /// One round.
    pub(crate) async fn round(&mut self) -> Result<Round> {
        self.batcher.discard();
        let view = self.source.snapshot().await?;
        let mut round = Round::default();
        match self.revision_of_all(&*view)? {
            Some(to) => {
                let from = self.record.position;
                self.bring(&view, &KeyRange::all(), from, to, &mut round).await?;
                self.record.position = Some(to);
                self.record.highest = self.record.highest.max(to);
            }
            None => self.bring_partitions(&view, &mut round).await?,
        }
        self.batcher.checkpoint(&self.record).await?;
        round.revision = self.record.highest;
        self.view = Some(view);
        Ok(round)
    }

    /// Brings each partition up to the snapshot, those that only the target still has included.
    async fn bring_partitions(&mut self, view: &Arc<dyn Snapshot>, round: &mut Round) -> Result<()> {
        let mut brought = Known::default();
        let mut rest = KeyRange::all();
        loop {
            let source = view.partitions(&rest, LISTED).await?;
            let target = self.target.partitions(&rest, LISTED).await?;
            // Behind the end of a full list there may be others of its store that come first.
            let end = [&source, &target]
                .into_iter()
                .filter(|list| list.len() == LISTED)
                .filter_map(|list| list.last().cloned())
                .min();
            let both: BTreeSet<Partition> = source.into_iter().chain(target).collect();
            for partition in both {
                if end.as_ref().is_some_and(|end| partition > *end) {
                    break;
                }
                if partition.as_bytes() == PARTITION {
                    continue;
                }
                let to = view.revision(&partition);
                let from = self.known.get(&partition);
                self.bring(view, &KeyRange::partition(&partition), from, to, round)
                    .await?;
                brought.set(&partition, to);
                self.record.highest = self.record.highest.max(to);
            }
            match end {
                Some(end) => rest = rest.after_partition(&end),
                None => break,
            }
        }
        self.known = brought;
        Ok(())
    }

    /// Brings `range` from a revision of the source up to the snapshot, which sees it at `to`.
    async fn bring(
        &mut self,
        view: &Arc<dyn Snapshot>,
        range: &KeyRange,
        from: Option<Revision>,
        to: Revision,
        round: &mut Round,
    ) -> Result<()> {
        if let Some(from) = from {
            let watchable = self.source.capabilities().watch;
            if from == to || watchable && self.follow(&**view, range, from, to, round).await? {
                return Ok(());
            }
        }
        round.compared = true;
        self.compare(view, range, to, round).await
    }

    /// Reads the feed of changes from `from` up to `to`. `false` if it does not reach back, or not that far.
    async fn follow(
        &mut self,
        view: &dyn Snapshot,
        range: &KeyRange,
        from: Revision,
        to: Revision,
        round: &mut Round,
    ) -> Result<bool> {
        let mut watcher = self.source.watch(&WatchSpec::new(range.clone()).after(from))?;
        let mut keys = BTreeSet::new();
        loop {
            match watcher.next_up_to(to).await? {
                Some(WatchEvent::Changes(set)) => {
                    let changed = set.changes.into_iter().map(|change| change.key);
                    keys.extend(changed.filter(|key| key.partition_bytes() != PARTITION));
                    if keys.len() >= GATHERED {
                        self.write(view, std::mem::take(&mut keys), to, round).await?;
                    }
                }
                Some(WatchEvent::Compacted { .. } | WatchEvent::Lagged { .. }) => return Ok(false),
                None => break,
            }
        }
        let reached = watcher.position() >= to;
        self.write(view, keys, to, round).await?;
        Ok(reached)
    }

    /// Writes what the snapshot holds under `keys`.
    async fn write(
        &mut self,
        view: &dyn Snapshot,
        keys: BTreeSet<Key>,
        to: Revision,
        round: &mut Round,
    ) -> Result<()> {
        let mut keys = keys.into_iter();
        loop {
            let most = (READ_BYTES / self.widest.max(LEAST_WIDTH)).max(1);
            let most = most.min(self.source.capabilities().limits.batch_operations);
            let some: Vec<Key> = keys.by_ref().take(most).collect();
            if some.is_empty() {
                break;
            }
            let entries = view.get_many(&some).await?;
            for (key, entry) in some.into_iter().zip(entries) {
                self.write_one(key, entry.as_ref(), to, round).await?;
            }
            self.tell(Phase::CatchingUp, round.changed, 0).await;
        }
        self.batcher.flush(None).await
    }

    async fn write_one(
        &mut self,
        key: Key,
        entry: Option<&stead_core::Entry>,
        to: Revision,
        round: &mut Round,
    ) -> Result<()> {
        let bytes = entry.map_or(0, |entry| entry.value().len());
        if !self.batcher.fits(&key, bytes) {
            self.batcher.flush(None).await?;
        }
        self.widest = self.widest.max(bytes);
        match entry {
            Some(entry) => self.batcher.put(key, entry, to),
            None => self.batcher.delete(key, to),
        }
        round.changed += 1;
        Ok(())
    }

    /// Reads both stores side by side and writes what differs.
    async fn compare(
        &mut self,
        view: &Arc<dyn Snapshot>,
        range: &KeyRange,
        to: Revision,
        round: &mut Round,
    ) -> Result<()> {
        let (source, target) = (Arc::clone(&self.source), Arc::clone(&self.target));
        let walk = walk(&**view, &*source, range.clone());
        let mut join = Join::new(walk, live(&*target, range.clone()));
        let mut read = 0_u64;
        while let Some(pair) = join.next().await? {
            match pair {
                Pair::Both(_, entry, other) if same(&entry, &other) => {}
                Pair::Both(key, entry, _) | Pair::Source(key, entry) => {
                    self.write_one(key, Some(&entry), to, round).await?;
                }
                Pair::Target(key, _) if self.options.occupied == Occupied::Refuse => {
                    self.write_one(key, None, to, round).await?;
                }
                Pair::Target(..) => {}
            }
            read += 1;
            if read.is_multiple_of(1024) {
                self.tell(Phase::Comparing, read, self.total).await;
            }
        }
        self.batcher.flush(None).await
    }
}
