//! A copy from its beginning to its end.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::task::Poll;

use stead_core::{
    Backend, Error, Extent, Key, KeyRange, Partition, ReadExt, Result, Revision, Snapshot, WatchSpec,
};

use crate::batcher::Batcher;
use crate::record::{Bulk, PARTITION, Record};
use crate::{CopyOptions, Occupied, Phase, Progress, Report, Round};

/// A round that changed no more than this is the last: the next one would hardly be smaller.
const SMALL_ROUND: u64 = 256;
/// A source that is written to faster than it is copied is never caught up with. What is copied then is still the source
/// as it was at one revision.
const MOST_ROUNDS: u64 = 12;

/// A copy under way. [`run`](Copier::run) does it all; the other methods are its steps, for those who want to go on
/// catching up for longer.
pub struct Copier {
    pub(crate) source: Arc<dyn Backend>,
    pub(crate) target: Arc<dyn Backend>,
    pub(crate) options: CopyOptions,
    pub(crate) record: Record,
    pub(crate) batcher: Batcher,
    /// The snapshot that the target was last brought up to.
    pub(crate) view: Option<Arc<dyn Snapshot>>,
    pub(crate) known: Known,
    /// The largest value that was seen: how many may be read at a time follows from it.
    pub(crate) widest: usize,
    resumed: bool,
    pub(crate) copied: u64,
    pub(crate) caught_up: u64,
    rounds: u64,
    pub(crate) total: u64,
}

/// The revisions up to which the target holds each partition of a source that orders revisions within them only. Kept by
/// hash, which is shorter than the name: of two that collide, the lower revision counts, behind which nothing is missed.
#[derive(Debug, Default)]
pub(crate) struct Known(HashMap<u64, Revision>);

impl Known {
    pub(crate) fn set(&mut self, partition: &Partition, revision: Revision) {
        let at = self.0.entry(hash(partition)).or_insert(revision);
        *at = revision.min(*at);
    }

    pub(crate) fn get(&self, partition: &Partition) -> Option<Revision> {
        self.0.get(&hash(partition)).copied()
    }
}

fn hash(partition: &Partition) -> u64 {
    let mut hasher = DefaultHasher::new();
    partition.hash(&mut hasher);
    hasher.finish()
}

impl Copier {
    /// Begins a copy of `source` into `target`, or goes on with one that was interrupted.
    ///
    /// # Errors
    ///
    /// - `Invalid`: both are the same store; the target holds something and [`Occupied::Merge`] was not asked for; the
    ///   target holds an unfinished copy of another source, or one that was begun with other options; the source is
    ///   itself the target of an unfinished copy, or stands behind where this copy has seen it;
    /// - `Unsupported`: the source has no snapshots, or the target takes no writes;
    /// - else what the stores report. Nothing but where the copy stands was written.
    pub async fn begin(
        source: Arc<dyn Backend>,
        target: Arc<dyn Backend>,
        options: CopyOptions,
    ) -> Result<Self> {
        let begun = Self::begin_inner(source, target, options).await;
        begun.map_err(|error| error.during("copy"))
    }

    async fn begin_inner(
        source: Arc<dyn Backend>,
        target: Arc<dyn Backend>,
        options: CopyOptions,
    ) -> Result<Self> {
        if Arc::ptr_eq(&source, &target) {
            return Err(same_store());
        }
        check_capabilities(&*source, &*target)?;
        let key = Record::key()?;
        if source.exists(&key).await? {
            return Err(Error::invalid(
                "the source is the target of an unfinished copy; finish that one first",
            ));
        }
        let found = match target.get(&key).await? {
            Some(entry) => Some(Record::decode(entry.value())?),
            None => None,
        };
        if let Some(record) = &found {
            check_record(record, &options)?;
        } else if options.occupied == Occupied::Refuse && holds_anything(&*target).await? {
            return Err(Error::invalid(
                "the target is not empty; name an empty one, or merge into it, which overwrites what has the same key",
            ));
        }
        let mut copier = Copier {
            batcher: Batcher::new(&target, options.batch_bytes)?,
            resumed: found.is_some(),
            record: found.unwrap_or_else(|| Record {
                source: options.source.clone(),
                occupied: options.occupied,
                position: None,
                highest: Revision::ZERO,
                bulk: Bulk::Upto(None),
            }),
            options,
            view: None,
            known: Known::default(),
            widest: 0,
            copied: 0,
            caught_up: 0,
            rounds: 0,
            total: 0,
            source,
            target,
        };
        copier.look(&key).await?;
        Ok(copier)
    }

    /// Takes the first snapshot, and leaves a mark in the target that the source must not have.
    async fn look(&mut self, key: &Key) -> Result<()> {
        let view = self.source.snapshot().await?;
        self.total = self.source.stats().await?.entries;
        if let Some(now) = self.revision_of_all(&*view)? {
            if now < self.record.highest {
                return Err(Error::invalid(
                    "the source stands behind where this copy has seen it: it was replaced or went back; empty the \
                     target and copy anew",
                )
                .with("revision", now)
                .with("seen", self.record.highest));
            }
            if !self.resumed {
                self.record.position = Some(now);
                self.record.highest = now;
            }
        }
        self.view = Some(view);
        if self.resumed {
            return Ok(());
        }
        self.batcher.checkpoint(&self.record).await?;
        if self.source.exists(key).await? {
            self.batcher.end(Revision::ZERO).await?;
            return Err(same_store());
        }
        Ok(())
    }

    /// The revision of the whole source, where it has one.
    pub(crate) fn revision_of_all(&self, view: &dyn Snapshot) -> Result<Option<Revision>> {
        if self.source.capabilities().revision_order == Extent::Partition {
            return Ok(None);
        }
        Ok(Some(view.revision(&Partition::new(PARTITION)?)))
    }

    /// Does the whole copy: writes what the source holds, catches up, verifies, and takes the mark away.
    ///
    /// # Errors
    ///
    /// As the steps. The target keeps where the copy stands: beginning it again goes on from there.
    pub async fn run(mut self) -> Result<Report> {
        self.bulk().await?;
        self.settle().await?;
        let verified = self.verify().await?;
        self.finish().await?;
        Ok(self.report(verified))
    }

    /// Catches up until hardly anything changes between two rounds.
    ///
    /// # Errors
    ///
    /// As [`catch_up`](Copier::catch_up).
    pub async fn settle(&mut self) -> Result<Round> {
        let mut round = self.catch_up().await?;
        for _ in 1..MOST_ROUNDS {
            if round.changed <= SMALL_ROUND {
                break;
            }
            round = self.catch_up().await?;
        }
        Ok(round)
    }

    /// Brings the target up to the source as it is now.
    ///
    /// # Errors
    ///
    /// What the stores report; `Full` where the target has no room. Done as far as it went.
    pub async fn catch_up(&mut self) -> Result<Round> {
        self.rounds += 1;
        let round = self.round().await.map_err(|error| error.during("copy"))?;
        self.caught_up += round.changed;
        Ok(round)
    }

    /// Resolves when the source has changed since the target was last brought up to it. At once where the source cannot be
    /// watched as a whole: wait a while before.
    ///
    /// # Errors
    ///
    /// What the source reports.
    pub async fn changed(&self) -> Result<()> {
        let watchable = self.source.capabilities().watch;
        let (Some(position), true) = (self.record.position, watchable) else {
            return Ok(());
        };
        let mut watcher = self
            .source
            .watch(&WatchSpec::new(KeyRange::all()).after(position))?;
        // Whatever it says, there is something to catch up with.
        watcher.next().await.map(drop)
    }

    /// Ends the copy: from here on, the target is a store like any other.
    ///
    /// # Errors
    ///
    /// What the target reports.
    pub async fn finish(&mut self) -> Result<()> {
        let ended = self.batcher.end(self.record.highest).await;
        ended.map_err(|error| error.during("copy"))
    }

    /// What was done so far, with what [`verify`](Copier::verify) found.
    #[must_use]
    pub fn report(&self, verified: crate::Verified) -> Report {
        Report {
            resumed: self.resumed,
            copied: self.copied,
            caught_up: self.caught_up,
            rounds: self.rounds,
            revision: self.record.highest,
            verified,
        }
    }

    /// Says how far it is, and lets the other tasks of the executor go first: stores in the process answer without ever
    /// giving way, and whoever wants to end the copy has to get a turn.
    pub(crate) async fn tell(&self, phase: Phase, entries: u64, total: u64) {
        if let Some(observer) = &self.options.observer {
            observer(&Progress {
                phase,
                entries,
                total,
            });
        }
        give_way().await;
    }
}

fn give_way() -> impl Future<Output = ()> + Send {
    let mut given = false;
    std::future::poll_fn(move |context| {
        if given {
            return Poll::Ready(());
        }
        given = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

impl std::fmt::Debug for Copier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Copier")
            .field("options", &self.options)
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}

fn same_store() -> Error {
    Error::invalid("the source and the target are the same store; name two")
}

fn check_capabilities(source: &dyn Backend, target: &dyn Backend) -> Result<()> {
    if !source.capabilities().snapshots {
        return Err(Error::unsupported(
            "the source has no snapshots, so there is no one instant to copy; export it while nothing writes to it",
        )
        .with("backend", source.capabilities().name));
    }
    if !target.capabilities().writable {
        return Err(Error::unsupported("the target is open for reading only"));
    }
    Ok(())
}

/// Refuses to go on with a copy that is another one.
fn check_record(record: &Record, options: &CopyOptions) -> Result<()> {
    if record.source != options.source {
        return Err(Error::invalid(
            "the target holds an unfinished copy of another store; finish that one, or empty the target",
        )
        .with("its_source", &record.source));
    }
    if record.occupied != options.occupied {
        return Err(Error::invalid(match record.occupied {
            Occupied::Refuse => "the unfinished copy in the target does not merge; go on without merging",
            Occupied::Merge => "the unfinished copy in the target merges; go on with merging",
        }));
    }
    Ok(())
}

async fn holds_anything(store: &dyn Backend) -> Result<bool> {
    Ok(!store.partitions(&KeyRange::all(), 1).await?.is_empty())
}
