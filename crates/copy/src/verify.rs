//! Comparing the two stores when all is written.

use std::sync::Arc;

use stead_core::{Entry, Error, Extent, Key, KeyRange, Partition, Read, Result, Revision, Snapshot};

use crate::digest::{Digest, Overall};
use crate::join::{Join, Pair, live, same, walk};
use crate::{Copier, Occupied, Phase, Verified};

/// The partition that is being compared.
struct Open {
    partition: Partition,
    source: Digest,
    target: Digest,
    equal: bool,
    first: Option<(Key, Entry)>,
}

impl Open {
    fn new(partition: Partition) -> Self {
        Open {
            partition,
            source: Digest::default(),
            target: Digest::default(),
            equal: true,
            first: None,
        }
    }
}

/// What is compared, and what was found so far.
struct Comparison {
    view: Arc<dyn Snapshot>,
    /// The target as it is, where its partitions may have to be raised one by one.
    standing: Option<Arc<dyn Snapshot>>,
    overall: Overall,
    partitions: u64,
    entries: u64,
    bytes: u64,
}

impl Copier {
    /// Reads both stores side by side: the source as it was when the target was last brought up to it, and the target as
    /// it is. With [`Occupied::Merge`], what only the target has is left out.
    ///
    /// # Errors
    ///
    /// `Corrupt` with the partition and both numbers of entries, where the two differ; the next run of the same copy then
    /// compares them and writes what differs. Else what the stores report.
    pub async fn verify(&mut self) -> Result<Verified> {
        let compared = self.verify_inner().await;
        compared.map_err(|error| error.during("verify"))
    }

    async fn verify_inner(&mut self) -> Result<Verified> {
        let view = match &self.view {
            Some(view) => Arc::clone(view),
            None => self.source.snapshot().await?,
        };
        let (source, target) = (Arc::clone(&self.source), Arc::clone(&self.target));
        let capabilities = target.capabilities();
        let by_partition = capabilities.revision_order == Extent::Partition && capabilities.snapshots;
        let mut comparison = Comparison {
            view: Arc::clone(&view),
            standing: match by_partition {
                true => Some(target.snapshot().await?),
                false => None,
            },
            overall: Overall::default(),
            partitions: 0,
            entries: 0,
            bytes: 0,
        };
        let walk = walk(&*view, &*source, KeyRange::all());
        let mut join = Join::new(walk, live(&*target, KeyRange::all()));
        let mut open: Option<Open> = None;
        let mut read = 0_u64;
        while let Some(pair) = join.next().await? {
            let (Pair::Both(key, ..) | Pair::Source(key, _) | Pair::Target(key, _)) = &pair;
            let same_partition = open
                .as_ref()
                .is_some_and(|open| open.partition.as_bytes() == key.partition_bytes());
            if !same_partition {
                let next = Open::new(key.partition());
                if let Some(done) = open.replace(next) {
                    self.close(done, &mut comparison).await?;
                }
            }
            if let Some(open) = &mut open {
                self.take(pair, open, &comparison).await?;
            }
            read += 1;
            if read.is_multiple_of(1024) {
                self.tell(Phase::Verifying, read, self.total).await;
            }
        }
        if let Some(done) = open {
            self.close(done, &mut comparison).await?;
        }
        self.batcher.flush(None).await?;
        Ok(Verified {
            partitions: comparison.partitions,
            entries: comparison.entries,
            bytes: comparison.bytes,
            content: comparison.overall.finish(),
        })
    }

    /// Takes in what the two have under one key.
    async fn take(&self, pair: Pair, open: &mut Open, comparison: &Comparison) -> Result<()> {
        match pair {
            Pair::Both(key, entry, other) => {
                open.source.add(&key, &entry);
                open.target.add(&key, &other);
                open.equal &= same(&entry, &other);
                open.first.get_or_insert((key, entry));
            }
            Pair::Source(key, entry) => {
                if !passed(&*comparison.view, &key, &entry).await? {
                    open.source.add(&key, &entry);
                    open.equal = false;
                }
            }
            Pair::Target(key, entry) => {
                let ours = self.options.occupied == Occupied::Refuse;
                if ours && !passed(&*self.target, &key, &entry).await? {
                    open.target.add(&key, &entry);
                    open.equal = false;
                }
            }
        }
        Ok(())
    }

    /// Ends a partition.
    async fn close(&mut self, open: Open, comparison: &mut Comparison) -> Result<()> {
        let Open {
            partition,
            source,
            target,
            equal,
            first,
        } = open;
        let (entries, bytes, others) = (source.entries, source.bytes, target.entries);
        let content = source.finish();
        if !equal || content != target.finish() {
            // The next run of this copy compares both and writes what differs.
            self.record.position = None;
            self.batcher.checkpoint(&self.record).await?;
            return Err(Error::corrupt(
                "the target is not what the source holds: something else wrote to it, or it lost writes; copy again, \
                 which mends what differs",
            )
            .with("partition", &partition)
            .with("source_entries", entries)
            .with("target_entries", others));
        }
        if entries == 0 {
            return Ok(());
        }
        comparison.partitions += 1;
        comparison.entries += entries;
        comparison.bytes += bytes;
        comparison.overall.add(partition.as_bytes(), entries, &content);
        self.lift(&partition, first, comparison).await
    }

    /// Sees to it that the target's partition stands behind the source's, where revisions are ordered within partitions and
    /// nothing was written there lately: one entry is written as it is.
    async fn lift(
        &mut self,
        partition: &Partition,
        first: Option<(Key, Entry)>,
        comparison: &Comparison,
    ) -> Result<()> {
        let (Some(standing), Some((key, entry))) = (&comparison.standing, first) else {
            return Ok(());
        };
        let wanted = comparison.view.revision(partition);
        if wanted == Revision::ZERO || standing.revision(partition) > wanted {
            return Ok(());
        }
        if !self.batcher.fits(&key, entry.value().len()) {
            self.batcher.flush(None).await?;
        }
        self.batcher.put(key, &entry, wanted);
        Ok(())
    }
}

/// Whether an entry is missing on the other side only because its deadline has passed meanwhile.
async fn passed(view: &dyn Read, key: &Key, entry: &Entry) -> Result<bool> {
    if entry.deadline().is_none() {
        return Ok(false);
    }
    Ok(view.get(key).await?.is_none())
}
