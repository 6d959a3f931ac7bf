//! What is different between two backups, or between a backup and a store.

use std::fmt;
use std::iter::Peekable;
use std::vec::IntoIter;

use stead_core::kit::Walk;
use stead_core::{Capabilities, Entry, Error, Key, KeyRange, Read, Result, Timestamp};

use crate::create::HIDDEN;
use crate::log::Log;
use crate::manager::{Observer, Phase, Progress};
use crate::manifest::{BackupId, Manifest};
use crate::merge::shape_of;
use crate::reader::Reader;
use crate::records::{Payload, Record};
use crate::repository::Repository;

/// Between two reports of progress.
const REPORT_RECORDS: u64 = 4096;

/// A key whose entry is not the same before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The key.
    pub key: Key,
    /// Its entry before; `None` where there was none.
    pub before: Option<Entry>,
    /// Its entry after; `None` where there is none.
    pub after: Option<Entry>,
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DifferenceKind {
    /// It has an entry, and had none.
    Added,
    /// Its entry has another value or another deadline.
    Changed,
    /// It had an entry, and has none.
    Removed,
}

impl DifferenceKind {
    /// `added`, `changed` or `removed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            DifferenceKind::Added => "added",
            DifferenceKind::Changed => "changed",
            DifferenceKind::Removed => "removed",
        }
    }
}

impl Difference {
    /// What became of the key.
    #[must_use]
    pub fn kind(&self) -> DifferenceKind {
        match (&self.before, &self.after) {
            (None, _) => DifferenceKind::Added,
            (_, None) => DifferenceKind::Removed,
            _ => DifferenceKind::Changed,
        }
    }
}

/// The differences between two states, in the order of their keys.
///
/// - An entry is different where its value or its deadline is. One that was written again as it was, or restored, has
///   another revision and nothing else: it is no difference.
/// - An entry whose deadline had passed when a backup was taken is not in that backup, whether the store had removed it by
///   then or not.
///
/// Memory is bounded, whatever the backups hold: a few chunks of each.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// # use std::sync::Arc;
/// # use stead_backup::{BackupManager, BackupType, DifferenceKind, Repository};
/// # use stead_core::{BackendExt, Key, KeyRange, Partition, SystemClock, SystemRandom};
/// # let dir = tempfile::tempdir().unwrap();
/// # let url = dir.path().join("backups");
/// # let repository = Repository::init(url.to_str().unwrap(), &SystemClock, &SystemRandom).await?;
/// # let store = Arc::new(stead_memory::MemoryBackend::default());
/// # let manager = BackupManager::new(repository.clone(), store.clone());
/// let key = Key::new(&Partition::new("notes")?, "today")?;
/// let before = manager.create_backup(BackupType::Full).await?;
/// store.put(key.clone(), "write the docs").await?;
/// let after = manager.create_backup(BackupType::IncrementalFromNewest).await?;
///
/// let mut diff = repository.diff(&before, &after, &KeyRange::all()).await?;
/// let added = diff.next().await?.unwrap();
/// assert_eq!((added.kind(), added.key), (DifferenceKind::Added, key));
/// assert!(diff.next().await?.is_none());
/// # Ok::<(), stead_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Diff<'a> {
    /// Those of both sides first, and an increment behind what it stands on.
    layers: Vec<Layer<'a>>,
    /// When each side was taken: what had passed its deadline by then is not there. `None` for a store, which hides it.
    taken: (Option<Timestamp>, Option<Timestamp>),
    rewritten: u64,
    read: u64,
    total: u64,
    observer: Option<Observer>,
}

/// What a layer tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Both,
    Before,
    After,
}

/// A backup of a chain, or a store.
struct Layer<'a> {
    side: Side,
    pages: Pages<'a>,
    page: Peekable<IntoIter<Record>>,
    ended: bool,
}

enum Pages<'a> {
    Backup(Box<Reader>),
    Store(Box<Walk<'a>>),
}

impl<'a> Layer<'a> {
    fn new(side: Side, pages: Pages<'a>) -> Self {
        Layer {
            side,
            pages,
            page: Vec::new().into_iter().peekable(),
            ended: false,
        }
    }

    /// Has the next record ready, if there is one. How many were read for it.
    async fn fill(&mut self) -> Result<u64> {
        if self.ended || self.page.peek().is_some() {
            return Ok(0);
        }
        let page = match &mut self.pages {
            Pages::Backup(reader) => reader.block().await?,
            Pages::Store(walk) => records_of(walk).await?,
        };
        let read = page.len() as u64;
        self.ended = page.is_empty();
        self.page = page.into_iter().peekable();
        Ok(read)
    }
}

fn reader(repository: &Repository, manifest: &Manifest, range: &KeyRange) -> Reader {
    Reader::new(
        repository,
        manifest.root.clone(),
        shape_of(manifest),
        range.clone(),
    )
}

async fn records_of(walk: &mut Walk<'_>) -> Result<Vec<Record>> {
    let page = walk.page().await?.into_iter().map(|item| {
        let entry = item.entry;
        let entry = entry.ok_or_else(|| Error::internal("a scan gave a key without its entry"))?;
        Ok(Record::of(item.key, entry))
    });
    page.collect()
}

impl Repository {
    /// What is different in the backup `after` from what it was in the backup `before`, of the keys in `range`.
    ///
    /// Either may be the older one, and they may be of different stores. What both stand on is read once; of two full
    /// backups, the chunks that they share are not read at all.
    ///
    /// # Errors
    ///
    /// - `Invalid`: there is no such backup;
    /// - `Corrupt`: the log is damaged, or a chain lacks a link, with its name.
    pub async fn diff(&self, before: &BackupId, after: &BackupId, range: &KeyRange) -> Result<Diff<'static>> {
        let found = async {
            let log = Log::read(self).await?;
            let (before, after) = (log.chain(before)?, log.chain(after)?);
            let (layers, total) = layers(self, &before, &after, range);
            Ok(Diff::new(layers, total, taken(&before), taken(&after)))
        };
        found.await.map_err(|error: Error| error.during("diff"))
    }

    /// What is different in a store from what it was in the backup `before`, of the keys in `range`: in `view`, a snapshot of
    /// a store with these capabilities, or the store itself. All of the backup in that range is read.
    ///
    /// # Errors
    ///
    /// As [`diff`](Repository::diff).
    pub async fn diff_store<'a>(
        &self,
        before: &BackupId,
        view: &'a dyn Read,
        capabilities: &Capabilities,
        range: &KeyRange,
    ) -> Result<Diff<'a>> {
        let found = async {
            let log = Log::read(self).await?;
            let before = log.chain(before)?;
            let (mut layers, total) = layers(self, &before, &[], range);
            let walk = Walk::new(view, capabilities, range.clone()).without(HIDDEN);
            layers.push(Layer::new(Side::After, Pages::Store(Box::new(walk))));
            Ok(Diff::new(layers, total, taken(&before), None))
        };
        found.await.map_err(|error: Error| error.during("diff"))
    }
}

fn taken(chain: &[&Manifest]) -> Option<Timestamp> {
    chain.last().map(|newest| newest.taken())
}

/// What has to be read of two chains, and how many records that is at most.
fn layers(
    repository: &Repository,
    before: &[&Manifest],
    after: &[&Manifest],
    range: &KeyRange,
) -> (Vec<Layer<'static>>, u64) {
    let both = before
        .iter()
        .zip(after)
        .take_while(|(one, other)| one.id == other.id)
        .count();
    // A backup and itself.
    if both == before.len() && both == after.len() {
        return (Vec::new(), 0);
    }
    if let ([before], [after]) = (before, after) {
        let one = reader(repository, before, range).without(after.root.clone());
        let other = reader(repository, after, range).without(before.root.clone());
        let layers = vec![
            Layer::new(Side::Before, Pages::Backup(Box::new(one))),
            Layer::new(Side::After, Pages::Backup(Box::new(other))),
        ];
        return (layers, before.root.records + after.root.records);
    }
    let sides = [
        (Side::Both, &before[..both]),
        (Side::Before, &before[both..]),
        (Side::After, &after[both..]),
    ];
    let mut layers = Vec::new();
    let mut total = 0;
    for (side, manifests) in sides {
        for manifest in manifests {
            layers.push(Layer::new(
                side,
                Pages::Backup(Box::new(reader(repository, manifest, range))),
            ));
            total += manifest.root.records;
        }
    }
    (layers, total)
}

/// What the layers have under one key.
#[derive(Default)]
struct Found {
    both: Option<Record>,
    before: Option<Record>,
    after: Option<Record>,
}

impl<'a> Diff<'a> {
    fn new(layers: Vec<Layer<'a>>, total: u64, before: Option<Timestamp>, after: Option<Timestamp>) -> Self {
        Diff {
            layers,
            taken: (before, after),
            rewritten: 0,
            read: 0,
            total,
            observer: None,
        }
    }

    /// Tells `observer` how far it is.
    #[must_use]
    pub fn with_observer(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The next difference; `None` when all were given.
    ///
    /// # Errors
    ///
    /// `Corrupt` where a chunk is missing or damaged, with its name; else what the repository or the store reports. There is
    /// no going on after an error.
    ///
    /// # Cancellation
    ///
    /// A diff whose `next` was dropped before it was ready may have lost what it had read: drop it too.
    pub async fn next(&mut self) -> Result<Option<Difference>> {
        let found = Box::pin(self.next_inner()).await;
        found.map_err(|error| error.during("diff"))
    }

    /// How many entries have the same value and deadline on both sides, and another revision, as far as was read.
    #[must_use]
    pub fn rewritten(&self) -> u64 {
        self.rewritten
    }

    async fn next_inner(&mut self) -> Result<Option<Difference>> {
        while let Some(key) = self.lowest().await? {
            let mut found = Found::default();
            for layer in &mut self.layers {
                let Some(record) = layer.page.next_if(|record| record.key == key) else {
                    continue;
                };
                match layer.side {
                    Side::Both => found.both = Some(record),
                    Side::Before => found.before = Some(record),
                    Side::After => found.after = Some(record),
                }
            }
            if let Some(difference) = self.judge(key, &found) {
                return Ok(Some(difference));
            }
        }
        Ok(None)
    }

    /// The lowest key that was not looked at.
    async fn lowest(&mut self) -> Result<Option<Key>> {
        let before = self.read;
        for layer in &mut self.layers {
            self.read += layer.fill().await?;
        }
        if let Some(observer) = &self.observer
            && before / REPORT_RECORDS != self.read / REPORT_RECORDS
        {
            observer(&Progress {
                phase: Phase::Comparing,
                done: self.read,
                total: self.total.max(self.read),
            });
        }
        let heads = self.layers.iter_mut().filter_map(|layer| layer.page.peek());
        Ok(heads.map(|record| &record.key).min().cloned())
    }

    fn judge(&mut self, key: Key, found: &Found) -> Option<Difference> {
        let before = found.before.as_ref().or(found.both.as_ref());
        let after = found.after.as_ref().or(found.both.as_ref());
        let before = before.filter(|record| is_there(record, self.taken.0));
        let after = after.filter(|record| is_there(record, self.taken.1));
        match (before, after) {
            (None, None) => return None,
            (Some(one), Some(other)) if same(one, other) => {
                self.rewritten += u64::from(one.revision != other.revision);
                return None;
            }
            _ => {}
        }
        Some(Difference {
            key,
            before: before.map(entry_of),
            after: after.map(entry_of),
        })
    }
}

/// Whether there was an entry at that time.
fn is_there(record: &Record, taken: Option<Timestamp>) -> bool {
    let passed = taken
        .zip(record.deadline)
        .is_some_and(|(taken, deadline)| deadline <= taken);
    record.payload.value().is_some() && !passed
}

fn same(one: &Record, other: &Record) -> bool {
    // One and the same record, of what both sides stand on, needs no look at its value.
    std::ptr::eq(one, other) || one.deadline == other.deadline && one.payload.value() == other.payload.value()
}

fn entry_of(record: &Record) -> Entry {
    match &record.payload {
        Payload::Entry(entry) => entry.clone(),
        payload => Entry::new(
            payload.value().unwrap_or_default(),
            record.revision,
            record.deadline,
        ),
    }
}

impl fmt::Debug for Diff<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Diff")
            .field("layers", &self.layers.len())
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}
