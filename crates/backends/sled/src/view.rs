//! A consistent read view.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use sled::IVec;
use stead_core::{Direction, Result};
use stead_embedded::{Keyspace, View, Visit};

use crate::record;
use crate::scan::Scan;
use crate::shared::Shared;

/// How many records a scan reads before it hands them out and lets commits go on: few, because most scans end early.
const SCAN_RECORDS: usize = 16;

/// A consistent read view: what sled holds, but for what was replaced since.
///
/// A view that is alive for long makes the store keep the earlier value of everything that is written meanwhile, in
/// memory and once for all views of the same commit.
pub struct SledView {
    shared: Arc<Shared>,
    commit: u64,
}

impl SledView {
    /// Begins a view of the newest commit.
    pub(crate) fn begin(shared: &Arc<Shared>) -> Result<Self> {
        Ok(SledView {
            commit: shared.begin_view()?,
            shared: Arc::clone(shared),
        })
    }

    /// Compares all records with what the commit says of them.
    pub(crate) fn verify(&self) -> Result<()> {
        self.shared.verify(self.commit)
    }
}

impl Drop for SledView {
    fn drop(&mut self) {
        self.shared.end_view(self.commit);
    }
}

impl View for SledView {
    fn get(&self, space: Keyspace, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let key = record::sled_key(space, key);
        match self.shared.get(self.commit, &key)? {
            Some(record) => {
                self.shared.value(self.commit, &key, &record, read)?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn scan(
        &self,
        space: Keyspace,
        start: &[u8],
        end: Option<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        self.scan_about(space, start, end, direction, usize::MAX, visit)
    }

    fn scan_about(
        &self,
        space: Keyspace,
        start: &[u8],
        end: Option<&[u8]>,
        direction: Direction,
        about: usize,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        if end.is_some_and(|end| end <= start) {
            return Ok(());
        }
        let end = end.map_or_else(|| record::end_of(space), |end| record::key_of(space, end));
        let bounds = (
            Bound::Included(record::sled_key(space, start)),
            Bound::Excluded(IVec::from(end)),
        );
        let mut scan = Scan::new(self.commit, bounds, direction);
        let mut pairs = Vec::with_capacity(SCAN_RECORDS);
        let (mut more, mut left) = (true, about);
        while more {
            let records = if left == 0 {
                SCAN_RECORDS
            } else {
                left.min(SCAN_RECORDS)
            };
            left -= left.min(records);
            more = scan.read(&self.shared, records, &mut pairs)?;
            for (key, record) in pairs.drain(..) {
                let mut flow = ControlFlow::Continue(());
                self.shared.value(self.commit, &key, &record, &mut |value| {
                    flow = visit(&key[1..], value);
                })?;
                if flow.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
