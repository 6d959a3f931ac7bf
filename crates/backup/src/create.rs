//! Making a backup.

use std::sync::Arc;

use stead_core::kit::Walk;
use stead_core::{
    Entry, Error, ErrorKind, Extent, Item, Key, KeyRange, Partition, Result, Revision, Snapshot,
};

use crate::attempt::Attempt;
use crate::history;
use crate::lock::Lock;
use crate::log::{Action, Log, Recorded};
use crate::manager::{BackupManager, BackupType, CreateOptions, Phase};
use crate::manifest::{self, BackupId, BackupKind, Manifest, Parent, Reach, Source};
use crate::metadata::BackupMetadata;
use crate::partitions::{Listing, Reached};
use crate::records::{Record, Shape};
use crate::repository::chunk_name;
use crate::restore::check_finished;
use crate::writer::Writer;

/// Partitions that Stead keeps for itself begin with this: unfinished copies and restores.
pub(crate) const HIDDEN: &[u8] = b"\x01stead.";
/// Entries that are read at a time.
pub(crate) const PAGE_ENTRIES: usize = 4096;

/// What a backup is made of.
struct Plan {
    kind: BackupKind,
    /// What an increment stands on.
    parent: Option<Recorded>,
    forced: Option<String>,
}

/// What was written, before it is published.
pub(crate) struct Taken {
    pub(crate) writer: Writer,
    pub(crate) from: Option<Reach>,
    pub(crate) upto: Reach,
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
        check_finished(&*self.store).await?;
        let log = Log::read(&self.repository).await?;
        let attempt = Attempt::new(&self.repository, !log.records.is_empty(), &self.spare);
        let created = self.create_attempt(options, log, &attempt).await;
        if created.is_err() {
            attempt.undo().await;
        }
        self.spare.rest();
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
        let history = match &taken.upto {
            Reach::Store(upto) => history::marks(&*self.store, &*view, Revision::new(*upto)).await?,
            Reach::Partitions { .. } => Vec::new(),
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
            history,
            root,
            counts,
            forced: plan.forced,
        };
        let action = Action::Backup(Box::new(manifest));
        let appended = log
            .append_behind(&self.repository, &*self.clock, action, attempt.sync())
            .await
            .cloned();
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
        let mut writer = Writer::new(Shape::Full, attempt);
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
            writer.push(page.into_iter().map(record_of)).await?;
            self.report(Phase::Reading, done, total.max(done));
        }
        drop(walk);
        let upto = self.reach(&**view, &mut writer).await?;
        Ok(Taken {
            writer,
            from: None,
            upto,
        })
    }

    /// How far the snapshot reaches.
    async fn reach(&self, view: &dyn Snapshot, writer: &mut Writer) -> Result<Reach> {
        if self.store.capabilities().revision_order == Extent::Store {
            return Ok(Reach::Store(store_revision(view)?.get()));
        }
        let mut reached = Reached::default();
        let mut listing = Listing::new(view);
        while let Some(partition) = listing.next().await? {
            reached.push(&partition, view.revision(&partition));
        }
        reached.finish(writer)
    }
}

/// What a scan of entries gave.
pub(crate) fn entry_of(item: Item) -> Result<(Key, Entry)> {
    match item.entry {
        Some(entry) => Ok((item.key, entry)),
        None => Err(Error::internal("a scan gave a key without its entry")),
    }
}

/// What becomes of it.
pub(crate) fn record_of(item: Item) -> Result<Record> {
    entry_of(item).map(|(key, entry)| Record::of(key, entry))
}

/// The revision of a snapshot of a store that has one for all partitions.
pub(crate) fn store_revision(view: &dyn Snapshot) -> Result<Revision> {
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
