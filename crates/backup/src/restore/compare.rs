//! Comparing what a target holds with the backup that it was filled from.

use std::collections::VecDeque;
use std::sync::Arc;

use stead_core::{Backend, Error, Result, Timestamp};

use super::deadlines::{Shift, Shifted, deadline_of};
use super::there::{There, same};
use super::{Restore, Selection};
use crate::manager::Phase;
use crate::records::Record;
use crate::task::Task;

/// Blocks that are compared at a time: one for each core of a small machine.
const AT_A_TIME: usize = 2;

/// What a block of the backup came to.
struct Compared {
    /// Entries that are the same, up to the first one that is not.
    equal: u64,
    differs: bool,
    /// The latest deadline of those that are not there. They are no difference if it has passed.
    missing_until: Option<Timestamp>,
}

impl Restore<'_> {
    /// Compares what the target holds with the backup, entry by entry.
    pub(super) async fn compare(&self, entries: u64) -> Result<()> {
        let mut merge = self.merge();
        let mut rest = self.selection.range.clone();
        let mut jobs: VecDeque<Task<Compared>> = VecDeque::new();
        let mut done = 0;
        loop {
            let block = merge.block().await?;
            let Some(last) = block.last() else {
                break;
            };
            let behind = rest.after(&last.key);
            let range = rest.up_to(&last.key);
            rest = behind;
            if jobs.len() == AT_A_TIME {
                self.compared(&mut jobs, &mut done, entries).await?;
            }
            jobs.push_back(Task::spawn(compare(
                Arc::clone(self.target),
                self.selection.within(range),
                block,
                self.shift,
            )));
        }
        while !jobs.is_empty() {
            self.compared(&mut jobs, &mut done, entries).await?;
        }
        match There::new(&**self.target, &self.selection.within(rest))
            .next()
            .await?
        {
            Some(_) => Err(differs(done)),
            None => Ok(()),
        }
    }

    /// Waits for the first of `jobs`, and adds to what is `done`.
    async fn compared(
        &self,
        jobs: &mut VecDeque<Task<Compared>>,
        done: &mut u64,
        entries: u64,
    ) -> Result<()> {
        let Some(job) = jobs.pop_front() else {
            return Ok(());
        };
        let compared = job.join().await?;
        *done += compared.equal;
        // A deadline may have passed since its entry was written.
        let missing = compared.missing_until;
        if compared.differs || missing.is_some_and(|until| until > self.clock.now()) {
            return Err(differs(*done));
        }
        self.options.report(Phase::Comparing, *done, entries);
        Ok(())
    }
}

/// Compares what `target` holds of `selection` with all that the backup has of it.
async fn compare(
    target: Arc<dyn Backend>,
    selection: Selection,
    block: Vec<Record>,
    shift: Shift,
) -> Result<Compared> {
    let mut there = There::new(&*target, &selection);
    let mut found = there.next().await?;
    let mut compared = Compared {
        equal: 0,
        differs: false,
        missing_until: None,
    };
    for record in block {
        let Shifted::Expiry(expiry) = shift.of(record.deadline) else {
            continue;
        };
        let value = record.payload.value();
        match &found {
            Some((key, entry))
                if *key == record.key && value.is_some_and(|value| same(entry, value, expiry)) =>
            {
                found = there.next().await?;
            }
            _ => match deadline_of(expiry) {
                None => {
                    compared.differs = true;
                    return Ok(compared);
                }
                deadline => compared.missing_until = deadline.max(compared.missing_until),
            },
        }
        compared.equal += 1;
    }
    compared.differs = found.is_some();
    Ok(compared)
}

pub(super) fn differs(entries: u64) -> Error {
    Error::corrupt(
        "the target does not hold what was written to it: somebody else writes there, or it is damaged; empty it and \
         restore again",
    )
    .with("entries_equal", entries)
}
