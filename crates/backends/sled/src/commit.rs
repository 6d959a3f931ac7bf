//! What a commit writes to sled, and what it replaces there.

use std::fs::File;

use sled::{Batch, IVec, Tree};
use stead_core::Result;
use stead_embedded::{Keyspace, WriteSet};

use crate::error;
use crate::layers::Replaced;
use crate::ledger::Mark;
use crate::nudge::Nudge;
use crate::record::{self, OWN_KEY};
use crate::seal::{self, HOST, Seal};

/// What the one writer knows.
pub(crate) struct Writer {
    /// That of the newest commit.
    seal: Seal,
    /// The records that carry seals, as they are.
    host: Option<IVec>,
    own: Option<IVec>,
    /// The last key in each keyspace, or one behind it: what is written behind that replaces nothing.
    tops: [IVec; Keyspace::ALL.len()],
    /// sled's log, for syncing.
    log: File,
    /// About how much sled has written to its log since the last sync.
    pub(crate) unsynced_bytes: u64,
    mark: Mark,
    nudge: Option<Nudge>,
    /// The store was opened, and no commit failed.
    pub(crate) can_close: bool,
}

impl Writer {
    /// One that knows nothing yet.
    pub(crate) fn new(log: File, mark: Mark, nudge: Nudge) -> Self {
        Writer {
            seal: Seal::default(),
            host: None,
            own: None,
            tops: Default::default(),
            log,
            mark,
            nudge: Some(nudge),
            unsynced_bytes: 0,
            can_close: false,
        }
    }

    /// Reads what is to be known of a tree, and gives its newest seal.
    ///
    /// # Errors
    ///
    /// A failure to read.
    pub(crate) fn read(&mut self, tree: &Tree) -> Result<Option<Seal>> {
        for space in Keyspace::ALL {
            let start = record::key_of(space, &[]);
            let last = tree.range(start..record::end_of(space)).next_back();
            if let Some((key, _)) = last.transpose().map_err(error::storage)? {
                self.tops[space.index()] = key;
            }
        }
        self.host = read(tree, &record::key_of(HOST.0, HOST.1))?;
        self.own = read(tree, OWN_KEY)?;
        let seal = seal::newest(self.host.as_deref(), self.own.as_deref())?;
        self.seal = seal.unwrap_or_default();
        Ok(seal)
    }

    /// The newest commit that was marked as durable.
    ///
    /// # Errors
    ///
    /// A failure to read.
    pub(crate) fn marked(&self) -> Result<u64> {
        Ok(self.mark.read()?.unwrap_or(0))
    }

    /// The newest commit.
    pub(crate) fn commit(&self) -> u64 {
        self.seal.commit
    }

    /// Makes all commits so far durable.
    ///
    /// sled's flush ends in `sync_file_range`, which leaves the length of the file and the cache of the disk to
    /// themselves; hence the sync.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub(crate) fn sync(&mut self, tree: &Tree) -> Result<()> {
        let flush = || tree.flush().map_err(error::commit);
        error::guarded(|| match &self.nudge {
            Some(nudge) => nudge.during(flush),
            None => flush(),
        })?;
        self.log.sync_data().map_err(error::sync)?;
        self.unsynced_bytes = 0;
        self.mark.write(self.seal.commit)
    }

    /// Lets go of the database. Nothing is written any more.
    pub(crate) fn end(&mut self) {
        self.nudge = None;
    }
}

/// A commit that is ready to be applied.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) batch: Batch,
    /// What views of earlier commits still see.
    pub(crate) replaced: Replaced,
    pub(crate) after: After,
}

/// What the writer knows once a commit is applied.
#[derive(Default)]
pub(crate) struct After {
    seal: Seal,
    host: Option<IVec>,
    own: Option<IVec>,
    tops: [Option<IVec>; Keyspace::ALL.len()],
    /// About how much sled writes for the commit.
    log_bytes: u64,
}

impl Plan {
    /// Works out what `writes` come to.
    ///
    /// # Errors
    ///
    /// A failure to read what is replaced; nothing is written then.
    pub(crate) fn new(tree: &Tree, writer: &Writer, writes: &WriteSet, compressing: bool) -> Result<Self> {
        let mut plan = Plan {
            after: After {
                seal: writer.seal,
                host: writer.host.clone(),
                own: writer.own.clone(),
                ..After::default()
            },
            ..Plan::default()
        };
        plan.after.seal.commit += 1;
        let mut host = None;
        for space in Keyspace::ALL {
            for (bare, value) in writes.iter(space) {
                let key = record::sled_key(space, bare);
                let is_host = (space, bare) == HOST;
                let old = if is_host {
                    writer.host.clone()
                } else if key > writer.tops[space.index()] {
                    plan.after.tops[space.index()] = Some(key.clone());
                    None
                } else {
                    read(tree, &key)?
                };
                let new = value
                    .map(|value| record::encode(value, compressing))
                    .transpose()?;
                let parts = new.as_ref().map_or(&[][..], |new| &new.parts);
                plan.stage_parts(tree, &key, old.as_ref(), parts)?;
                let new = new.map(|new| new.record);
                if is_host {
                    plan.after.host = None;
                    if let Some(new) = new {
                        host = Some((key, old, new));
                        continue;
                    }
                }
                plan.stage(key, old, new.map(IVec::from));
            }
        }
        plan.stage_seal(host);
        Ok(plan)
    }

    /// About how much sled writes to its log for this.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.after.log_bytes
    }

    fn stage_parts(&mut self, tree: &Tree, key: &IVec, old: Option<&IVec>, new: &[IVec]) -> Result<()> {
        let old = match old {
            Some(old) => record::decode(old)?.body.parts(),
            None => 0,
        };
        for number in 0..old.max(new.len()) {
            let key = IVec::from(record::part_key(key, number));
            let old = if number < old { read(tree, &key)? } else { None };
            self.stage(key, old, new.get(number).cloned());
        }
        Ok(())
    }

    fn stage(&mut self, key: IVec, old: Option<IVec>, new: Option<IVec>) {
        if old.is_none() && new.is_none() {
            return;
        }
        if let Some(old) = &old {
            self.after.seal.remove(&key, old);
        }
        if let Some(new) = &new {
            self.after.seal.add(&key, new);
        }
        self.write(key, old, new);
    }

    /// Puts the seal where it goes once everything else is counted.
    fn stage_seal(&mut self, host: Option<(IVec, Option<IVec>, Vec<u8>)>) {
        let (key, old, mut new) = match host {
            Some((key, old, new)) => {
                if let Some(old) = &old {
                    self.after.seal.remove(&key, old);
                }
                self.after.seal.add(&key, &new);
                (key, old, new)
            }
            None => (
                IVec::from(OWN_KEY),
                self.after.own.clone(),
                record::EMPTY.to_vec(),
            ),
        };
        record::append_seal(&mut new, &self.after.seal);
        let new = IVec::from(new);
        if key == OWN_KEY {
            self.after.own = Some(new.clone());
        } else {
            self.after.host = Some(new.clone());
        }
        self.write(key, old, Some(new));
    }

    fn write(&mut self, key: IVec, old: Option<IVec>, new: Option<IVec>) {
        self.after.log_bytes += log_bytes(key.len() + new.as_ref().map_or(0, |new| new.len()));
        match new {
            Some(new) => self.batch.insert(key.clone(), new),
            None => self.batch.remove(key.clone()),
        }
        self.replaced.insert(key, old);
    }
}

impl After {
    /// The number of the commit.
    pub(crate) fn commit(&self) -> u64 {
        self.seal.commit
    }

    /// Tells the writer.
    pub(crate) fn settle(self, writer: &mut Writer) {
        writer.seal = self.seal;
        writer.host = self.host;
        writer.own = self.own;
        for (top, new) in writer.tops.iter_mut().zip(self.tops) {
            if let Some(new) = new {
                *top = new;
            }
        }
        writer.unsynced_bytes += self.log_bytes;
    }
}

/// About how much sled writes to its log for a record: the record itself, and as much twice over, because every tenth
/// change of a page, and each time that it is split, all of its at most 17 records are written.
fn log_bytes(record_bytes: usize) -> u64 {
    3 * (record_bytes as u64 + 32)
}

fn read(tree: &Tree, key: &[u8]) -> Result<Option<IVec>> {
    error::guarded(|| tree.get(key).map_err(error::storage))
}
