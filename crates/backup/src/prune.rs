//! Forgetting backups, and removing what only they needed: in two steps, with a time of grace between them.
//!
//! The first step writes a record into the log that names the forgotten backups: from then on they are not listed, nothing can
//! stand on them, and their chunks are in the trash. The second step comes with a later prune, once the grace is over: it
//! looks again at what the backups need that there are, writes a record that says which records of the log go, and then
//! removes. A writer that was at work meanwhile, and was taken for dead, cannot publish any more: the number that its record
//! would have had is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use stead_core::{Clock, ErrorKind, Result, Timestamp};

use crate::hash::Hash;
use crate::lock::Lock;
use crate::log::{Action, Gone, Log, is_gone};
use crate::manager::{BackupManager, Observer, Phase, Progress};
use crate::manifest::{BackupId, BackupKind, Manifest};
use crate::repository::{Repository, chunk_name};
use crate::retention::{Candidate, Contents, Pauses, Reason, RetentionPolicy, plan_with};

/// How to prune.
#[derive(Clone)]
#[non_exhaustive]
pub struct PruneOptions {
    /// Which backups are kept.
    pub policy: RetentionPolicy,
    /// Which times between backups make the older ones older.
    pub pauses: Pauses,
    /// How long what was forgotten stays in the trash: a day unless set. Longer than any backup or restore takes.
    pub grace: Duration,
    /// Changes nothing, and says what would change.
    pub dry_run: bool,
    /// Who is told how far it is.
    pub observer: Option<Observer>,
}

impl PruneOptions {
    /// Keeps what `policy` keeps.
    #[must_use]
    pub fn new(policy: RetentionPolicy) -> Self {
        PruneOptions {
            policy,
            pauses: Pauses::Doubt,
            grace: Duration::from_secs(24 * 3600),
            dry_run: false,
            observer: None,
        }
    }
}

/// What a prune did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneReport {
    /// The backups that are kept, and why.
    pub kept: Vec<(BackupId, Vec<Reason>)>,
    /// The backups that are forgotten.
    pub forgotten: Vec<BackupId>,
    /// Chunks that were removed.
    pub removed_chunks: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Chunks that no backup needs and that wait for the end of their grace.
    pub waiting_chunks: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
}

impl BackupManager {
    /// Forgets the backups that `policy` does not keep, and removes what was forgotten a day ago or longer: see
    /// [`Repository::prune`].
    ///
    /// # Errors
    ///
    /// As [`Repository::prune`].
    pub async fn apply_retention_policy(&self, policy: &RetentionPolicy) -> Result<PruneReport> {
        let options = PruneOptions {
            observer: self.observer.clone(),
            ..PruneOptions::new(policy.clone())
        };
        self.repository.prune(&options, &self.clock).await
    }
}

/// What there is to remove.
struct Trash {
    /// Backups whose grace is over.
    backups: BTreeSet<BackupId>,
    chunks: BTreeMap<Hash, u64>,
    waiting: BTreeMap<Hash, u64>,
}

impl Repository {
    /// Forgets the backups that the policy does not keep, and removes what earlier prunes forgot once its grace is over.
    ///
    /// Kept whatever the policy: all that a kept backup stands on, and the last full backup that was verified. Nothing that a
    /// backup needs is ever removed, and a kill at any instant leaves a whole repository: the next prune goes on.
    ///
    /// # Errors
    ///
    /// - `Invalid` for a policy that keeps nothing;
    /// - `Conflict` while another process writes to the repository;
    /// - `Corrupt` where the log, or the tree of a backup that is kept, is damaged: nothing is removed then. One that is
    ///   forgotten may be damaged.
    pub async fn prune(&self, options: &PruneOptions, clock: &Arc<dyn Clock>) -> Result<PruneReport> {
        let pruned = async {
            if options.dry_run {
                return Box::pin(self.prune_locked(options, &**clock)).await;
            }
            let lock = Lock::acquire(self, clock).await?;
            let pruned = Box::pin(self.prune_locked(options, &**clock)).await;
            let released = lock.release().await;
            let pruned = pruned?;
            released.map(|()| pruned)
        };
        pruned.await.map_err(|error| error.during("prune"))
    }

    async fn prune_locked(&self, options: &PruneOptions, clock: &dyn Clock) -> Result<PruneReport> {
        let mut log = Log::read(self).await?;
        let now = clock.now();
        options.policy.check()?;
        let contents = match options.policy.weighs() {
            true => self.contents(&log).await?,
            false => Contents::default(),
        };
        let mut report = decide(&log, &contents, options, now)?;
        let trash = self.trash(&log, &report.forgotten, options.grace, now).await?;
        report.removed_chunks = trash.chunks.len() as u64;
        report.removed_bytes = trash.chunks.values().sum();
        report.waiting_chunks = trash.waiting.len() as u64;
        report.waiting_bytes = trash.waiting.values().sum();
        if options.dry_run {
            return Ok(report);
        }
        if !report.forgotten.is_empty() {
            let action = Action::Prune {
                forgotten: report.forgotten.clone(),
            };
            log.append(self, clock, action).await?;
        }
        self.sweep(&mut log, trash, options, clock).await?;
        Ok(report)
    }

    /// The chunks of all backups but of those whose trees are damaged.
    async fn contents(&self, log: &Log) -> Result<Contents> {
        let mut contents = Contents::default();
        for (_, manifest) in log.backups() {
            let mut chunks = BTreeMap::new();
            match self.chunks_of(manifest, &mut chunks).await {
                Ok(()) => contents.add(manifest.id.sequence(), &chunks),
                Err(error) if error.kind() == ErrorKind::Corrupt => {}
                Err(error) => return Err(error.with("backup", manifest.id)),
            }
        }
        Ok(contents)
    }

    /// What can be removed now, and what has to wait. `forgotten` are the backups that this prune forgets.
    async fn trash(
        &self,
        log: &Log,
        forgotten: &[BackupId],
        grace: Duration,
        now: Timestamp,
    ) -> Result<Trash> {
        let old = |at_ms: u64| u128::from(at_ms) + grace.as_millis() <= u128::from(now.as_millis());
        let mut backups = BTreeSet::new();
        for recorded in log.records.values() {
            if let Action::Prune { forgotten } = &recorded.record.action
                && old(recorded.record.at_ms)
            {
                backups.extend(forgotten.iter().copied());
            }
        }
        let before = log.forgotten();
        let (mut needed, mut resting) = (BTreeMap::new(), BTreeMap::new());
        let mut damaged = false;
        for manifest in log
            .all_backups()
            .filter(|manifest| !backups.contains(&manifest.id))
        {
            let still = !forgotten.contains(&manifest.id) && !before.contains(&manifest.id);
            let into = if still { &mut needed } else { &mut resting };
            match self.chunks_of(manifest, into).await {
                // Nobody needs it any more: what it has waits until its grace is over and it need not be read.
                Err(error) if !still && error.kind() == ErrorKind::Corrupt => damaged = true,
                read => read.map_err(|error| error.with("backup", manifest.id))?,
            }
        }
        let mut trash = Trash {
            backups,
            chunks: BTreeMap::new(),
            waiting: BTreeMap::new(),
        };
        for (id, (size, written_ms)) in self.chunks_with_times().await? {
            if needed.contains_key(&id) {
                continue;
            }
            // What no record names may belong to a backup that is being made.
            let rests = damaged || resting.contains_key(&id) || !old(written_ms);
            let into = if rests {
                &mut trash.waiting
            } else {
                &mut trash.chunks
            };
            into.insert(id, size);
        }
        Ok(trash)
    }

    async fn chunks_with_times(&self) -> Result<BTreeMap<Hash, (u64, u64)>> {
        let mut chunks = BTreeMap::new();
        for object in self.list("chunks").await? {
            let id = object.location.filename().map(Hash::parse);
            if let Some(Ok(id)) = id {
                let written = u64::try_from(object.last_modified.timestamp_millis()).unwrap_or(0);
                chunks.insert(id, (object.size, written));
            }
        }
        Ok(chunks)
    }

    /// Removes what is in the trash, once the log says so.
    async fn sweep(
        &self,
        log: &mut Log,
        trash: Trash,
        options: &PruneOptions,
        clock: &dyn Clock,
    ) -> Result<()> {
        let (gone, news) = log.without(&trash.backups);
        if !trash.chunks.is_empty() || news {
            log.append(self, clock, Action::Sweep { gone }).await?;
        }
        let total = trash.chunks.len() as u64;
        for (done, id) in (1..).zip(trash.chunks.keys()) {
            self.remove(&chunk_name(id)).await?;
            if let Some(observer) = &options.observer {
                observer(&Progress {
                    phase: Phase::Removing,
                    done,
                    total,
                });
            }
        }
        log.remove_gone(self).await?;
        let day = Duration::from_secs(24 * 3600);
        self.location().remove_leftovers(clock.now(), day).await.map(drop)
    }
}

fn decide(log: &Log, contents: &Contents, options: &PruneOptions, now: Timestamp) -> Result<PruneReport> {
    let verified = log.verified();
    let backups: BTreeMap<u64, &Manifest> = log
        .backups()
        .map(|(_, manifest)| (manifest.id.sequence(), manifest))
        .collect();
    let candidates: Vec<Candidate> = backups
        .values()
        .map(|manifest| Candidate {
            id: manifest.id.sequence(),
            created: manifest.taken(),
            parent: manifest.parent.map(|parent| parent.id.sequence()),
            tags: manifest.tags.clone(),
            stored_bytes: manifest.counts.new_bytes,
            verified: verified.contains(&manifest.id),
            full: manifest.kind == BackupKind::Full,
        })
        .collect();
    let plan = plan_with(&options.policy, &candidates, contents, now, options.pauses)?;
    let mut report = PruneReport::default();
    for decision in plan.decisions {
        let Some(manifest) = backups.get(&decision.id) else {
            continue;
        };
        match decision.is_kept() {
            true => report.kept.push((manifest.id, decision.reasons)),
            false => report.forgotten.push(manifest.id),
        }
    }
    Ok(report)
}

impl Log {
    /// All backups whose records there are, forgotten ones too.
    fn all_backups(&self) -> impl Iterator<Item = &Manifest> {
        self.records
            .values()
            .filter_map(|recorded| match &recorded.record.action {
                Action::Backup(manifest) => Some(&**manifest),
                _ => None,
            })
    }

    /// What is gone from the log once `backups` are, and whether that is more than before: their records, what is noted of
    /// them, and the records of prunes and sweeps that say nothing any more.
    fn without(&self, backups: &BTreeSet<BackupId>) -> (Vec<Gone>, bool) {
        let mut gone: BTreeMap<u64, Gone> = self.gone().iter().map(|gone| (gone.first, *gone)).collect();
        let mut news = false;
        for (sequence, recorded) in &self.records {
            let goes = match &recorded.record.action {
                Action::Backup(manifest) => backups.contains(&manifest.id),
                Action::Verified { id, .. } => backups.contains(id),
                Action::Prune { forgotten } => {
                    news |= forgotten.iter().all(|id| backups.contains(id));
                    forgotten.iter().all(|id| backups.contains(id))
                }
                // The record that is about to be written says what this one says.
                Action::Sweep { .. } => true,
            };
            if goes {
                news |= !matches!(recorded.record.action, Action::Sweep { .. });
                gone.insert(
                    *sequence,
                    Gone {
                        first: *sequence,
                        last: *sequence,
                        record: recorded.hash,
                    },
                );
            }
        }
        let mut joined: Vec<Gone> = Vec::new();
        for next in gone.into_values() {
            match joined.last_mut() {
                Some(last) if last.last + 1 == next.first => {
                    last.last = next.last;
                    last.record = next.record;
                }
                _ => joined.push(next),
            }
        }
        (joined, news)
    }

    /// Removes the records that are gone, those that a killed sweep left as well.
    async fn remove_gone(&self, repository: &Repository) -> Result<()> {
        let gone = self.gone();
        if gone.is_empty() {
            return Ok(());
        }
        for object in repository.list("log").await? {
            let name = object.location.filename().unwrap_or_default();
            let sequence = name.parse().ok();
            if sequence.is_some_and(|sequence| is_gone(gone, sequence)) {
                repository.remove(&format!("log/{name}")).await?;
            }
        }
        Ok(())
    }
}
