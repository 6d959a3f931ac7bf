//! sled as an engine.

use std::fs::File;
use std::sync::Arc;

use parking_lot::Mutex;
use sled::Tree;
use stead_core::{Error, Result, Strength};
use stead_embedded::{DirectoryLock, Engine, WriteSet};

use crate::commit::{Plan, Writer};
use crate::files::{Files, SEGMENT_BYTES};
use crate::ledger::{Ledger, Mark};
use crate::nudge::Nudge;
use crate::seal;
use crate::shared::Shared;
use crate::{SledConfig, SledView, compress, error, record};

/// About how much of sled's log may be unsynced.
///
/// The header of each segment says how far the log is stable, and sled goes by it when it recovers: it checks the end of
/// the log from that segment on, but takes gaps before it for freed space. What sled calls stable is not synced, so a
/// power failure can leave such gaps unless less than a segment is unsynced at any time.
const UNSYNCED_BYTES: u64 = SEGMENT_BYTES as u64 / 4 * 3;

/// A sled database with all keyspaces in its one tree, so that one batch is one atomic piece of its log.
pub struct SledEngine {
    shared: Arc<Shared>,
    writer: Mutex<Writer>,
    files: Files,
    compressing: bool,
    /// `None` once the engine is closed.
    lock: Option<DirectoryLock>,
}

impl SledEngine {
    /// Opens the database in the directory that `config` names, or makes one.
    ///
    /// # Errors
    ///
    /// As [`open`](crate::open).
    pub fn open(config: &SledConfig) -> Result<Self> {
        let files = Files::new(config);
        let open = || {
            compress::check(config.use_compression)?;
            files.directory.prepare(true)?;
            let lock = files.directory.lock(false)?;
            files.directory.begin()?;
            Ok(lock)
        };
        let open = open().and_then(|lock| error::guarded(|| Self::open_files(config, files, lock)));
        open.map_err(|error| error::located(error, &config.path))
    }

    fn open_files(config: &SledConfig, files: Files, lock: DirectoryLock) -> Result<Self> {
        let is_complete = files.directory.is_marked()?;
        let ledger = Ledger::read(&files.data)?;
        if is_complete {
            files.check(ledger.as_ref())?;
        }
        files.remove_unfinished_snapshots()?;
        if let Some(ledger) = &ledger {
            // From here on the files change.
            Ledger::open_at(ledger.commit).write(&files.data)?;
        }
        let db = files.open()?;
        let log = File::open(files.log()).map_err(|cause| error::file(cause, &files.log()))?;
        let mark = Mark::open(&files.data)?;
        let nudge = Nudge::for_flushes_of(Tree::clone(&db))?;
        let mut engine = SledEngine {
            shared: Arc::new(Shared::new(db)),
            writer: Mutex::new(Writer::new(log, mark, nudge)),
            files,
            compressing: config.use_compression,
            lock: Some(lock),
        };
        engine.begin(is_complete, ledger)?;
        engine.writer.get_mut().can_close = true;
        Ok(engine)
    }

    /// Finds all that was there, or begins a store where there is nothing.
    fn begin(&mut self, is_complete: bool, ledger: Option<Ledger>) -> Result<()> {
        let tree = self.shared.tree()?;
        let writer = self.writer.get_mut();
        if let Some(seal) = writer.read(&tree)? {
            self.shared.begin(seal.commit);
            let ledger = ledger.unwrap_or(Ledger::open_at(0));
            ledger.compare(&seal)?;
            if ledger.closed.is_none() {
                Ledger::open_at(writer.marked()?).compare(&seal)?;
                self.shared.verify(seal.commit)?;
            }
        } else if is_complete {
            return Err(Error::corrupt(
                "sled's log lost everything; restore the store from a backup",
            ));
        } else if !tree.is_empty() {
            return Err(Error::corrupt(
                "the files are those of a sled database, but not of a stead store",
            ));
        } else {
            // A seal is in the tree before the store is complete: from then on, none is a lost one.
            let plan = Plan::new(&tree, writer, &WriteSet::new(), false)?;
            apply(&self.shared, &tree, writer, plan)?;
            writer.sync(&tree)?;
        }
        build_fence(&tree)?;
        self.files.sync_directories()?;
        self.files.directory.mark()
    }

    fn write(&self, writer: &mut Writer, writes: &WriteSet, sync: bool) -> Result<()> {
        let tree = self.shared.tree()?;
        if !writes.is_empty() {
            let plan = Plan::new(&tree, writer, writes, self.compressing)?;
            if writer.unsynced_bytes > 0 && writer.unsynced_bytes + plan.log_bytes() > UNSYNCED_BYTES {
                writer.sync(&tree)?;
            }
            apply(&self.shared, &tree, writer, plan)?;
        }
        if sync || writer.unsynced_bytes > UNSYNCED_BYTES {
            writer.sync(&tree)?;
        }
        Ok(())
    }

    fn release(&mut self) -> Result<()> {
        // The lock goes last, and only once.
        let Some(_lock) = self.lock.take() else {
            return Ok(());
        };
        let writer = self.writer.get_mut();
        let db = self.shared.end();
        error::guarded_close(|| {
            let closing = match &db {
                Some(db) if writer.can_close => writer.sync(db).map(|()| true),
                _ => Ok(false),
            };
            writer.end();
            drop(db);
            self.files.wait_for_release()?;
            if closing? {
                settle(&self.files, writer.commit())?;
            }
            Ok(())
        })
    }
}

/// Builds the fence of `record`, as far as it is missing. It holds nothing, so it need not last.
fn build_fence(tree: &Tree) -> Result<()> {
    error::guarded(|| {
        for key in record::fence_keys() {
            if !tree.contains_key(key).map_err(error::storage)? {
                tree.insert(key, record::EMPTY).map_err(error::commit)?;
            }
        }
        Ok(())
    })
}

/// Makes one commit of `plan`.
fn apply(shared: &Shared, tree: &Tree, writer: &mut Writer, plan: Plan) -> Result<()> {
    let Plan {
        batch,
        replaced,
        after,
    } = plan;
    error::guarded(|| shared.apply(tree, after.commit(), batch, replaced))?;
    after.settle(writer);
    Ok(())
}

/// Lets sled write a snapshot, which it does only when it opens.
///
/// sled goes by its log for what came after the last snapshot, and takes a damaged piece of it for freed space. What is in
/// the snapshot is read by address and checked. So the files of a closed store cannot lose anything in silence, and
/// the next open is quick.
fn settle(files: &Files, commit: u64) -> Result<()> {
    let db = files.open()?;
    let found = seal::find(&db);
    files.sync_directories()?;
    drop(db);
    files.wait_for_release()?;
    let ledger = Ledger {
        commit,
        closed: Some(files.closed()?),
    };
    ledger.compare(&found?.unwrap_or_default())?;
    ledger.write(&files.data)
}

impl Engine for SledEngine {
    type View = SledView;

    fn name(&self) -> &'static str {
        "sled"
    }

    fn strengths(&self) -> (Strength, Strength) {
        // The newest commit waits in sled's buffer for the next one.
        (Strength::Volatile, Strength::PowerLoss)
    }

    fn view(&self) -> Result<SledView> {
        SledView::begin(&self.shared)
    }

    fn commit(&self, writes: &WriteSet, sync: bool) -> Result<()> {
        let mut writer = self.writer.lock();
        let result = self.write(&mut writer, writes, sync);
        writer.can_close &= result.is_ok();
        result
    }

    fn disk_bytes(&self) -> Result<Option<u64>> {
        self.files.directory.disk_bytes().map(Some)
    }

    /// Reads every record, and compares their number and checksums with what the commit says of them.
    fn check(&self) -> Result<()> {
        self.view()?.verify()
    }

    fn hold(&self) -> Result<DirectoryLock> {
        self.lock.as_ref().ok_or_else(Error::closed)?.hold()
    }

    fn close(mut self) -> Result<()> {
        self.release()
    }
}

impl Drop for SledEngine {
    fn drop(&mut self) {
        // Who does not close the engine does not ask how it went.
        let _ = self.release();
    }
}
