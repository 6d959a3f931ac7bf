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
    let exact = log
        .backups()
        .find(|(_, manifest)| manifest.upto.highest() == revision);
    if let Some((_, manifest)) = exact {
        return Ok(Chosen {
            chain: log.chain(&manifest.id)?,
            upto: Upto::End,
        });
    }
    let spans = |manifest: &Manifest| {
        let from = manifest.from.as_ref().map(Reach::highest);
        from.is_some_and(|from| from < revision) && revision < manifest.upto.highest()
    };
    // The shortest one knows most.
    let around = log
        .backups()
        .filter(|(_, manifest)| spans(manifest))
        .min_by_key(|(_, manifest)| {
            manifest.upto.highest().get() - manifest.from.as_ref().map_or(0, |from| from.highest().get())
        });
    let Some((_, manifest)) = around else {
        return Err(Error::invalid(
            "no backup was taken at this revision, and no increment reaches over it; `list` shows their revisions",
        )
        .with("revision", revision));
    };
    Ok(Chosen {
        chain: log.chain(&manifest.id)?,
        upto: Upto::Revision(revision),
    })
}
