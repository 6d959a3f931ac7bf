//! Writing what a snapshot holds.

use std::sync::Arc;

use stead_core::{Item, KeyRange, Partition, Result};

use crate::join::walk;
use crate::record::{Bulk, Record};
use crate::{Copier, Phase};

impl Copier {
    /// Writes what a snapshot of the source holds, from where an interrupted copy stopped.
    ///
    /// # Errors
    ///
    /// What the stores report; `Full` where the target has no room, `Invalid` where an entry is larger than the target's
    /// limits, `Unsupported` where entries have deadlines and the target cannot keep them. Done as far as it went.
    pub async fn bulk(&mut self) -> Result<()> {
        let Bulk::Upto(after) = self.record.bulk.clone() else {
            return Ok(());
        };
        let walked = self.walk_all(after).await;
        walked.map_err(|error| error.during("copy"))
    }

    async fn walk_all(&mut self, after: Option<stead_core::Key>) -> Result<()> {
        let Some(view) = self.view.clone() else {
            return Ok(());
        };
        self.batcher.discard();
        let source = Arc::clone(&self.source);
        // What was written before counts as done; how much that is, the target knows best.
        let mut done = match &after {
            Some(_) => self.target.stats().await?.entries,
            None => 0,
        };
        let whole = self.revision_of_all(&*view)?;
        // The partition in which an interrupted copy stopped was begun at an older revision.
        let mut partition = after.as_ref().map(stead_core::Key::partition);
        let mut raise = whole.unwrap_or_default();
        if let (Some(begun), None) = (&partition, whole) {
            raise = view.revision(begun);
        }
        let mut last = after.clone();
        let mut walk = walk(&*view, &*source, KeyRange::all());
        if let Some(after) = &after {
            walk = walk.after(after);
        }
        loop {
            let page = walk.page().await?;
            if page.is_empty() {
                break;
            }
            let entries = page.len() as u64;
            for Item { key, entry } in page {
                let Some(entry) = entry else { continue };
                if !self.batcher.fits(&key, entry.value().len()) {
                    let bulk = Bulk::Upto(last.take());
                    let record = Record {
                        bulk,
                        ..self.record.clone()
                    };
                    // Only what was written counts, should this be begun again.
                    self.batcher.flush(Some(&record)).await?;
                    self.record = record;
                }
                if whole.is_none()
                    && partition.as_ref().map(Partition::as_bytes) != Some(key.partition_bytes())
                {
                    let begun = key.partition();
                    raise = view.revision(&begun);
                    self.known.set(&begun, raise);
                    self.record.highest = self.record.highest.max(raise);
                    partition = Some(begun);
                }
                self.widest = self.widest.max(entry.value().len());
                last = Some(key.clone());
                self.batcher.put(key, &entry, raise);
            }
            done += entries;
            self.copied += entries;
            self.tell(Phase::Copying, done, self.total).await;
        }
        self.batcher.flush(None).await?;
        let record = Record {
            bulk: Bulk::Done,
            ..self.record.clone()
        };
        self.batcher.checkpoint(&record).await?;
        self.record = record;
        Ok(())
    }
}
