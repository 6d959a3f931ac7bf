//! Keeping the change log and the request ids within their retention, and finding what is past its deadline.

use std::ops::ControlFlow;
use std::time::Duration;

use stead_core::{Direction, Key, Result, Revision, Timestamp};

use crate::format::{
    DataRecord, Remembered, change_key, change_key_revision, data_record_bytes, expiry_end, order_key,
    request_key, split_expiry_key,
};
use crate::group::Group;
use crate::planted::planted;
use crate::view::Held;
use crate::{Keyspace, View};

/// The most records that one commit trims.
pub(crate) const TRIM_LIMIT: u64 = 1024;

/// The most entries that one sweep removes.
pub(crate) const SWEEP_LIMIT: usize = 1024;

/// How many change sets beyond the retention wait until it pays to trim them: neighbours share pages.
fn slack(retention: u64) -> u64 {
    (retention / 16).min(256)
}

impl<V: View> Group<V> {
    /// Drops the oldest change sets beyond `retention`.
    pub(crate) fn trim_changes(&mut self, retention: u64) -> Result<()> {
        let excess = self.header.change_sets.saturating_sub(retention);
        if excess <= slack(retention) {
            return Ok(());
        }
        let wanted = excess.min(TRIM_LIMIT) + u64::from(planted("trimmed-too-far"));
        let start = change_key(self.header.floor.next());
        let mut oldest = Vec::new();
        self.held.view.scan(
            Keyspace::Changes,
            &start,
            None,
            Direction::Forward,
            &mut |key, _| {
                oldest.push(key.to_vec());
                if oldest.len() as u64 >= wanted {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            },
        )?;
        for key in oldest {
            self.header.floor = change_key_revision(&key)?;
            self.header.change_sets = self.header.change_sets.saturating_sub(1);
            self.writes.delete(Keyspace::Changes, key);
        }
        Ok(())
    }

    /// Goes on behind `revision` if that lies ahead, with a log of changes that begins there. The whole old log goes with
    /// this commit, which is bounded by its retention. A failure leaves everything as it was.
    pub(crate) fn raise_to(&mut self, revision: Revision) -> Result<()> {
        if revision <= self.header.revision {
            return Ok(());
        }
        let mut outlived = Vec::new();
        let start = change_key(self.header.floor.next());
        self.held.view.scan(
            Keyspace::Changes,
            &start,
            None,
            Direction::Forward,
            &mut |key, _| {
                outlived.push(key.to_vec());
                ControlFlow::Continue(())
            },
        )?;
        let of_this_commit = self.sets.iter().map(|set| change_key(set.revision).to_vec());
        outlived.extend(of_this_commit);
        for key in outlived {
            self.writes.delete(Keyspace::Changes, key);
        }
        self.header.change_sets = 0;
        self.header.floor = revision;
        self.header.revision = revision;
        Ok(())
    }

    /// Forgets the oldest request ids: up to `limit` of those beyond `retention` in number.
    pub(crate) fn trim_requests(&mut self, retention: u64, limit: u64) -> Result<()> {
        for _ in 0..limit {
            if self.header.next_request - self.header.first_request <= retention {
                break;
            }
            self.forget_oldest_request()?;
        }
        Ok(())
    }

    /// Forgets request ids that are older than `age`, at most [`TRIM_LIMIT`] of them.
    pub(crate) fn trim_aged_requests(&mut self, age: Duration) -> Result<()> {
        for _ in 0..TRIM_LIMIT {
            let first = self.header.first_request;
            if first == self.header.next_request || !self.held.is_aged_request(first, self.now, age)? {
                break;
            }
            self.forget_oldest_request()?;
        }
        Ok(())
    }

    fn forget_oldest_request(&mut self) -> Result<()> {
        let order = order_key(self.header.first_request);
        let id = self.read(Keyspace::Meta, &order, |id| Ok(id.to_vec()))?;
        if let Some(id) = id {
            self.writes.delete(Keyspace::Meta, request_key(&id));
        }
        self.writes.delete(Keyspace::Meta, order.to_vec());
        self.header.first_request += 1;
        Ok(())
    }
}

impl<V: View> Held<V> {
    /// Whether the request with this sequence number is older than `age`.
    pub(crate) fn is_aged_request(&self, sequence: u64, now: Timestamp, age: Duration) -> Result<bool> {
        let mut id = None;
        self.view
            .get(Keyspace::Meta, &order_key(sequence), &mut |bytes| {
                id = Some(bytes.to_vec());
            })?;
        let Some(id) = id else { return Ok(false) };
        let mut time = None;
        self.view.get(Keyspace::Meta, &request_key(&id), &mut |bytes| {
            time = Some(Remembered::decode(&id, bytes).map(|remembered| remembered.time));
        })?;
        let Some(time) = time else { return Ok(false) };
        Ok(time?.until(now) > age)
    }

    /// Whether anything waits to be swept.
    pub(crate) fn has_expired(&self, now: Timestamp) -> Result<bool> {
        let mut any = false;
        let end = expiry_end(now);
        self.view.scan(
            Keyspace::Expiry,
            &[],
            end.as_deref(),
            Direction::Forward,
            &mut |_, _| {
                any = true;
                ControlFlow::Break(())
            },
        )?;
        Ok(any)
    }

    /// The entries past their deadline, the longest dead first, each with what it counts for in the byte counter; at
    /// most `limit` of them.
    ///
    /// An entry that was renewed since has another deadline in its record and is left alone: record and index are of
    /// the same view. One that cannot be read is left for those who check the store.
    pub(crate) fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, Key, u64)>> {
        let mut due = Vec::new();
        let end = expiry_end(now);
        self.view.scan(
            Keyspace::Expiry,
            &[],
            end.as_deref(),
            Direction::Forward,
            &mut |index, _| {
                if let Some((deadline, key)) = split_expiry_key(index)
                    && let Ok(key) = Key::from_encoded(key)
                {
                    due.push((deadline, key));
                }
                if due.len() < limit {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            },
        )?;
        let mut expired = Vec::with_capacity(due.len());
        for (deadline, key) in due {
            let bytes = key.as_bytes();
            let mut size = None;
            self.view.get(Keyspace::Data, bytes, &mut |record| {
                size = DataRecord::decode(bytes, record)
                    .ok()
                    .filter(|record| record.deadline == Some(deadline) || planted("sweep-blind"))
                    .map(|record| data_record_bytes(bytes, record.value));
            })?;
            if let Some(size) = size {
                expired.push((deadline, key, size));
            }
        }
        Ok(expired)
    }

    /// The change sets after `after`, at most `limit` of them.
    pub(crate) fn changes_after(&self, after: Revision, limit: usize) -> Result<Vec<stead_core::ChangeSet>> {
        let start = change_key(after.next());
        let mut sets = Vec::new();
        let mut failure = None;
        self.view.scan(
            Keyspace::Changes,
            &start,
            None,
            Direction::Forward,
            &mut |key, record| {
                let set = change_key_revision(key)
                    .and_then(|revision| crate::format::decode_changes(revision, record));
                match set {
                    Ok(set) => sets.push(set),
                    Err(error) => {
                        failure = Some(error);
                        return ControlFlow::Break(());
                    }
                }
                if sets.len() < limit {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            },
        )?;
        failure.map_or(Ok(sets), Err)
    }
}
