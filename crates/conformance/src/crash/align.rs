//! Which writes are in the change log: those up to some point, each whole, in order and at its revision.

use stead_core::{ChangeKind, ChangeSet, Revision, Timestamp};

use super::Ack;
use super::failure::{Failure, FailureKind};
use super::model::{Expected, Model};
use super::write::{Write, time_of};

/// What the log says of the writes since the last verification.
pub(super) struct Aligned {
    /// The state after those that are there.
    pub(super) model: Model,
    /// The last write that is there, or the one before the first that is not.
    pub(super) survived: u64,
    /// Writes without an acknowledgement that are there.
    pub(super) unacknowledged: u64,
    /// Acknowledged writes that are gone, as they may.
    pub(super) gone: u64,
}

/// The log since the last verification, as it is being read.
struct Walk<'a> {
    model: Model,
    sets: std::iter::Peekable<std::slice::Iter<'a, ChangeSet>>,
}

/// Holds `sets`, all that the log has after the last verification, against the writes since then. Up to `floor` the log
/// was trimmed. Everything up to write `safe` must be there. The clock stands at `now`.
pub(super) fn align(
    model: Model,
    writes: impl Iterator<Item = (Write, Option<Ack>)>,
    sets: &[ChangeSet],
    floor: Revision,
    safe: u64,
    now: Timestamp,
) -> Result<Aligned, Failure> {
    let mut walk = Walk {
        model,
        sets: sets.iter().peekable(),
    };
    let mut aligned = Aligned {
        model: Model::default(),
        survived: 0,
        unacknowledged: 0,
        gone: 0,
    };
    let mut cut = false;
    for (write, ack) in writes {
        let committed = match ack {
            Some(Ack { revision: None, .. }) => continue,
            Some(Ack { revision, .. }) => revision,
            None => None,
        };
        if write.guard == super::Guard::Wrong {
            continue;
        }
        if !cut && !walk.take(&write, committed, floor)? {
            cut = true;
            if write.number <= safe {
                return Err(lost(&write, ack.is_some(), safe));
            }
        }
        if cut {
            aligned.gone += u64::from(ack.is_some());
        } else {
            aligned.survived = write.number;
            aligned.unacknowledged += u64::from(ack.is_none());
        }
    }
    walk.sweeps(Revision::MAX, now)?;
    if let Some(set) = walk.sets.next() {
        return Err(Failure::new(
            FailureKind::Invented,
            format!(
                "the log holds a change set at revision {} that is of no write: {}",
                set.revision,
                told(set)
            ),
        ));
    }
    aligned.model = walk.model;
    Ok(aligned)
}

fn lost(write: &Write, acknowledged: bool, safe: u64) -> Failure {
    let number = write.number;
    let why = if acknowledged {
        "was acknowledged".to_owned()
    } else {
        format!("came before write {safe}, which was acknowledged")
    };
    Failure::new(
        FailureKind::Lost,
        format!("write {number} {why}, but the change log ends before it"),
    )
}

impl Walk<'_> {
    /// Takes the change set of `write` from the log, and does it. False if the log ends before it.
    fn take(&mut self, write: &Write, committed: Option<Revision>, floor: Revision) -> Result<bool, Failure> {
        let number = write.number;
        if committed.is_some_and(|revision| revision <= floor) {
            self.model.apply(write, committed);
            return Ok(true);
        }
        // Behind the last write there may be sweeps of later times.
        if committed.is_none() && self.sets.clone().all(is_sweep) {
            return Ok(false);
        }
        self.sweeps(committed.unwrap_or(Revision::MAX), time_of(number))?;
        let expected = self.model.expected(write);
        if expected.iter().all(|change| change.optional) {
            // It leaves no trace in the log, and none in the state.
            self.model.apply(write, committed);
            return Ok(true);
        }
        let Some(set) = self.sets.peek().copied() else {
            return Ok(false);
        };
        match committed {
            // It is gone, and so is all behind it, before the store was opened once more and swept.
            Some(revision) if set.revision > revision && self.sets.clone().all(is_sweep) => {
                return Ok(false);
            }
            Some(revision) if set.revision > revision => {
                return Err(Failure::new(
                    FailureKind::Watch,
                    format!(
                        "write {number} committed at revision {revision}, but the log goes on at {}",
                        set.revision
                    ),
                ));
            }
            Some(revision) if set.revision < revision => {
                return Err(Failure::new(
                    FailureKind::Invented,
                    format!(
                        "a change set at revision {} comes before write {number} at {revision} and is of no write: {}",
                        set.revision,
                        told(set)
                    ),
                ));
            }
            _ => {}
        }
        fits(write, &expected, set)?;
        self.model.apply(write, Some(set.revision));
        self.sets.next();
        Ok(true)
    }

    /// Takes what the sweeper did before `revision` from the log, when the clock stood at `now`.
    fn sweeps(&mut self, revision: Revision, now: Timestamp) -> Result<(), Failure> {
        while let Some(set) = self.sets.next_if(|set| set.revision < revision && is_sweep(set)) {
            for change in &set.changes {
                match self.model.entries.remove(&change.key) {
                    Some(held) if !held.is_visible(now) => {}
                    Some(held) => {
                        return Err(Failure::new(
                            FailureKind::Expiry,
                            format!(
                                "{} of write {} expired at revision {}, before its deadline",
                                change.key, held.number, set.revision
                            ),
                        ));
                    }
                    None => {
                        return Err(Failure::new(
                            FailureKind::Watch,
                            format!(
                                "{} expired at revision {}, but was not there",
                                change.key, set.revision
                            ),
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether a change set is the sweeper's: every write that removes what may have expired puts something as well.
fn is_sweep(set: &ChangeSet) -> bool {
    set.changes.iter().all(|one| one.kind == ChangeKind::Expired)
}

/// Whether a change set is that of a write, all of it.
fn fits(write: &Write, expected: &[Expected], set: &ChangeSet) -> Result<(), Failure> {
    let mut found = set.changes.iter().peekable();
    let mut missing = 0;
    for change in expected {
        let here = found
            .next_if(|one| one.key == change.key && one.kind == change.kind)
            .is_some();
        missing += usize::from(!here && !change.optional);
    }
    let strange = found.count();
    if missing == 0 && strange == 0 {
        return Ok(());
    }
    let (number, revision) = (write.number, set.revision);
    let (kind, what) = if strange == 0 {
        (FailureKind::Half, "only a part")
    } else {
        (FailureKind::Watch, "something else")
    };
    Err(Failure::new(
        kind,
        format!(
            "of write {number} the log holds {what} at revision {revision}: {}, but it did {}",
            told(set),
            expected
                .iter()
                .map(|one| format!("{} {}", one.kind.as_str(), one.key))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    ))
}

fn told(set: &ChangeSet) -> String {
    let changes: Vec<String> = set
        .changes
        .iter()
        .map(|one| format!("{} {}", one.kind.as_str(), one.key))
        .collect();
    changes.join(", ")
}
