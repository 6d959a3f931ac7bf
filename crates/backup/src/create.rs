//! Making a backup.

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_core::kit::Walk;
use stead_core::{
    ChangeKind, Error, ErrorKind, Extent, Key, KeyRange, Partition, Result, Revision, Snapshot, WatchEvent,
    WatchSpec,
};

use crate::attempt::Attempt;
use crate::chunk::Kind;
use crate::lock::Lock;
use crate::log::{Action, Log, Recorded};
use crate::manager::{BackupManager, BackupType, CreateOptions, Phase};
use crate::manifest::{self, BackupId, BackupKind, Manifest, Parent, Reach, Source};
use crate::metadata::BackupMetadata;
use crate::records::{Payload, Record, Shape};
use crate::repository::chunk_name;
use crate::restore::check_whole;
use crate::varint;
use crate::writer::Writer;

/// Partitions that Stead keeps for itself begin with this: unfinished copies and restores.
pub(crate) const HIDDEN: &[u8] = b"\x01stead.";
/// Entries that are read at a time.
const PAGE_ENTRIES: usize = 4096;
/// Changed keys that an increment keeps in memory; at about 100 bytes each.
const MOST_CHANGED: usize = 400_000;
/// Values that are read together have about this many bytes.
const READ_BYTES: usize = 4 << 20;
/// Values count as at least this large when the number to read together is chosen.
const LEAST_WIDTH: usize = 4 << 10;
/// Between two reports of progress.
const REPORT_ENTRIES: u64 = 4096;

/// What a backup is made of.
struct Plan {
    kind: BackupKind,
    /// What an increment stands on.
    parent: Option<Recorded>,
    forced: Option<String>,
}

/// What was written, before it is published.
struct Taken {
    writer: Writer,
    from: Option<Reach>,
    upto: Reach,
}

impl BackupManager {
    pub(crate) async fn create_inner(&self, options: &CreateOptions) -> Result<BackupMetadata> {
        let lock = Lock::acquire(&self.repository, &self.clock).await?;
        let created = self.create_locked(options).await;
        let released = lock.release().await;
        let created = created?;
        released?;
        Ok(created)
    }

    async fn create_locked(&self, options: &CreateOptions) -> Result<BackupMetadata> {
        check_whole(&*self.store).await?;
        let log = Log::read(&self.repository).await?;
        let attempt = Attempt::new(&self.repository, !log.records.is_empty());
        let created = self.create_attempt(options, log, &attempt).await;
        if created.is_err() {
            attempt.undo().await;
        }
        created
    }

    async fn create_attempt(
        &self,
        options: &CreateOptions,
        mut log: Log,
        attempt: &Arc<Attempt>,
    ) -> Result<BackupMetadata> {
        let mut plan = plan(&log, &options.kind)?;
        let source = self.source().await?;
        if let Some(parent) = &plan.parent {
            check_lineage(&source, parent)?;
        }
        if let Some(parent) = manifest_of(plan.parent.as_ref()) {
            log.chain(&parent.id)?;
            self.check_top(parent).await?;
        }
        let taken_at = self.clock.now();
        let view = self.store.snapshot().await?;
        let mut taken = None;
        if let Some(parent) = manifest_of(plan.parent.as_ref()) {
            match self.increment(&view, parent, attempt).await? {
                Ok(increment) => taken = Some(increment),
                Err(reason) => {
                    plan = Plan {
                        kind: BackupKind::Full,
                        parent: None,
                        forced: Some(reason.to_owned()),
                    };
                }
            }
        }
        let taken = match taken {
            Some(taken) => taken,
            None => self.full(&view, attempt).await?,
        };
        drop(view);
        let (root, counts) = taken.writer.finish().await?;
        let parent = manifest_of(plan.parent.as_ref());
        let before = parent.map(|parent| parent.after);
        let random = self.random.next_u64().to_le_bytes();
        let manifest = Manifest {
            id: BackupId::new(
                log.next_sequence(),
                u32::from_le_bytes([random[0], random[1], random[2], random[3]]),
            ),
            kind: plan.kind,
            taken_ms: taken_at.as_millis(),
            tags: options.tags.clone(),
            source,
            parent: plan.parent.as_ref().zip(parent).map(|(recorded, parent)| Parent {
                id: parent.id,
                record: recorded.hash,
            }),
            before,
            after: before.map_or(root.digest, |before| manifest::after(&before, &root.digest)),
            from: taken.from,
            upto: taken.upto,
            root,
            counts,
            forced: plan.forced,
        };
        let action = Action::Backup(Box::new(manifest));
        let appended = log.append(&self.repository, &*self.clock, action).await.cloned();
        if appended.is_ok() || log.may_have_next(&self.repository).await {
            attempt.keep();
        }
        let recorded = appended?;
        let manifest =
            manifest_of(Some(&recorded)).ok_or_else(|| Error::internal("a backup is no backup"))?;
        Ok(BackupMetadata::new(manifest, &recorded, false))
    }

    /// That the top of a backup's tree is there: nothing is built upon a repository that was emptied.
    async fn check_top(&self, manifest: &Manifest) -> Result<()> {
        let top = &manifest.root.chunk;
        let name = chunk_name(&top.id);
        if self.repository.size_of(&name).await? == Some(u64::from(top.stored)) {
            return Ok(());
        }
        Err(Error::corrupt(
            "the backup to stand on lacks a chunk, or has a part of it only; verify the repository, and take a full backup",
        )
        .with("base", manifest.id)
        .with("object", name))
    }

    async fn source(&self) -> Result<Source> {
        Ok(Source {
            backend: self.store.capabilities().name.to_owned(),
            lineage: self
                .store
                .stats()
                .await?
                .lineage
                .map(|lineage| format!("{lineage:032x}")),
        })
    }

    /// Everything that the snapshot holds.
    async fn full(&self, view: &Arc<dyn Snapshot>, attempt: &Arc<Attempt>) -> Result<Taken> {
        let mut writer = Writer::new(&self.repository, Shape::Full, attempt);
        let total = self.store.stats().await?.entries;
        let mut walk = Walk::new(&**view, self.store.capabilities(), KeyRange::all())
            .without(HIDDEN)
            .page_size(PAGE_ENTRIES);
        let mut done = 0;
        loop {
            let page = walk.page().await?;
            if page.is_empty() {
                break;
            }
            done += page.len() as u64;
            for item in page {
                let entry = item
                    .entry
                    .ok_or_else(|| Error::internal("a scan gave a key without its entry"))?;
                writer.push(Record::of(item.key, entry)).await?;
            }
            self.report(Phase::Reading, done, total.max(done));
        }
        drop(walk);
        let upto = self.reach(view, &mut writer).await?;
        Ok(Taken {
            writer,
            from: None,
            upto,
        })
    }

    /// How far the snapshot reaches.
    async fn reach(&self, view: &Arc<dyn Snapshot>, writer: &mut Writer) -> Result<Reach> {
        if self.store.capabilities().revision_order == Extent::Store {
            return Ok(Reach::Store(store_revision(&**view)?.get()));
        }
        let mut content = Vec::new();
        let mut highest = Revision::ZERO;
        let mut rest = KeyRange::all();
        loop {
            let partitions = view.partitions(&rest, 256).await?;
            let Some(last) = partitions.last() else {
                break;
            };
            rest = rest.after_partition(last);
            for partition in partitions {
                let revision = view.revision(&partition);
                highest = highest.max(revision);
                varint::put(&mut content, partition.as_bytes().len() as u64);
                content.extend_from_slice(partition.as_bytes());
                varint::put(&mut content, revision.get());
            }
        }
        Ok(Reach::Partitions {
            chunk: writer.extra(Kind::Partitions, &content).await?,
            highest: highest.get(),
        })
    }

    /// What changed since `parent`; or why that cannot be had.
    async fn increment(
        &self,
        view: &Arc<dyn Snapshot>,
        parent: &Manifest,
        attempt: &Arc<Attempt>,
    ) -> Result<std::result::Result<Taken, &'static str>> {
        let capabilities = self.store.capabilities();
        if !capabilities.watch {
            return Ok(Err("the store keeps no log of changes"));
        }
        let (Extent::Store, Reach::Store(from)) = (capabilities.revision_order, &parent.upto) else {
            return Ok(Err("the store orders revisions within partitions only"));
        };
        let (from, to) = (Revision::new(*from), store_revision(&**view)?);
        if to < from {
            return Err(Error::invalid(
                "the store stands behind the backup: it was replaced or went back; take a full backup",
            )
            .with("revision", to)
            .with("backup_revision", from));
        }
        let changed = match self.changes(from, to).await? {
            Ok(changed) => changed,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut writer = Writer::new(&self.repository, Shape::Increment, attempt);
        self.read_changed(&**view, changed, &mut writer).await?;
        Ok(Ok(Taken {
            writer,
            from: Some(parent.upto.clone()),
            upto: Reach::Store(to.get()),
        }))
    }

    /// The keys that changed behind `from`, up to `to`.
    async fn changes(
        &self,
        from: Revision,
        to: Revision,
    ) -> Result<std::result::Result<BTreeMap<Key, Changed>, &'static str>> {
        let mut changed: BTreeMap<Key, Changed> = BTreeMap::new();
        if from == to {
            return Ok(Ok(changed));
        }
        let spec = WatchSpec::new(KeyRange::all()).after(from);
        let mut watcher = self.store.watch(&spec)?;
        while let Some(event) = watcher.next_up_to(to).await? {
            let WatchEvent::Changes(set) = event else {
                return Ok(Err(
                    "the store's log of changes does not reach back to the backup before",
                ));
            };
            for change in set.changes {
                if change.key.partition_bytes().starts_with(HIDDEN) {
                    continue;
                }
                let now = Changed {
                    first: set.revision,
                    last: set.revision,
                    kind: change.kind,
                };
                let known = changed.entry(change.key).or_insert(now);
                known.last = now.last;
                known.kind = now.kind;
            }
            if changed.len() > MOST_CHANGED {
                return Ok(Err("more keys changed than an increment keeps in memory"));
            }
        }
        if watcher.position() < to {
            return Ok(Err("the store's log of changes does not reach the present"));
        }
        Ok(Ok(changed))
    }

    /// Writes what the snapshot holds under the keys that changed.
    async fn read_changed(
        &self,
        view: &dyn Snapshot,
        changed: BTreeMap<Key, Changed>,
        writer: &mut Writer,
    ) -> Result<()> {
        let total = changed.len() as u64;
        let most = self.store.capabilities().limits.batch_operations;
        let (mut done, mut reported, mut widest) = (0, 0, LEAST_WIDTH);
        let mut changed = changed.into_iter();
        loop {
            let at_a_time = (READ_BYTES / widest).clamp(1, most);
            let (keys, changes): (Vec<Key>, Vec<Changed>) = changed.by_ref().take(at_a_time).unzip();
            if keys.is_empty() {
                return Ok(());
            }
            done += keys.len() as u64;
            let entries = view.get_many(&keys).await?;
            for ((key, entry), change) in keys.into_iter().zip(entries).zip(changes) {
                let record = match entry {
                    Some(entry) => {
                        widest = widest.max(entry.value().len());
                        Record {
                            first: change.first.min(entry.revision()),
                            ..Record::of(key, entry)
                        }
                    }
                    None => change.removal(key),
                };
                writer.push(record).await?;
            }
            if done - reported >= REPORT_ENTRIES || done == total {
                self.report(Phase::Reading, done, total);
                reported = done;
            }
        }
    }
}

/// What the log of changes says of a key.
#[derive(Clone, Copy)]
struct Changed {
    first: Revision,
    last: Revision,
    kind: ChangeKind,
}

impl Changed {
    /// There is no entry any more: it was deleted, or its deadline has passed.
    fn removal(self, key: Key) -> Record {
        Record {
            key,
            revision: self.last,
            first: self.first,
            deadline: None,
            payload: match self.kind {
                ChangeKind::Delete => Payload::Deleted,
                ChangeKind::Put | ChangeKind::Expired => Payload::Expired,
            },
        }
    }
}

/// The revision of a snapshot of a store that has one for all partitions.
fn store_revision(view: &dyn Snapshot) -> Result<Revision> {
    Ok(view.revision(&Partition::new(HIDDEN)?))
}

fn manifest_of(recorded: Option<&Recorded>) -> Option<&Manifest> {
    match &recorded?.record.action {
        Action::Backup(manifest) => Some(manifest),
        _ => None,
    }
}

fn plan(log: &Log, wanted: &BackupType) -> Result<Plan> {
    let full = |forced: Option<&str>| Plan {
        kind: BackupKind::Full,
        parent: None,
        forced: forced.map(str::to_owned),
    };
    Ok(match wanted {
        BackupType::Full => full(None),
        BackupType::Incremental { base_backup_id } => Plan {
            kind: BackupKind::Incremental,
            parent: Some(log.backup(base_backup_id)?.0.clone()),
            forced: None,
        },
        BackupType::IncrementalFromNewest => match log.backups().next_back() {
            Some((recorded, _)) => Plan {
                kind: BackupKind::Incremental,
                parent: Some(recorded.clone()),
                forced: None,
            },
            None => full(Some("there is no backup to stand on")),
        },
        BackupType::Differential => {
            let mut fulls = log
                .backups()
                .filter(|(_, manifest)| manifest.kind == BackupKind::Full);
            match fulls.next_back() {
                Some((recorded, _)) => Plan {
                    kind: BackupKind::Differential,
                    parent: Some(recorded.clone()),
                    forced: None,
                },
                None => full(Some("there is no full backup to stand on")),
            }
        }
    })
}

/// That the store is the one that the backup before was taken of.
fn check_lineage(source: &Source, parent: &Recorded) -> Result<()> {
    let Some(parent) = manifest_of(Some(parent)) else {
        return Ok(());
    };
    if parent.source != *source {
        return Err(Error::new(
            ErrorKind::Invalid,
            "the backup to stand on was taken of another store; take a full backup",
        )
        .with("base", parent.id)
        .with("its_backend", &parent.source.backend));
    }
    Ok(())
}
