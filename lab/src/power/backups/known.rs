//! What a writer of backups said, and what has to be there for it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use stead_backup::{
    BackupId, BackupManager, BackupType, Repository, RestoreOptions, RestorePoint, VerifyOptions,
};
use stead_conformance::crash::{Failure, FailureKind};
use stead_core::SystemClock;

use super::super::dice::Dice;
use super::writer::{fill, forgetting, opened_or_made, store};

/// A line of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// There is a repository.
    Ready,
    /// There is a backup.
    Made(BackupId),
    /// A backup is about to be forgotten.
    Forgetting(BackupId),
    /// A backup is forgotten.
    Forgotten(BackupId),
}

impl Said {
    /// Says it: a line is written at once.
    pub(super) fn say(self) {
        println!("{self}");
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Ready => f.write_str("ready"),
            Said::Made(id) => write!(f, "made {id}"),
            Said::Forgetting(id) => write!(f, "forgetting {id}"),
            Said::Forgotten(id) => write!(f, "forgotten {id}"),
        }
    }
}

impl FromStr for Said {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> anyhow::Result<Self> {
        let (word, id) = line.split_once(' ').unwrap_or((line, ""));
        let id = || id.parse::<BackupId>().with_context(|| line.to_owned());
        Ok(match word {
            "ready" => Said::Ready,
            "made" => Said::Made(id()?),
            "forgetting" => Said::Forgetting(id()?),
            "forgotten" => Said::Forgotten(id()?),
            _ => bail!("a writer of backups said {line}"),
        })
    }
}

/// What is known of a repository.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    ready: bool,
    /// Backups that have to be there.
    whole: BTreeSet<BackupId>,
    /// Backups that may be there or not.
    leaving: BTreeSet<BackupId>,
    /// Backups that must not be there.
    gone: BTreeSet<BackupId>,
}

impl Known {
    /// What is known where these backups were found.
    pub(super) fn of(found: &BTreeSet<BackupId>) -> Self {
        Known {
            whole: found.clone(),
            ..Known::default()
        }
    }

    /// What is known once these backups were found, and the rest is forgotten.
    pub(super) fn settle(&mut self, found: &BTreeSet<BackupId>) {
        *self = Known {
            ready: self.ready,
            ..Known::of(found)
        };
    }

    pub(super) fn note(&mut self, said: Said) {
        match said {
            Said::Ready => self.ready = true,
            Said::Made(id) => drop(self.whole.insert(id)),
            Said::Forgetting(id) => {
                self.whole.remove(&id);
                self.leaving.insert(id);
            }
            Said::Forgotten(id) => {
                self.leaving.remove(&id);
                self.gone.insert(id);
            }
        }
    }

    /// How many backups have to be there.
    pub(super) fn backups(&self) -> usize {
        self.whole.len()
    }

    /// Compares the repository in `dir` with what is known, and uses it further. The backups that were in it.
    ///
    /// # Errors
    ///
    /// What is not as it has to be.
    pub(super) async fn look(&self, dir: &Path) -> Result<BTreeSet<BackupId>, Failure> {
        let dir = dir.to_str().unwrap_or_default();
        let opened = if self.ready || !self.whole.is_empty() {
            Repository::open(dir).await
        } else {
            opened_or_made(dir).await
        };
        let repository = opened.map_err(|error| failed(FailureKind::Unusable, "opening", &error))?;
        let listed = repository.backups().await;
        let listed = listed.map_err(|error| failed(FailureKind::Damaged, "listing", &error))?;
        let found: BTreeSet<BackupId> = listed.iter().map(|backup| backup.id).collect();
        self.compare(&found)?;
        whole(&repository, &found, "as it was found").await?;
        go_on(&repository).await?;
        Ok(found)
    }

    fn compare(&self, found: &BTreeSet<BackupId>) -> Result<(), Failure> {
        let ids = |ids: &mut dyn Iterator<Item = &BackupId>| {
            ids.map(BackupId::to_string).collect::<Vec<_>>().join(" ")
        };
        let lost = ids(&mut self.whole.difference(found));
        if !lost.is_empty() {
            return Err(Failure::new(
                FailureKind::Lost,
                format!("announced and gone: {lost}"),
            ));
        }
        let back = ids(&mut self.gone.intersection(found));
        if !back.is_empty() {
            return Err(Failure::new(
                FailureKind::Invented,
                format!("forgotten and back: {back}"),
            ));
        }
        // One may have been about to be announced.
        let mut others = found
            .iter()
            .filter(|id| !self.whole.contains(id) && !self.leaving.contains(id));
        match others.next() {
            Some(_) if others.next().is_some() => Err(Failure::new(
                FailureKind::Invented,
                "more than one backup that was not announced",
            )),
            _ => Ok(()),
        }
    }
}

/// That every backup is whole, and that the newest one can be restored.
async fn whole(repository: &Repository, found: &BTreeSet<BackupId>, when: &str) -> Result<(), Failure> {
    let damaged = |error: &stead_core::Error| failed(FailureKind::Damaged, when, error);
    let verified = repository.verify(&VerifyOptions::default()).await;
    let report = verified.map_err(|error| damaged(&error))?;
    if report.backups != found.len() as u64 {
        return Err(Failure::new(
            FailureKind::Half,
            format!("{when}: {} of {} backups are whole", report.backups, found.len()),
        ));
    }
    if found.is_empty() {
        return Ok(());
    }
    let target = store().map_err(|error| Failure::new(FailureKind::Unusable, format!("{error:#}")))?;
    let options = RestoreOptions::new(RestorePoint::Latest);
    let restored = repository.restore(&target, &options, &SystemClock).await;
    restored.map(drop).map_err(|error| damaged(&error))
}

/// That further backups can be made and old ones removed, and that all is whole then.
async fn go_on(repository: &Repository) -> Result<(), Failure> {
    let unusable = |error: anyhow::Error| Failure::new(FailureKind::Unusable, format!("going on: {error:?}"));
    let store = store().map_err(unusable)?;
    let manager = BackupManager::new(repository.clone(), Arc::clone(&store));
    let mut dice = Dice::new(0, 0);
    let mut made = Vec::new();
    for kind in [BackupType::Full, BackupType::IncrementalFromNewest] {
        fill(&*store, &mut dice).await.map_err(unusable)?;
        let id = manager.create_backup(kind).await;
        made.push(id.map_err(|error| failed(FailureKind::Unusable, "making another backup", &error))?);
    }
    for _ in 0..2 {
        let pruned = forgetting(repository, 1, false).await;
        pruned.map_err(|error| failed(FailureKind::Unusable, "pruning", &error))?;
    }
    whole(repository, &made.into_iter().collect(), "after going on").await
}

fn failed(kind: FailureKind, doing: &str, error: &stead_core::Error) -> Failure {
    Failure::new(kind, format!("{doing}: {error:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> BackupId {
        format!("{number}-0000000{number}").parse().unwrap()
    }

    fn found(numbers: &[u64]) -> BTreeSet<BackupId> {
        numbers.iter().copied().map(id).collect()
    }

    #[test]
    fn what_was_announced_has_to_be_there_until_it_is_being_forgotten() {
        let mut known = Known::default();
        let kind = |known: &Known, numbers: &[u64]| known.compare(&found(numbers)).err().map(|it| it.kind);
        for number in 1..=3 {
            known.note(Said::Made(id(number)));
        }
        assert_eq!(kind(&known, &[1, 2, 3]), None);
        assert_eq!(kind(&known, &[1, 2, 3, 4]), None);
        assert_eq!(kind(&known, &[1, 3]), Some(FailureKind::Lost));
        assert_eq!(kind(&known, &[1, 2, 3, 4, 5]), Some(FailureKind::Invented));
        known.note(Said::Forgetting(id(1)));
        assert_eq!(kind(&known, &[1, 2, 3]), None);
        assert_eq!(kind(&known, &[2, 3]), None);
        known.note(Said::Forgotten(id(1)));
        assert_eq!(kind(&known, &[2, 3]), None);
        assert_eq!(kind(&known, &[1, 2, 3]), Some(FailureKind::Invented));
    }

    #[test]
    fn what_is_said_is_understood() {
        for said in [
            Said::Ready,
            Said::Made(id(1)),
            Said::Forgetting(id(2)),
            Said::Forgotten(id(3)),
        ] {
            assert_eq!(said.to_string().parse::<Said>().unwrap(), said);
        }
        assert!("made".parse::<Said>().is_err() && "lost 1".parse::<Said>().is_err());
    }
}
