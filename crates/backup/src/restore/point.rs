//! Which backups a restore has to read.

use stead_core::{Error, Result, Revision, Timestamp};

use crate::log::Log;
use crate::manifest::{BackupId, Manifest, Reach};
use crate::merge::Upto;

/// Which backup, or which state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestorePoint {
    /// The newest backup.
    Latest,
    /// This backup.
    Backup(BackupId),
    /// The newest backup that was taken at this time or before.
    Time(Timestamp),
    /// The state of the store at this revision: that of a backup, or one in between that an increment tells.
    Revision(Revision),
}

/// What to restore, found in the log.
pub(super) struct Chosen<'a> {
    /// The full backup first.
    pub(super) chain: Vec<&'a Manifest>,
    pub(super) upto: Upto,
}

/// The backups to read.
pub(super) fn choose(log: &Log, point: RestorePoint) -> Result<Chosen<'_>> {
    let whole = |id: &BackupId| {
        Ok(Chosen {
            chain: log.chain(id)?,
            upto: Upto::End,
        })
    };
    let none = |what: &'static str| Error::invalid(what);
    match point {
        RestorePoint::Backup(id) => whole(&id),
        RestorePoint::Latest => {
            let newest = log.backups().next_back();
            whole(
                &newest
                    .ok_or_else(|| none("there is no backup in the repository"))?
                    .1
                    .id,
            )
        }
        RestorePoint::Time(time) => {
            let mut before = log.backups().filter(|(_, manifest)| manifest.taken() <= time);
            let newest = before.next_back();
            whole(
                &newest
                    .ok_or_else(|| none("there is no backup of this time or before"))?
                    .1
                    .id,
            )
        }
        RestorePoint::Revision(revision) => at_revision(log, revision),
    }
}

fn at_revision(log: &Log, revision: Revision) -> Result<Chosen<'_>> {
    // Revisions that are ordered within partitions only are of no one state.
    let stores = || {
        log.backups()
            .filter_map(|(_, manifest)| Some((manifest, whole_of(manifest)?)))
    };
    let reaching = stores().filter(|(_, (from, upto))| {
        *upto == revision || from.is_some_and(|from| from < revision && revision < *upto)
    });
    check_one_store(reaching.map(|(manifest, _)| manifest))?;
    if let Some((manifest, _)) = stores().find(|(_, (_, upto))| *upto == revision) {
        return Ok(Chosen {
            chain: log.chain(&manifest.id)?,
            upto: Upto::End,
        });
    }
    // The shortest one knows most.
    let around = stores()
        .filter_map(|(manifest, (from, upto))| Some((manifest, from?, upto)))
        .filter(|(_, from, upto)| *from < revision && revision < *upto)
        .min_by_key(|(_, from, upto)| upto.get() - from.get());
    if let Some((manifest, ..)) = around {
        return Ok(Chosen {
            chain: log.chain(&manifest.id)?,
            upto: Upto::Revision(revision),
        });
    }
    let message = match (stores().next(), log.backups().next()) {
        (None, Some(_)) => {
            "the store of these backups orders its revisions within partitions, so that none is of the whole store; \
             name a backup or a time"
        }
        _ => {
            "no backup was taken at this revision, and no increment reaches over it; `list` shows their revisions"
        }
    };
    Err(Error::invalid(message).with("revision", revision))
}

/// That a revision is of one store: of several that were backed up into the same repository, each has one of that number.
fn check_one_store<'a>(mut reaching: impl Iterator<Item = &'a Manifest>) -> Result<()> {
    let Some(one) = reaching.next() else {
        return Ok(());
    };
    match reaching.find(|other| other.source != one.source) {
        None => Ok(()),
        Some(other) => Err(Error::invalid(
            "backups of several stores reach this revision; restore a backup by its id, or by a time",
        )
        .with("backup", one.id)
        .with("other", other.id)),
    }
}

/// Where a backup begins and ends, of a store that orders its revisions throughout.
fn whole_of(manifest: &Manifest) -> Option<(Option<Revision>, Revision)> {
    let revision = |reach: &Reach| match reach {
        Reach::Store(revision) => Some(Revision::new(*revision)),
        Reach::Partitions { .. } => None,
    };
    Some((
        manifest.from.as_ref().and_then(revision),
        revision(&manifest.upto)?,
    ))
}
