//! Finding damage.

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_core::{Backend, Clock, Error, Result};

use crate::chunk::{ChunkRef, Kind};
use crate::hash::Hash;
use crate::index::Child;
use crate::lock::Lock;
use crate::log::{Action, Log};
use crate::manager::{Observer, Phase, Progress};
use crate::manifest::{self, BackupId, BackupKind, Manifest, Reach, Root};
use crate::merge::shape_of;
use crate::partitions;
use crate::reader::{Reader, read_node};
use crate::repository::{Repository, chunk_name};
use crate::restore::{Deadlines, RestoreOptions, RestorePoint};
use crate::task::sized;

/// What is noted of a backup that was restored on trial.
pub(crate) const RESTORED: &str = "restore";

/// How closely to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum VerifyDepth {
    /// The log, the chains, the trees, and that every chunk is there in its length.
    Structure,
    /// All bytes as well: every chunk is read and compared with its hashes.
    #[default]
    Bytes,
}

impl VerifyDepth {
    /// `structure` or `bytes`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            VerifyDepth::Structure => "structure",
            VerifyDepth::Bytes => "bytes",
        }
    }
}

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Backups that are whole.
    pub backups: u64,
    /// Their ids, in the order in which they were made.
    pub ids: Vec<BackupId>,
    /// Chunks that they need.
    pub chunks: u64,
    /// Bytes of these chunks.
    pub bytes: u64,
    /// Chunks that no backup needs, and their bytes: what a killed backup left, or what was pruned and waits to be removed.
    pub unused_chunks: u64,
    /// Bytes of those.
    pub unused_bytes: u64,
}

/// How to verify.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// How closely to look.
    pub depth: VerifyDepth,
    /// Who is told how far it is.
    pub observer: Option<Observer>,
}

impl VerifyOptions {
    /// Looks as closely as `depth` says.
    #[must_use]
    pub fn new(depth: VerifyDepth) -> Self {
        VerifyOptions {
            depth,
            observer: None,
        }
    }

    /// Tells `observer` how far it is.
    #[must_use]
    pub fn with_observer(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    fn report(&self, done: u64, total: u64) {
        if let Some(observer) = &self.observer {
            observer(&Progress {
                phase: Phase::Verifying,
                done,
                total,
            });
        }
    }
}

impl Repository {
    /// Looks for damage in all of the repository.
    ///
    /// Found are, at [`VerifyDepth::Structure`], every change of the log and of what describes the backups, every object that
    /// is missing, has another length or has no place in a repository; at [`VerifyDepth::Bytes`], every flipped bit of every
    /// chunk that a backup needs, too.
    ///
    /// # Errors
    ///
    /// `Corrupt` for the first thing that is wrong, with its name; else what the place reports.
    pub async fn verify(&self, options: &VerifyOptions) -> Result<VerifyReport> {
        let verified = Box::pin(self.verify_inner(options)).await;
        verified.map_err(|error| error.during("verify"))
    }

    async fn verify_inner(&self, options: &VerifyOptions) -> Result<VerifyReport> {
        let mut sizes = self.chunk_sizes().await?;
        let log = Log::read(self).await?;
        let mut needed = BTreeMap::new();
        let mut report = VerifyReport::default();
        let all: Vec<&Manifest> = log.backups().map(|(_, manifest)| manifest).collect();
        let total = chunks_in(&all);
        for manifest in &all {
            // With the link of each, all chains hold: those that are stood on are backups of the log as well.
            log.base(manifest)?;
            let own = self.own_chunks(manifest).await;
            let mut own = own.map_err(|error| error.with("backup", manifest.id))?;
            needed.append(&mut own);
            report.backups += 1;
            report.ids.push(manifest.id);
        }
        for chunk in needed.values() {
            report.chunks += 1;
            report.bytes += u64::from(chunk.stored);
            match sizes.get(&chunk.id) {
                Some(size) if *size == u64::from(chunk.stored) => {}
                Some(size) => {
                    return Err(
                        Error::corrupt("a chunk has another length than it was written with")
                            .with("object", chunk_name(&chunk.id))
                            .with("length_bytes", size)
                            .with("expected_bytes", chunk.stored),
                    );
                }
                None => {
                    return Err(Error::corrupt("a chunk is missing from the repository")
                        .with("object", chunk_name(&chunk.id)));
                }
            }
        }
        sizes.retain(|id, _| !needed.contains_key(id));
        report.unused_chunks = sizes.len() as u64;
        report.unused_bytes = sizes.values().sum();
        if options.depth >= VerifyDepth::Bytes {
            let mut done = 0;
            for manifest in &all {
                self.verify_bytes(manifest, &mut |chunks| {
                    done += chunks;
                    options.report(done, total);
                })
                .await
                .map_err(|error| error.with("backup", manifest.id))?;
            }
            for id in sizes.keys() {
                self.verify_unused(id).await?;
            }
        }
        Ok(report)
    }

    /// That a chunk which no backup needs is what its name says: a later backup may have the same, and find it there.
    async fn verify_unused(&self, id: &Hash) -> Result<()> {
        let Some(bytes) = self.unused_bytes(id).await? else {
            // A sweep was faster.
            return Ok(());
        };
        match sized(bytes.len(), move || Ok(Hash::of(&bytes))).await? {
            hash if hash == *id => Ok(()),
            _ => Err(Error::corrupt(
                "a chunk is damaged: its hash is not its name; no backup needs it, so remove it",
            )
            .with("object", chunk_name(id))),
        }
    }

    /// Reads all bytes of some backups. A trial restore, or a restore, stands on this.
    pub(crate) async fn verify_chain(
        &self,
        chain: &[&Manifest],
        report: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<()> {
        let total = chunks_in(chain);
        let mut done = 0;
        for manifest in chain {
            let own = self.own_chunks(manifest).await;
            own.map_err(|error| error.with("backup", manifest.id))?;
            let read = self
                .verify_bytes(manifest, &mut |chunks| {
                    done += chunks;
                    report(done, total);
                })
                .await;
            read.map_err(|error| error.with("backup", manifest.id))?;
        }
        Ok(())
    }

    /// Reads all bytes of one backup, and compares what it says of itself.
    async fn verify_bytes(&self, manifest: &Manifest, report: &mut (dyn FnMut(u64) + Send)) -> Result<()> {
        let after = match (&manifest.before, manifest.kind) {
            (None, BackupKind::Full) => manifest.root.digest,
            (Some(before), BackupKind::Incremental | BackupKind::Differential) => {
                manifest::after(before, &manifest.root.digest)
            }
            _ => return Err(wrong()),
        };
        if after != manifest.after {
            return Err(wrong());
        }
        let (mut records, mut logical_bytes, mut removals) = (0, 0, 0);
        let mut reader = Reader::tallies(self, manifest.root.clone(), shape_of(manifest));
        while let Some(tally) = reader.next().await? {
            records += tally.records;
            removals += tally.removals;
            logical_bytes += tally.logical_bytes;
            report(1);
        }
        if let Reach::Partitions { chunk, highest } = &manifest.upto {
            let content = self.get_chunk(chunk, Kind::Partitions).await?;
            partitions::check(&content, *highest).map_err(|error| error.with("chunk", chunk.id))?;
        }
        let counts = &manifest.counts;
        let right = records == manifest.root.records
            && counts.entries.checked_add(removals) == Some(records)
            && counts.deleted.checked_add(counts.expired) == Some(removals)
            && logical_bytes == counts.logical_bytes
            && (removals == 0 || manifest.kind != BackupKind::Full);
        if !right {
            return Err(wrong());
        }
        Ok(())
    }

    /// The chunks of a backup, of which there are as many as it says.
    async fn own_chunks(&self, manifest: &Manifest) -> Result<BTreeMap<Hash, ChunkRef>> {
        let mut own = BTreeMap::new();
        self.chunks_of(manifest, &mut own).await?;
        let stored: u64 = own.values().map(|chunk| u64::from(chunk.stored)).sum();
        match own.len() as u64 == manifest.counts.chunks && stored == manifest.counts.stored_bytes {
            true => Ok(own),
            false => Err(wrong()),
        }
    }

    /// The chunks that a backup needs.
    pub(crate) async fn chunks_of(
        &self,
        manifest: &Manifest,
        needed: &mut BTreeMap<Hash, ChunkRef>,
    ) -> Result<()> {
        if let Reach::Partitions { chunk, .. } = &manifest.upto {
            needed.insert(chunk.id, *chunk);
        }
        let mut below: Vec<(Root, Option<Child>)> = vec![(manifest.root.clone(), None)];
        while let Some((root, named)) = below.pop() {
            needed.insert(root.chunk.id, root.chunk);
            let bounds = named.as_ref().map(|child| (&child.first, &child.last));
            let node = read_node(self, &root, bounds).await?;
            for child in node.children {
                if node.level == 1 {
                    needed.insert(child.chunk.id, child.chunk);
                } else {
                    below.push((child.root(node.level - 1), Some(child)));
                }
            }
        }
        Ok(())
    }

    /// The chunks that there are, and their lengths. Every other object has to be one that belongs in a repository.
    pub(crate) async fn chunk_sizes(&self) -> Result<BTreeMap<Hash, u64>> {
        let mut sizes = BTreeMap::new();
        let root = self.path("").as_ref().to_owned();
        for object in self.list("").await? {
            let whole = object.location.as_ref();
            let name = whole.strip_prefix(&root).unwrap_or(whole).trim_start_matches('/');
            let id = name.rsplit('/').next().map(Hash::parse);
            match id {
                Some(Ok(id)) if chunk_name(&id) == name => {
                    sizes.insert(id, object.size);
                }
                _ if matches!(name, "FORMAT" | "HEAD" | "lock") || name.starts_with("log/") => {}
                _ => {
                    return Err(
                        Error::corrupt("a file in the repository is none of its own; move it away")
                            .with("object", name.escape_debug()),
                    );
                }
            }
        }
        Ok(sizes)
    }

    /// Restores a backup into `scratch`, a store that is empty and is thrown away, and compares it there: the one proof that
    /// it can be restored.
    ///
    /// # Errors
    ///
    /// As [`restore`](Repository::restore).
    pub async fn trial_restore(
        &self,
        id: &BackupId,
        scratch: &Arc<dyn Backend>,
        clock: &dyn Clock,
        observer: Option<Observer>,
    ) -> Result<u64> {
        let mut options = RestoreOptions::new(RestorePoint::Backup(*id));
        // What has expired since shall be compared as well.
        options.deadlines = Deadlines::Drop;
        options.observer = observer;
        self.restore(scratch, &options, clock)
            .await
            .map(|report| report.entries)
    }

    /// Notes in the log that these backups were verified, so that retention does not drop the last full one that was. Those
    /// of which that is known are noted again only if they were restored now (the depth `restore`) and had not been; those
    /// that were forgotten meanwhile are passed over.
    ///
    /// # Errors
    ///
    /// `Conflict` while another process writes to the repository.
    pub async fn note_verified(&self, ids: &[BackupId], depth: &str, clock: &Arc<dyn Clock>) -> Result<()> {
        let notes: Vec<(BackupId, &str)> = ids.iter().map(|id| (*id, depth)).collect();
        self.note_each(&notes, clock).await
    }

    /// The same for some backups and the depth of each.
    pub(crate) async fn note_each(&self, notes: &[(BackupId, &str)], clock: &Arc<dyn Clock>) -> Result<()> {
        let lock = Lock::acquire(self, clock).await?;
        let noted = self.note_locked(notes, &**clock).await;
        let released = lock.release().await;
        noted.and(released)
    }

    async fn note_locked(&self, notes: &[(BackupId, &str)], clock: &dyn Clock) -> Result<()> {
        let mut log = Log::read(self).await?;
        let (verified, restored) = (log.verified(), log.verified_at(RESTORED));
        for (id, depth) in notes {
            let is_known = verified.contains(id) && (*depth != RESTORED || restored.contains(id));
            if is_known || log.backup(id).is_err() {
                continue;
            }
            let action = Action::Verified {
                id: *id,
                depth: (*depth).to_owned(),
            };
            log.append(self, clock, action).await?;
        }
        Ok(())
    }
}

/// For those who are told how far it is: what the log says was not compared yet.
fn chunks_in(backups: &[&Manifest]) -> u64 {
    let chunks = backups.iter().map(|manifest| manifest.counts.chunks);
    chunks.fold(0, u64::saturating_add)
}

#[cold]
fn wrong() -> Error {
    Error::corrupt("the backup does not give the state that it promises, or not what it says of itself")
}
