//! Reading everything, and comparing it with everything else.

use std::ops::ControlFlow;
use std::sync::Arc;

use stead_core::{CheckReport, Direction, Error, Key, Result, Timestamp};

use crate::format::{
    DataRecord, HEADER_KEY, Header, ORDER_PREFIX, REQUEST_PREFIX, Remembered, change_key_revision,
    data_record_bytes, decode_changes, expiry_key, order_key, order_key_sequence, request_key,
    split_expiry_key,
};
use crate::shared::Shared;
use crate::view::{Held, read_header};
use crate::{Engine, Keyspace, View};

/// How often progress is told, in records.
const TELL_EVERY: u64 = 1024;

pub(crate) fn check<E: Engine>(
    shared: &Shared<E>,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<CheckReport> {
    let held: Arc<Held<E::View>> = shared.view()?;
    let closed = || shared.current.read().held.is_none();
    let mut check = Check {
        view: &held.view,
        header: held.header,
        closed: &closed,
        progress,
        records: 0,
        failure: None,
    };
    check.meta()?;
    check.data()?;
    check.expiry()?;
    check.changes()?;
    check.history()?;
    let records = check.records;
    progress(records);
    let engine = shared.engine.read();
    engine.as_ref().ok_or_else(Error::closed)?.check()?;
    Ok(CheckReport::new(held.header.entries, records))
}

/// Looks at one record.
type Look<'a, V> = dyn FnMut(&V, &[u8], &[u8]) -> Result<()> + 'a;

struct Check<'a, V> {
    view: &'a V,
    header: Header,
    closed: &'a dyn Fn() -> bool,
    progress: &'a (dyn Fn(u64) + Send + Sync),
    records: u64,
    failure: Option<Error>,
}

impl<V: View> Check<'_, V> {
    /// Goes through a keyspace, telling progress, until a record does not fit.
    fn each(&mut self, space: Keyspace, look: &mut Look<'_, V>) -> Result<()> {
        let view = self.view;
        view.scan(space, &[], None, Direction::Forward, &mut |key, record| {
            self.records += 1;
            if self.records.is_multiple_of(TELL_EVERY) {
                (self.progress)(self.records);
                // The close waits for those who read.
                if (self.closed)() {
                    self.failure = Some(Error::closed());
                    return ControlFlow::Break(());
                }
            }
            match look(view, key, record) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    self.failure = Some(error.with("keyspace", space));
                    ControlFlow::Break(())
                }
            }
        })?;
        self.failure.take().map_or(Ok(()), Err)
    }

    fn meta(&mut self) -> Result<()> {
        if read_header(self.view)? != Some(self.header) {
            return Err(Error::corrupt(
                "the header is not the one that was committed last",
            ));
        }
        let header = self.header;
        let mut requests = 0;
        let mut orders = 0;
        self.each(Keyspace::Meta, &mut |view, key, record| match key.split_first() {
            _ if key == HEADER_KEY => Ok(()),
            Some((&REQUEST_PREFIX, id)) => {
                requests += 1;
                let remembered = Remembered::decode(id, record)?;
                let order = order_key(remembered.sequence);
                let same = value_is(view, Keyspace::Meta, &order, |bytes| bytes == id)?;
                fits(same, "a remembered request is not in the order of requests")
            }
            Some((&ORDER_PREFIX, _)) => {
                orders += 1;
                let sequence = order_key_sequence(key)
                    .filter(|sequence| (header.first_request..header.next_request).contains(sequence));
                fits(
                    sequence.is_some(),
                    "a request stands outside the order of requests",
                )?;
                let known = value_is(view, Keyspace::Meta, &request_key(record), |_| true)?;
                fits(known, "the order of requests names one that is not remembered")
            }
            _ => Err(Error::corrupt("an unknown record")),
        })?;
        let wanted = header.next_request - header.first_request;
        fits(
            requests == wanted && orders == wanted,
            "the number of remembered requests is not what the header says",
        )
    }

    fn data(&mut self) -> Result<()> {
        let header = self.header;
        let (mut entries, mut bytes) = (0, 0);
        self.each(Keyspace::Data, &mut |view, key, record| {
            Key::from_encoded(key)?;
            let record = DataRecord::decode(key, record)?;
            entries += 1;
            bytes += data_record_bytes(key, record.value);
            fits(
                record.revision <= header.revision,
                "an entry is of a revision that was never committed",
            )?;
            let Some(deadline) = record.deadline else {
                return Ok(());
            };
            let indexed = value_is(
                view,
                Keyspace::Expiry,
                &expiry_key(deadline, key),
                <[u8]>::is_empty,
            )?;
            fits(indexed, "an entry's deadline is not in the index of deadlines")
        })?;
        fits(
            entries == header.entries && bytes == header.bytes,
            "the number of entries or bytes is not what the header says",
        )
    }

    fn expiry(&mut self) -> Result<()> {
        self.each(Keyspace::Expiry, &mut |view, index, _| {
            let (deadline, key) = split_expiry_key(index)
                .ok_or_else(|| Error::corrupt("malformed key in the index of deadlines"))?;
            let mut found: Option<Option<Timestamp>> = None;
            let mut failure = None;
            view.get(
                Keyspace::Data,
                key,
                &mut |record| match DataRecord::decode(key, record) {
                    Ok(record) => found = Some(record.deadline),
                    Err(error) => failure = Some(error),
                },
            )?;
            failure.map_or(Ok(()), Err)?;
            fits(
                found == Some(Some(deadline)),
                "the index of deadlines names an entry that has no such deadline",
            )
        })
    }

    fn changes(&mut self) -> Result<()> {
        let header = self.header;
        let mut sets = 0;
        self.each(Keyspace::Changes, &mut |_, key, record| {
            let revision = change_key_revision(key)?;
            let set = decode_changes(revision, record)?;
            sets += 1;
            let in_order = set.changes.windows(2).all(|pair| pair[0].key < pair[1].key);
            fits(
                in_order && !set.changes.is_empty(),
                "a change set is not in order",
            )?;
            fits(
                header.floor < revision && revision <= header.revision,
                "a change set lies outside the log",
            )
        })?;
        fits(
            sets == header.change_sets,
            "the number of change sets is not what the header says",
        )
    }

    fn history(&mut self) -> Result<()> {
        self.each(Keyspace::History, &mut |_, _, _| {
            Err(Error::corrupt("a record where this format has none"))
        })
    }
}

fn fits(holds: bool, otherwise: &'static str) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::corrupt(otherwise))
    }
}

fn value_is<V: View>(
    view: &V,
    space: Keyspace,
    key: &[u8],
    mut test: impl FnMut(&[u8]) -> bool,
) -> Result<bool> {
    let mut holds = false;
    view.get(space, key, &mut |bytes| holds = test(bytes))?;
    Ok(holds)
}
