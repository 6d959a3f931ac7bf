//! The log: one record for each thing that was done to a repository, in the order in which it was done.
//!
//! A record is made under the next free number, and only if that is free: of two writers at once, one is refused. It names
//! the hash of the record before, so that nothing in between can be taken away or put back. `HEAD` names the newest
//! record, so that the end cannot be taken away either.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join5, ready};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use stead_core::{Clock, Error, ErrorKind, Result};

use crate::hash::Hash;
use crate::manifest::{BackupId, Manifest, is_plain};
use crate::publish::Prepared;
use crate::repository::Repository;
use crate::sealed;

const HEAD: &str = "HEAD";
const FOLDER: &str = "log";
/// Records that are read at a time.
const READ_AHEAD: usize = 16;
/// The highest number of a record: its name has 12 digits.
const MAX_SEQUENCE: u64 = 999_999_999_999;
/// The longest word for how closely a backup was looked at, in bytes.
const MAX_DEPTH_BYTES: usize = 64;

/// A record of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogRecord {
    pub(crate) repository: String,
    pub(crate) sequence: u64,
    /// The hash of the record before.
    pub(crate) previous: Option<Hash>,
    /// When it was written, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    pub(crate) action: Action,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// A backup was made.
    Backup(Box<Manifest>),
    /// A backup was found whole.
    Verified { id: BackupId, depth: String },
    /// Backups were forgotten: their chunks are in the trash.
    Prune { forgotten: Vec<BackupId> },
    /// What was in the trash for long enough is about to be removed, records of the log included.
    Sweep { gone: Vec<Gone> },
}

/// Records that were removed from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gone {
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// The hash of the last of them, which the next one names.
    pub(crate) record: Hash,
}

/// Whether a record was removed. `gone` is in order.
pub(crate) fn is_gone(gone: &[Gone], sequence: u64) -> bool {
    let above = gone.partition_point(|gone| gone.first <= sequence);
    above > 0 && sequence <= gone[above - 1].last
}

fn is_sequence(sequence: u64) -> bool {
    (1..=MAX_SEQUENCE).contains(&sequence)
}

impl LogRecord {
    /// Whether it says what a record can say: that it is written in the right form is known.
    pub(crate) fn is_sound(&self) -> bool {
        is_sequence(self.sequence)
            && match &self.action {
                Action::Backup(manifest) => manifest.is_sound() && manifest.id.sequence() == self.sequence,
                Action::Verified { depth, .. } => is_plain(depth, MAX_DEPTH_BYTES),
                Action::Prune { .. } => true,
                Action::Sweep { gone } => {
                    let ordered = |pair: &[Gone]| pair[0].last + 1 < pair[1].first;
                    gone.iter().all(|gone| 1 <= gone.first && gone.first <= gone.last)
                        && gone.last().is_none_or(|gone| gone.last < self.sequence)
                        && gone.windows(2).all(ordered)
                }
            }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    sequence: u64,
    record: Hash,
}

/// A record and its hash.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) record: LogRecord,
    pub(crate) hash: Hash,
}

/// The log as it was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) records: BTreeMap<u64, Recorded>,
    /// The backups that were, and are gone or about to be.
    forgotten: BTreeSet<BackupId>,
}

impl Log {
    /// Reads and compares all of it.
    ///
    /// # Errors
    ///
    /// `Corrupt` where a record is damaged, missing, of another repository or in another place, with its name.
    pub(crate) async fn read(repository: &Repository) -> Result<Self> {
        // What is listed afterwards is at least as new.
        let head = read_head(repository).await?;
        let mut sequences = Vec::new();
        for object in repository.list(FOLDER).await? {
            let sequence = object.location.filename().and_then(|name| name.parse().ok());
            // A folder may lie in this one, and hold what has the name of a record.
            let sequence = sequence.filter(|&sequence| {
                is_sequence(sequence) && object.location == repository.path(&name(sequence))
            });
            let Some(sequence) = sequence else {
                return Err(
                    Error::corrupt("a file in the log is none of its records; remove it")
                        .with("object", &object.location),
                );
            };
            sequences.push(sequence);
        }
        let read = futures_util::stream::iter(sequences)
            .map(|sequence| async move {
                read_record(repository, sequence)
                    .await
                    .map(|read| (sequence, read))
            })
            .buffer_unordered(READ_AHEAD);
        let log = Log::of(read.try_collect().await?);
        log.check_chain()?;
        log.check_head(head)?;
        Ok(log)
    }

    /// What is left of a damaged log: each record that is whole by itself. Not to be written to. What others said is lost:
    /// that a backup was forgotten, or that there was a newer one.
    pub(crate) async fn salvage(repository: &Repository) -> Result<Self> {
        let mut records = BTreeMap::new();
        for object in repository.list(FOLDER).await? {
            let sequence = object.location.filename().and_then(|name| name.parse().ok());
            let Some(sequence) = sequence.filter(|sequence| is_sequence(*sequence)) else {
                continue;
            };
            match read_record(repository, sequence).await {
                Ok(recorded) => drop(records.insert(sequence, recorded)),
                Err(error) if error.kind() == ErrorKind::Corrupt => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Log::of(records))
    }

    fn of(records: BTreeMap<u64, Recorded>) -> Self {
        let mut log = Log {
            records,
            forgotten: BTreeSet::new(),
        };
        // A sweep may have been killed before it had removed all that it announced.
        let gone = log.gone().to_vec();
        log.records.retain(|sequence, _| !is_gone(&gone, *sequence));
        for recorded in log.records.values() {
            if let Action::Prune { forgotten } = &recorded.record.action {
                log.forgotten.extend(forgotten);
            }
        }
        log
    }

    /// That each record names the one before, and that those which are missing were removed on purpose.
    fn check_chain(&self) -> Result<()> {
        let gone = self.gone();
        let mut before: Option<(u64, Hash)> = None;
        for (sequence, recorded) in &self.records {
            let expected = match before {
                Some((last, hash)) if last + 1 == *sequence => Some(hash),
                None if *sequence == 1 => None,
                _ => {
                    let first = before.map_or(1, |(last, _)| last + 1);
                    let gap = gone.binary_search_by_key(&first, |gone| gone.first).ok();
                    let gap = gap.map(|index| gone[index]);
                    let gap = gap.filter(|gap| gap.last + 1 == *sequence);
                    Some(gap.ok_or_else(|| missing(first))?.record)
                }
            };
            if recorded.record.previous != expected {
                return Err(Error::corrupt(
                    "a record of the log does not follow the one before: one of them was replaced or taken back",
                )
                .with("object", name(*sequence)));
            }
            before = Some((*sequence, recorded.hash));
        }
        Ok(())
    }

    fn check_head(&self, head: Option<Head>) -> Result<()> {
        let Some(head) = head else {
            // Between the first record and its head there is only a kill.
            return match self.records.len() {
                0 | 1 => Ok(()),
                _ => Err(Error::corrupt("the head of the log is missing").with("object", HEAD)),
            };
        };
        match self.records.get(&head.sequence) {
            Some(recorded) if recorded.hash == head.record => Ok(()),
            Some(_) => Err(
                Error::corrupt("the newest record of the log is not the one that was written")
                    .with("object", name(head.sequence)),
            ),
            None if is_gone(self.gone(), head.sequence) => Ok(()),
            None => Err(missing(head.sequence)),
        }
    }

    /// What was removed so far, in order.
    pub(crate) fn gone(&self) -> &[Gone] {
        let newest = self
            .records
            .values()
            .rev()
            .find_map(|recorded| match &recorded.record.action {
                Action::Sweep { gone } => Some(gone.as_slice()),
                _ => None,
            });
        newest.unwrap_or_default()
    }

    /// The backups that were, and are gone or about to be.
    pub(crate) fn forgotten(&self) -> &BTreeSet<BackupId> {
        &self.forgotten
    }

    /// The newest record.
    pub(crate) fn newest(&self) -> Option<&Recorded> {
        self.records.values().next_back()
    }

    /// The number that the next record gets.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.newest().map_or(1, |newest| newest.record.sequence + 1)
    }

    /// Adds what was done. What it says is in the log when this returns.
    ///
    /// # Errors
    ///
    /// - `Conflict` when another writer was first: the log is to be read again, and what was prepared may no longer hold;
    /// - `Invalid` where the repository is not there any more, `Corrupt` where its newest record is not.
    ///
    /// The record may be there after another error: [`may_have_next`](Log::may_have_next) says.
    pub(crate) async fn append(
        &mut self,
        repository: &Repository,
        clock: &dyn Clock,
        action: Action,
    ) -> Result<&Recorded> {
        self.append_behind(repository, clock, action, ready(Ok(()))).await
    }

    /// As [`append`](Log::append), for what is there only when `before` is done: meanwhile, all is prepared.
    ///
    /// # Errors
    ///
    /// As [`append`](Log::append), and those of `before`.
    pub(crate) async fn append_behind(
        &mut self,
        repository: &Repository,
        clock: &dyn Clock,
        action: Action,
        before: impl Future<Output = Result<()>>,
    ) -> Result<&Recorded> {
        let sequence = self.next_sequence();
        let record = LogRecord {
            repository: repository.id().to_owned(),
            sequence,
            previous: self.newest().map(|newest| newest.hash),
            at_ms: clock.now().as_millis(),
            action,
        };
        if !record.is_sound() {
            return Err(Error::invalid(
                "the log cannot take this: the name of the store's backend, or a word of whom it came from, is too long or \
                 has other than printable characters of ASCII",
            ));
        }
        let (bytes, hash) = sealed::encode(&record)?;
        let head = Head {
            sequence,
            record: hash,
        };
        let record_name = name(sequence);
        let prepared = join5(
            repository.check_there(),
            self.check_newest(repository),
            before,
            Prepared::new(repository, &record_name, bytes.clone()),
            Prepared::new(repository, HEAD, sealed::encode(&head)?.0),
        );
        let (there, newest, before, prepared, head) = prepared.await;
        there?;
        newest?;
        before?;
        let (prepared, head) = (prepared?, head?);
        let made = prepared.put_new().await?;
        // An object store whose answer got lost is asked again, and finds what is ours.
        if !made && repository.get_small(&record_name).await? != Some(bytes) {
            return Err(Error::conflict(
                "another writer has changed the repository meanwhile; nothing of this one was kept, try again",
            )
            .with("repository", repository.name()));
        }
        if let Err(error) = head.put().await {
            take_back(repository, sequence).await;
            return Err(error);
        }
        if let Action::Prune { forgotten } = &record.action {
            self.forgotten.extend(forgotten);
        }
        Ok(self.records.entry(sequence).or_insert(Recorded { record, hash }))
    }
}

impl Log {
    /// That what the next record follows is there still.
    async fn check_newest(&self, repository: &Repository) -> Result<()> {
        let Some(newest) = self.newest() else {
            return Ok(());
        };
        let sequence = newest.record.sequence;
        match read_record(repository, sequence).await? {
            found if found.hash == newest.hash => Ok(()),
            _ => Err(
                Error::corrupt("the newest record of the log is another one than it was a moment ago")
                    .with("object", name(sequence)),
            ),
        }
    }

    /// Whether the record that the next call of [`append`](Log::append) makes may be there, after one that failed.
    pub(crate) async fn may_have_next(&self, repository: &Repository) -> bool {
        let size = repository.size_of(&name(self.next_sequence())).await;
        !matches!(size, Ok(None))
    }
}

/// Removes a record whose head could not be written, unless it was: in a directory, where the lock keeps others from having
/// seen it. What it says was not done then.
async fn take_back(repository: &Repository, sequence: u64) {
    let before = |head: &Option<Head>| head.as_ref().is_none_or(|head| head.sequence < sequence);
    if repository.local_lock().is_some() && read_head(repository).await.is_ok_and(|head| before(&head)) {
        // Where it stays it counts, and says what was done.
        let _ = repository.remove(&name(sequence)).await;
    }
}

async fn read_head(repository: &Repository) -> Result<Option<Head>> {
    let Some(bytes) = repository.get_small(HEAD).await? else {
        return Ok(None);
    };
    let (head, _) = sealed::decode(&bytes).map_err(|error| error.with("object", HEAD))?;
    Ok(Some(head))
}

async fn read_record(repository: &Repository, sequence: u64) -> Result<Recorded> {
    let name = name(sequence);
    let bytes = repository
        .get_small(&name)
        .await?
        .ok_or_else(|| missing(sequence))?;
    let (record, hash) = sealed::decode::<LogRecord>(&bytes).map_err(|error| error.with("object", &name))?;
    if record.sequence != sequence || record.repository != repository.id() {
        return Err(
            Error::corrupt("a record of the log is in another place than it was written to")
                .with("object", &name)
                .with("sequence", record.sequence),
        );
    }
    if !record.is_sound() {
        return Err(Error::corrupt(
            "a record of the log says what none can say: it was not written by this program",
        )
        .with("object", &name));
    }
    Ok(Recorded { record, hash })
}

fn missing(sequence: u64) -> Error {
    Error::corrupt("a record of the log is missing").with("object", name(sequence))
}

fn name(sequence: u64) -> String {
    format!("{FOLDER}/{}", file_name(sequence))
}

fn file_name(sequence: u64) -> String {
    format!("{sequence:012}")
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_head(bytes: &[u8]) {
    let _ = sealed::decode::<Head>(bytes);
}
