//! Reading the records of a chunk where they lie, without making anything of each.

use bytes::Bytes;
use stead_core::{Key, KeyRange, Result, Revision, Timestamp};

use super::{LeafHash, MOST_RECORDS, MOST_WEIGHT, Payload, RECORD_WEIGHT, Record, Shape};
use crate::hash::Hash;
use crate::varint::{Reader, malformed, unzigzag};

/// One record of a chunk, or of elsewhere.
pub(crate) struct Row<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) revision: Revision,
    pub(crate) first: Revision,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) cell: Cell<'a>,
}

/// What there is under a key.
#[derive(Clone, Copy)]
pub(crate) enum Cell<'a> {
    Value(&'a [u8]),
    Deleted,
    Expired,
}

impl<'a> Cell<'a> {
    pub(crate) fn value(self) -> Option<&'a [u8]> {
        match self {
            Cell::Value(value) => Some(value),
            Cell::Deleted | Cell::Expired => None,
        }
    }

    pub(super) fn tag(self) -> u8 {
        match self {
            Cell::Deleted => 0,
            Cell::Expired => 1,
            Cell::Value(_) => 2,
        }
    }
}

/// Where the records of a chunk lie in its content. To be used for one chunk after the other: memory that is fresh from the
/// operating system costs more than what is written to it.
#[derive(Default)]
pub(crate) struct Rows {
    /// The keys, one after the other.
    keys: Vec<u8>,
    places: Vec<Place>,
    /// Where the first value begins.
    values: usize,
}

struct Place {
    /// Behind the last byte of the key, in `keys`.
    key_end: usize,
    revision: Revision,
    first: Revision,
    deadline: Option<Timestamp>,
    /// 0 deleted, 1 expired, else 2 + the length of the value.
    length: usize,
}

impl Rows {
    /// Reads what [`encode`](super::encode) gave.
    ///
    /// # Errors
    ///
    /// `Corrupt` for anything else: keys out of order, or a length that does not fit. Of what `content` claims, no more is
    /// allocated than what it can hold, and the keys of a chunk, which it may write shorter where they share bytes, are no
    /// more than those of a chunk that was cut as it has to be.
    pub(crate) fn decode<'a>(&'a mut self, content: &'a Bytes, shape: Shape) -> Result<Table<'a>> {
        let mut reader = Reader::new(content);
        let count = reader.size()?;
        // Each record takes a byte at least in every column, and weighs something.
        if count > reader.remaining() / 4 || count > MOST_RECORDS {
            return Err(malformed());
        }
        self.keys(&mut reader, count)?;
        let mut revision = 0_u64;
        for place in &mut self.places {
            revision = revision.wrapping_add(unzigzag(reader.number()?).cast_unsigned());
            place.revision = Revision::new(revision);
            place.first = place.revision;
        }
        if shape == Shape::Increment {
            for place in &mut self.places {
                let first = place.revision.get().checked_sub(reader.number()?);
                place.first = Revision::new(first.ok_or_else(malformed)?);
            }
        }
        let mut deadline = 0_u64;
        for place in &mut self.places {
            match reader.number()? {
                0 => {}
                1 => {
                    deadline = deadline.wrapping_add(unzigzag(reader.number()?).cast_unsigned());
                    if deadline == u64::MAX {
                        return Err(malformed());
                    }
                    place.deadline = Some(Timestamp::from_millis(deadline));
                }
                _ => return Err(malformed()),
            }
        }
        let mut bytes = 0_usize;
        for place in &mut self.places {
            place.length = reader.size()?;
            if place.length < 2 && place.deadline.is_some() {
                return Err(malformed());
            }
            bytes = bytes
                .checked_add(place.length.saturating_sub(2))
                .ok_or_else(malformed)?;
        }
        if reader.remaining() != bytes {
            return Err(malformed());
        }
        self.values = content.len() - bytes;
        Ok(Table { rows: self, content })
    }

    /// Bytes of memory that are held.
    pub(crate) fn memory(&self) -> usize {
        self.keys.capacity() + self.places.capacity() * size_of::<Place>()
    }

    fn keys(&mut self, reader: &mut Reader<'_>, count: usize) -> Result<()> {
        self.keys.clear();
        self.places.clear();
        self.places.reserve(count);
        let (mut weight, mut before) = (0, 0..0);
        for _ in 0..count {
            if weight >= MOST_WEIGHT {
                return Err(malformed());
            }
            let (shared, suffix) = (reader.size()?, reader.size()?);
            if shared > before.len() {
                return Err(malformed());
            }
            let start = self.keys.len();
            self.keys.extend_from_within(before.start..before.start + shared);
            self.keys.extend_from_slice(reader.bytes(suffix)?);
            let key = &self.keys[start..];
            Key::check_encoded(key).map_err(|_| malformed())?;
            if !self.places.is_empty() && &self.keys[before] >= key {
                return Err(malformed());
            }
            weight += key.len() + RECORD_WEIGHT;
            before = start..self.keys.len();
            self.places.push(Place {
                key_end: before.end,
                revision: Revision::ZERO,
                first: Revision::ZERO,
                deadline: None,
                length: 0,
            });
        }
        Ok(())
    }
}

/// The records of a chunk, read.
pub(crate) struct Table<'a> {
    rows: &'a Rows,
    content: &'a Bytes,
}

impl<'a> Table<'a> {
    pub(crate) fn len(&self) -> usize {
        self.rows.places.len()
    }

    /// The first and the last key.
    pub(crate) fn bounds(&self) -> Option<(&'a [u8], &'a [u8])> {
        let ([first, ..], [.., last]) = (&self.rows.places[..], &self.rows.places[..]) else {
            return None;
        };
        let before = self.rows.places.iter().rev().nth(1);
        let keys = &self.rows.keys;
        let last_start = before.map_or(0, |before| before.key_end);
        Some((&keys[..first.key_end], &keys[last_start..last.key_end]))
    }

    /// The records in the order of their keys.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'a>> {
        let (rows, content) = (self.rows, self.content);
        let (mut key_start, mut value_start) = (0, rows.values);
        rows.places.iter().map(move |place| {
            let key = &rows.keys[key_start..place.key_end];
            key_start = place.key_end;
            let cell = match place.length {
                0 => Cell::Deleted,
                1 => Cell::Expired,
                length => {
                    let value = &content[value_start..value_start + (length - 2)];
                    value_start += value.len();
                    Cell::Value(value)
                }
            };
            Row {
                key,
                revision: place.revision,
                first: place.first,
                deadline: place.deadline,
                cell,
            }
        })
    }

    /// The leaf of the Merkle tree.
    pub(crate) fn digest(&self) -> Hash {
        let mut hash = LeafHash::new();
        for row in self.rows() {
            hash.add_row(&row);
        }
        hash.finish()
    }

    /// The records whose keys are in `range`. Their values are parts of the content of the chunk.
    ///
    /// # Errors
    ///
    /// None that [`Rows::decode`] did not find.
    pub(crate) fn records(&self, range: &KeyRange) -> Result<Vec<Record>> {
        let within = |key| range.contains_encoded(key);
        let all = self
            .bounds()
            .is_some_and(|(first, last)| within(first) && within(last));
        let wanted = match all {
            true => self.len(),
            false => self.rows().filter(|row| within(row.key)).count(),
        };
        let mut records = Vec::with_capacity(wanted);
        if wanted == 0 {
            return Ok(records);
        }
        let mut end = self.rows.values;
        for row in self.rows() {
            let start = end;
            end += row.cell.value().map_or(0, <[u8]>::len);
            if !all && !within(row.key) {
                continue;
            }
            records.push(Record {
                key: Key::from_encoded(row.key)?,
                revision: row.revision,
                first: row.first,
                deadline: row.deadline,
                payload: match row.cell {
                    Cell::Value(_) => Payload::Value(self.content.slice(start..end)),
                    Cell::Deleted => Payload::Deleted,
                    Cell::Expired => Payload::Expired,
                },
            });
        }
        Ok(records)
    }
}

/// All records of a chunk.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn decode(content: &[u8], shape: Shape) -> Result<Vec<Record>> {
    let content = Bytes::copy_from_slice(content);
    Rows::default().decode(&content, shape)?.records(&KeyRange::all())
}
