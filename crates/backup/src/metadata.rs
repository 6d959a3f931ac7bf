//! What there is to know about a backup.

use std::collections::BTreeSet;

use stead_core::{Error, Result, Revision, Timestamp};

use crate::hash::Hash;
use crate::log::{Action, Log, Recorded};
use crate::manifest::{BackupCounts, BackupId, BackupKind, Manifest};
use crate::repository::Repository;

/// A backup, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupMetadata {
    /// Its id.
    pub id: BackupId,
    /// How much it holds.
    pub kind: BackupKind,
    /// When its snapshot was taken, by the clock of who made it.
    pub taken: Timestamp,
    /// The revision of the store at which it was taken: the highest one where revisions are ordered within partitions.
    pub revision: Revision,
    /// The backup that it stands on.
    pub base: Option<BackupId>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// The kind of store that it was taken of.
    pub backend: String,
    /// The state that it gives: of a full backup, the root of the Merkle tree over its entries; of an increment, a hash of
    /// the state before and of the root over what changed.
    pub state: Hash,
    /// How much it is.
    pub counts: BackupCounts,
    /// Whether it was verified since, all its bytes at least.
    pub verified: bool,
    /// Why it is full although an increment was asked for.
    pub forced: Option<String>,
    /// The hash of its record in the log.
    pub record: Hash,
}

/// The name that seeds of the project have for a [`BackupMetadata`].
pub type CheckpointMetadata = BackupMetadata;

impl BackupMetadata {
    pub(crate) fn new(manifest: &Manifest, recorded: &Recorded, verified: bool) -> Self {
        BackupMetadata {
            id: manifest.id,
            kind: manifest.kind,
            taken: manifest.taken(),
            revision: manifest.upto.highest(),
            base: manifest.parent.map(|parent| parent.id),
            tags: manifest.tags.clone(),
            backend: manifest.source.backend.clone(),
            state: manifest.after,
            counts: manifest.counts,
            verified,
            forced: manifest.forced.clone(),
            record: recorded.hash,
        }
    }
}

impl Log {
    /// The backups that were not forgotten, in the order in which they were made.
    pub(crate) fn backups(&self) -> impl DoubleEndedIterator<Item = (&Recorded, &Manifest)> {
        self.records
            .values()
            .filter_map(move |recorded| match &recorded.record.action {
                Action::Backup(manifest) if !self.forgotten().contains(&manifest.id) => {
                    Some((recorded, &**manifest))
                }
                _ => None,
            })
    }

    /// The backups that were verified, all their bytes at least.
    pub(crate) fn verified(&self) -> BTreeSet<BackupId> {
        self.noted().map(|(id, _)| *id).collect()
    }

    /// Those of which it was noted that they were verified at this depth.
    pub(crate) fn verified_at(&self, depth: &str) -> BTreeSet<BackupId> {
        let noted = self.noted().filter(|(_, noted)| *noted == depth);
        noted.map(|(id, _)| *id).collect()
    }

    fn noted(&self) -> impl Iterator<Item = (&BackupId, &str)> {
        let records = self.records.values();
        records.filter_map(|recorded| match &recorded.record.action {
            Action::Verified { id, depth } => Some((id, depth.as_str())),
            _ => None,
        })
    }

    /// A backup that was not forgotten.
    ///
    /// # Errors
    ///
    /// `Invalid` where there is none of this id.
    pub(crate) fn backup(&self, id: &BackupId) -> Result<(&Recorded, &Manifest)> {
        let found = self.records.get(&id.sequence());
        match found.map(|recorded| (recorded, &recorded.record.action)) {
            Some((recorded, Action::Backup(manifest)))
                if manifest.id == *id && !self.forgotten().contains(id) =>
            {
                Ok((recorded, manifest))
            }
            _ => Err(
                Error::invalid("there is no backup of this id; `list` shows those that there are")
                    .with("id", id),
            ),
        }
    }

    /// A backup and those that it stands on, the full one first.
    ///
    /// # Errors
    ///
    /// `Corrupt`, naming the link, where one is missing, is another than it was, or does not fit.
    pub(crate) fn chain(&self, id: &BackupId) -> Result<Vec<&Manifest>> {
        let (_, newest) = self.backup(id)?;
        let mut chain = vec![newest];
        let mut this = newest;
        while let Some(below) = self.base(this)? {
            chain.push(below);
            this = below;
        }
        chain.reverse();
        Ok(chain)
    }

    /// The backup that one stands on; nothing for a full one.
    ///
    /// # Errors
    ///
    /// As [`chain`](Log::chain), for this one link.
    pub(crate) fn base(&self, this: &Manifest) -> Result<Option<&Manifest>> {
        let Some(parent) = &this.parent else {
            return Ok(None);
        };
        let broken = |what: &'static str| {
            Error::corrupt(what)
                .with("backup", this.id)
                .with("base", parent.id)
        };
        let recorded = self.records.get(&parent.id.sequence());
        let Some(recorded) = recorded.filter(|recorded| recorded.hash == parent.record) else {
            return Err(broken(
                "the backup that this one stands on is missing, or another one",
            ));
        };
        let Action::Backup(below) = &recorded.record.action else {
            return Err(broken("what the backup stands on is no backup"));
        };
        // A base is always older, so there is no way round in a circle.
        if below.id != parent.id || parent.id >= this.id {
            return Err(broken("the backup stands on one that is not older"));
        }
        if self.forgotten().contains(&below.id) {
            return Err(broken("the backup stands on one that was forgotten"));
        }
        if this.before != Some(below.after) || this.from.as_ref() != Some(&below.upto) {
            return Err(broken(
                "the backup was made for another state than its base gives",
            ));
        }
        Ok(Some(below))
    }
}

impl Repository {
    /// The backups that there are, in the order in which they were made.
    ///
    /// # Errors
    ///
    /// `Corrupt` where the log is damaged; else what the place reports.
    pub async fn backups(&self) -> Result<Vec<BackupMetadata>> {
        let log = Log::read(self).await.map_err(|error| error.during("list"))?;
        let verified = log.verified();
        let backups = log.backups().map(|(recorded, manifest)| {
            BackupMetadata::new(manifest, recorded, verified.contains(&manifest.id))
        });
        Ok(backups.collect())
    }
}
