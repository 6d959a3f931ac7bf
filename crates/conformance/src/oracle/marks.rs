//! Writes that can be found again in the change log, whatever their writer was told.

use std::collections::BTreeMap;

use stead_core::{Change, ChangeKind, ChangeSet, Key, Partition, RequestId, Result, Revision, WriteBatch};

use super::history::{Call, Operation};

/// The writes of one task. Each puts a key of its own beside what it is about, which tells it apart in the change log.
pub(super) struct Marks {
    task: usize,
    home: Partition,
    /// What distinguishes this history from others on the same store.
    seed: u64,
    written: Vec<Mark>,
    /// Calls that failed and changed nothing.
    pub(super) failed: u64,
}

/// One write.
struct Mark {
    key: Key,
    /// Its place in the history, unless it is none of it.
    call: Option<usize>,
    /// Where its writer was told that it committed.
    told: Option<Revision>,
}

impl Marks {
    pub(super) fn new(task: usize, home: Partition, seed: u64) -> Self {
        Marks {
            task,
            home,
            seed,
            written: Vec::new(),
            failed: 0,
        }
    }

    /// Marks a batch that will be call `call`. Every other one gets a request id, so that the store may repeat it.
    pub(super) fn mark(&mut self, batch: WriteBatch, call: usize) -> Result<WriteBatch> {
        let number = self.written.len();
        let name = format!("mark/{}/{number}", self.task);
        let key = Key::new(&self.home, &name)?;
        let batch = batch.put(key.clone(), "");
        self.written.push(Mark {
            key,
            call: Some(call),
            told: None,
        });
        if number.is_multiple_of(2) {
            return Ok(batch);
        }
        let id = format!("{}/{}/{name}", self.home, self.seed);
        Ok(batch.request_id(RequestId::new(id)?))
    }

    /// The last batch failed, and its error promises that nothing was written.
    pub(super) fn refuse(&mut self) {
        if let Some(last) = self.written.last_mut() {
            last.call = None;
        }
    }

    /// The last batch was answered, and committed if there is a revision.
    pub(super) fn answered(&mut self, told: Option<Revision>) {
        if let Some(last) = self.written.last_mut() {
            last.told = told;
        }
    }

    /// Finds in the log at which revision each call of the task's history committed.
    ///
    /// # Errors
    ///
    /// A refused write that is there, and one that is there without its other puts, or at another revision than its
    /// writer was told.
    pub(super) fn found_in(&self, log: &Log, history: &[Operation]) -> Result<Vec<Option<Revision>>, String> {
        let mut revisions = vec![None; history.len()];
        for mark in &self.written {
            let found = log.marks.get(&mark.key);
            match (mark.call, found) {
                (None, Some((revision, _))) => {
                    return Err(format!(
                        "a write that failed as if nothing had been written is there at revision {revision}: {}",
                        mark.key
                    ));
                }
                (None, None) => {}
                (Some(call), found) => {
                    let operation = &history[call];
                    if let Some((revision, changes)) = found {
                        is_whole(operation, *revision, changes, &self.home)?;
                    }
                    let revision = found.map(|(revision, _)| *revision);
                    if mark.told.is_some() && mark.told != revision {
                        return Err(format!(
                            "{operation}\n  was told to be at revision {:?}, but the log has it at {revision:?}",
                            mark.told
                        ));
                    }
                    revisions[call] = revision;
                }
            }
        }
        Ok(revisions)
    }
}

/// Every put of the write is in its change set.
fn is_whole(
    operation: &Operation,
    revision: Revision,
    changes: &[Change],
    home: &Partition,
) -> Result<(), String> {
    let Call::Write { writes, .. } = &operation.call else {
        return Err(format!("{operation}\n  is no write"));
    };
    for (key, held) in writes.iter().filter(|(_, held)| held.is_some()) {
        let path = key.to_string();
        let put = |change: &&Change| {
            change.kind == ChangeKind::Put
                && change.key.partition() == *home
                && change.key.path() == path.as_bytes()
        };
        if changes.iter().find(put).is_none() {
            return Err(format!(
                "{operation}\n  is there by half at revision {revision}: {held:?} is missing"
            ));
        }
    }
    Ok(())
}

/// The change log of a history.
#[derive(Default)]
pub(super) struct Log {
    /// The change set of each mark.
    marks: BTreeMap<Key, (Revision, Vec<Change>)>,
    last: Revision,
}

impl Log {
    /// Takes in the next change set.
    ///
    /// # Errors
    ///
    /// It is not behind the one before, or a write is in the log for a second time.
    pub(super) fn take(&mut self, set: &ChangeSet) -> Result<(), String> {
        if set.revision <= self.last {
            return Err(format!(
                "the log has revision {} behind {}",
                set.revision, self.last
            ));
        }
        self.last = set.revision;
        let is_mark = |change: &&Change| change.key.path().starts_with(b"mark/");
        let keys: Vec<Key> = set
            .changes
            .iter()
            .filter(is_mark)
            .map(|change| change.key.clone())
            .collect();
        for key in keys {
            if let Some((first, _)) = self
                .marks
                .insert(key.clone(), (set.revision, set.changes.clone()))
            {
                return Err(format!(
                    "a write was done twice, at revision {first} and at {}: {key}",
                    set.revision
                ));
            }
        }
        Ok(())
    }
}
