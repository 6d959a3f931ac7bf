//! Judging batches and working out what they write, against a view and what the same commit writes already.

use std::ops::ControlFlow;
use std::sync::Arc;

use stead_core::kit::{Lookup, judge};
use stead_core::{
    Change, ChangeKind, ChangeSet, Direction, Error, Fingerprint, Key, KeyRange, Outcome, Result, Revision,
    Timestamp, WriteBatch,
};

use crate::effects::{After, Effect, effects};
use crate::format::{
    DataRecord, Header, Remembered, change_key, data_record_bytes, encode_changes, encode_data, expiry_key,
    order_key, request_key,
};
use crate::planted::{planted, split};
use crate::recent::{Facts, Mark, Recent, Stored};
use crate::view::Held;
use crate::{Keyspace, View, WriteSet};

/// The batches that one engine commit carries.
pub(crate) struct Group<V> {
    pub(crate) held: Arc<Held<V>>,
    pub(crate) now: Timestamp,
    /// For those who hold the lock of the writer.
    recent: Option<Arc<Recent>>,
    /// What the writes make of each key, in their order.
    pub(crate) learnt: Vec<(Mark, Stored)>,
    pub(crate) writes: WriteSet,
    pub(crate) header: Header,
    pub(crate) sets: Vec<ChangeSet>,
    pub(crate) commits: u64,
    pub(crate) conflicts: u64,
    pub(crate) expired: u64,
}

/// How a batch was judged.
pub(crate) enum Verdict {
    /// It wrote, or what is remembered of it did.
    New(Outcome),
    /// It wrote nothing and nothing is remembered of it.
    Idle(Outcome),
    /// A batch with the same request id came before it.
    Known(Outcome),
}

impl Verdict {
    pub(crate) fn into_outcome(self) -> Outcome {
        match self {
            Verdict::New(outcome) | Verdict::Idle(outcome) | Verdict::Known(outcome) => outcome,
        }
    }
}

impl<V: View> Group<V> {
    /// One that is judged against `held`, and by `recent` if that knows what is in it.
    pub(crate) fn new(held: Arc<Held<V>>, now: Timestamp, recent: Option<Arc<Recent>>) -> Self {
        Group {
            header: held.header,
            held,
            now,
            recent,
            learnt: Vec::new(),
            writes: WriteSet::new(),
            sets: Vec::new(),
            commits: 0,
            conflicts: 0,
            expired: 0,
        }
    }

    /// Whether there is nothing to commit. A batch that changed nothing still used up a revision.
    pub(crate) fn is_idle(&self) -> bool {
        self.writes.is_empty() && self.header.revision == self.held.header.revision
    }

    /// Reads what this commit writes under a key, else what the view holds there.
    pub(crate) fn read<T>(
        &self,
        space: Keyspace,
        key: &[u8],
        mut decode: impl FnMut(&[u8]) -> Result<T>,
    ) -> Result<Option<T>> {
        if let Some(written) = self.writes.get(space, key)
            && !planted("judged-by-view")
        {
            return written.map(decode).transpose();
        }
        let mut decoded = None;
        self.held
            .view
            .get(space, key, &mut |bytes| decoded = Some(decode(bytes)))?;
        decoded.transpose()
    }

    /// The entry under `key` without its value, from memory if it is there.
    pub(crate) fn facts(&self, key: &[u8]) -> Result<Option<Facts>> {
        if self.writes.get(Keyspace::Data, key).is_none()
            && let Some(recent) = &self.recent
            && let Some(stored) = recent.find(recent.mark(key))
        {
            return Ok(match stored {
                Stored::Entry(facts) => Some(facts),
                Stored::Nothing => None,
            });
        }
        self.read(Keyspace::Data, key, |record| {
            DataRecord::decode(key, record).map(|record| record.facts())
        })
    }

    fn learn(&mut self, key: &[u8], stored: Stored) {
        if let Some(recent) = &self.recent {
            self.learnt.push((recent.mark(key), stored));
        }
    }

    /// Judges one batch and takes its writes in. A failure leaves everything as it was.
    pub(crate) fn judge(&mut self, batch: &WriteBatch, fingerprint: Option<&Fingerprint>) -> Result<Verdict> {
        if let Some(outcome) = self.known(batch, fingerprint)? {
            return Ok(Verdict::Known(outcome));
        }
        let outcome = match judge(batch.preconditions(), self)? {
            Some(conflict) => {
                self.conflicts += 1;
                Outcome::Rejected(conflict)
            }
            None if batch.mutations().is_empty() => Outcome::Committed(self.header.revision),
            None => {
                let effects = effects(batch.mutations(), self)?;
                if let Some(revision) = batch.raised_to() {
                    self.raise_to(revision)?;
                }
                let revision = self.next_revision()?;
                self.take_in(effects, revision);
                self.commits += 1;
                Outcome::Committed(revision)
            }
        };
        if let (Some(id), Some(fingerprint)) = (batch.id(), fingerprint)
            && !planted("request-forgotten")
        {
            let remembered = Remembered {
                sequence: self.header.next_request,
                time: self.now,
                fingerprint: *fingerprint,
                outcome,
            };
            self.header.next_request += 1;
            let record = remembered.encode(id);
            self.writes
                .put(Keyspace::Meta, request_key(id.as_bytes()), record);
            let order = order_key(remembered.sequence).to_vec();
            self.writes.put(Keyspace::Meta, order, id.as_bytes().to_vec());
            return Ok(Verdict::New(remembered.outcome));
        }
        Ok(if batch.mutations().is_empty() || !outcome.is_committed() {
            Verdict::Idle(outcome)
        } else {
            Verdict::New(outcome)
        })
    }

    fn known(&self, batch: &WriteBatch, fingerprint: Option<&Fingerprint>) -> Result<Option<Outcome>> {
        let (Some(id), Some(fingerprint)) = (batch.id(), fingerprint) else {
            return Ok(None);
        };
        let remembered = self.read(Keyspace::Meta, &request_key(id.as_bytes()), |bytes| {
            Remembered::decode(id.as_bytes(), bytes)
        })?;
        match remembered {
            None => Ok(None),
            Some(first) if first.fingerprint == *fingerprint || planted("request-unread") => {
                Ok(Some(first.outcome))
            }
            Some(_) => Err(Error::conflict(
                "the request id was used for another batch; give each batch an id of its own",
            )),
        }
    }

    fn next_revision(&mut self) -> Result<Revision> {
        let next = self.header.revision.next();
        if next == Revision::MAX {
            return Err(Error::full("the store has used up its revisions"));
        }
        self.header.revision = next;
        Ok(next)
    }

    fn take_in(&mut self, effects: Vec<Effect<'_>>, revision: Revision) {
        let changes = effects
            .into_iter()
            .map(|effect| Change {
                key: effect.key.clone(),
                kind: self.take_in_one(effect, revision),
            })
            .collect();
        self.take_in_changes(ChangeSet { revision, changes });
    }

    fn take_in_one(&mut self, effect: Effect<'_>, revision: Revision) -> ChangeKind {
        let Effect { key, before, after } = effect;
        let bytes = key.as_bytes();
        if let Some(before) = before {
            let kept = match &after {
                After::Removed => None,
                After::Written { deadline, .. } => *deadline,
            };
            self.remove_deadline(before.deadline, kept, bytes);
            if !planted("overwrite-counted") {
                self.header.entries = self.header.entries.saturating_sub(1);
            }
            self.header.bytes = self.header.bytes.saturating_sub(before.bytes);
            self.expired += u64::from(before.expired);
        }
        let After::Written { value, deadline } = after else {
            self.writes.delete(Keyspace::Data, bytes.to_vec());
            self.learn(bytes, Stored::Nothing);
            let expired = before.is_some_and(|before| before.expired);
            return if expired {
                ChangeKind::Expired
            } else {
                ChangeKind::Delete
            };
        };
        self.header.entries += 1;
        self.header.bytes += data_record_bytes(bytes, &value);
        if let Some(deadline) = deadline
            && !planted("deadline-unindexed")
        {
            self.writes
                .put(Keyspace::Expiry, expiry_key(deadline, bytes), Vec::new());
        }
        let record = DataRecord {
            revision,
            deadline,
            value: &value,
        };
        self.writes
            .put(Keyspace::Data, bytes.to_vec(), encode_data(bytes, &record));
        self.learn(bytes, Stored::Entry(record.facts()));
        ChangeKind::Put
    }

    fn remove_deadline(&mut self, old: Option<Timestamp>, new: Option<Timestamp>, key: &[u8]) {
        if let Some(old) = old
            && Some(old) != new
            && !planted("old-deadline-kept")
        {
            self.writes.delete(Keyspace::Expiry, expiry_key(old, key));
        }
    }

    fn take_in_changes(&mut self, mut set: ChangeSet) {
        if planted("last-change-dropped") {
            set.changes.pop();
        }
        if set.changes.is_empty() {
            return;
        }
        let key = change_key(set.revision).to_vec();
        self.writes.put(Keyspace::Changes, key, encode_changes(&set));
        self.header.change_sets += 1;
        match split(&mut set) {
            None => self.sets.push(set),
            Some(rest) => self.sets.extend([set, rest]),
        }
    }

    /// Removes entries that are past their deadline, as one batch of its own.
    pub(crate) fn expire(&mut self, expired: Vec<(Timestamp, Key, u64)>) -> Result<()> {
        if expired.is_empty() {
            return Ok(());
        }
        let revision = self.next_revision()?;
        let mut changes = Vec::with_capacity(expired.len());
        for (deadline, key, bytes) in expired {
            self.writes.delete(Keyspace::Data, key.as_bytes().to_vec());
            if !planted("recent-unswept") {
                self.learn(key.as_bytes(), Stored::Nothing);
            }
            self.writes
                .delete(Keyspace::Expiry, expiry_key(deadline, key.as_bytes()));
            self.header.entries = self.header.entries.saturating_sub(1);
            self.header.bytes = self.header.bytes.saturating_sub(bytes);
            self.expired += 1;
            changes.push(Change {
                key,
                kind: ChangeKind::Expired,
            });
        }
        changes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        if !planted("sweep-untold") {
            self.take_in_changes(ChangeSet { revision, changes });
        }
        Ok(())
    }
}

impl<V: View> Lookup for Group<V> {
    fn revision_of(&mut self, key: &Key) -> Result<Option<Revision>> {
        let facts = self.facts(key.as_bytes())?;
        let visible = facts.filter(|facts| !facts.is_expired(self.now) || planted("expired-present"));
        Ok(visible.map(|facts| facts.revision))
    }

    fn count(&mut self, range: &KeyRange, enough: u64) -> Result<u64> {
        let mut count = Count {
            now: self.now,
            entries: 0,
            enough,
            failure: None,
        };
        if enough == 0 || range.is_empty() {
            return Ok(0);
        }
        let mut written = self
            .writes
            .range(Keyspace::Data, range.start(), range.end())
            .peekable();
        self.held.view.scan(
            Keyspace::Data,
            range.start(),
            range.end(),
            Direction::Forward,
            &mut |key, record| {
                while let Some((earlier, record)) = written.next_if(|(other, _)| *other < key) {
                    count.see(earlier, record)?;
                }
                match written.next_if(|(other, _)| *other == key) {
                    Some((_, replaced)) => count.see(key, replaced),
                    None => count.see(key, Some(record)),
                }
            },
        )?;
        for (key, record) in written {
            if count.see(key, record).is_break() {
                break;
            }
        }
        count.failure.map_or(Ok(count.entries), Err)
    }
}

/// Counts visible entries up to `enough`.
struct Count {
    now: Timestamp,
    entries: u64,
    enough: u64,
    failure: Option<Error>,
}

impl Count {
    fn see(&mut self, key: &[u8], record: Option<&[u8]>) -> ControlFlow<()> {
        if self.failure.is_some() || self.entries >= self.enough {
            return ControlFlow::Break(());
        }
        let Some(record) = record else {
            return ControlFlow::Continue(());
        };
        match DataRecord::decode(key, record) {
            Ok(record) => self.entries += u64::from(!record.is_expired(self.now)),
            Err(error) => self.failure = Some(error),
        }
        if self.failure.is_some() || self.entries >= self.enough {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
