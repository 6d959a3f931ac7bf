//! Bytes on the server: records, changes, bounds of ranges, numbers.

use redis::Value;
use stead_core::{Change, ChangeKind, ChangeSet, Entry, Error, Key, KeyRange, Result, Revision, Timestamp};

/// A record is the revision and the deadline, 8 bytes each and big-endian, and the value.
const HEADER: usize = 16;

pub(crate) fn malformed(what: &'static str) -> Error {
    Error::corrupt("the server answered what no script of this version answers; was the store changed by another program?")
        .with("part", what)
}

/// The entry in a record, if there is one.
pub(crate) fn entry(value: &Value) -> Result<Option<Entry>> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) if bytes.is_empty() => Ok(None),
        Value::BulkString(bytes) => entry_of(bytes).map(Some),
        _ => Err(malformed("record")),
    }
}

fn entry_of(bytes: &[u8]) -> Result<Entry> {
    let (revision, rest) = take_u64(bytes).ok_or_else(|| malformed("record"))?;
    let (deadline, value) = take_u64(rest).ok_or_else(|| malformed("record"))?;
    debug_assert_eq!(value.len() + HEADER, bytes.len());
    let deadline = (deadline != u64::MAX).then(|| Timestamp::from_millis(deadline));
    Ok(Entry::new(value, Revision::new(revision), deadline))
}

fn take_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), rest))
}

/// The halves of a time, as scripts take them: they count in floating point.
pub(crate) fn halves(now: Timestamp) -> [String; 2] {
    let now = now.as_millis();
    [(now >> 32).to_string(), (now & 0xffff_ffff).to_string()]
}

/// Text or a number of an answer, as a number.
pub(crate) fn number(value: &Value) -> Result<u64> {
    let number = match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::BulkString(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    number.ok_or_else(|| malformed("number"))
}

pub(crate) fn bytes(value: &Value) -> Result<&[u8]> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.as_bytes()),
        _ => Err(malformed("bytes")),
    }
}

/// What a script answered: its first word, and the rest.
pub(crate) fn answer(value: Value) -> Result<(Vec<u8>, std::vec::IntoIter<Value>)> {
    let Value::Array(parts) = value else {
        return Err(malformed("answer"));
    };
    let mut parts = parts.into_iter();
    match parts.next() {
        Some(Value::BulkString(word)) => Ok((word, parts)),
        Some(Value::SimpleString(word)) => Ok((word.into_bytes(), parts)),
        _ => Err(malformed("answer")),
    }
}

pub(crate) fn next(parts: &mut std::vec::IntoIter<Value>) -> Result<Value> {
    parts.next().ok_or_else(|| malformed("answer"))
}

/// The bounds of a range as the server's index takes them, lower one first.
pub(crate) fn bounds(range: &KeyRange) -> (Vec<u8>, Vec<u8>) {
    let from = match range.start() {
        [] => b"-".to_vec(),
        start => joined(b'[', start),
    };
    let to = range.end().map_or_else(|| b"+".to_vec(), |end| joined(b'(', end));
    (from, to)
}

/// The bounds of a range in the index of replaced records, where keys are escaped.
pub(crate) fn history_bounds(range: &KeyRange) -> (Vec<u8>, Vec<u8>) {
    let from = match range.start() {
        [] => b"-".to_vec(),
        start => joined(b'[', &escaped(start)),
    };
    let to = range
        .end()
        .map_or_else(|| b"+".to_vec(), |end| joined(b'(', &escaped(end)));
    (from, to)
}

pub(crate) fn joined(mark: u8, bytes: &[u8]) -> Vec<u8> {
    let mut bound = Vec::with_capacity(bytes.len() + 1);
    bound.push(mark);
    bound.extend_from_slice(bytes);
    bound
}

fn escaped(key: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(key.len() + 2);
    for byte in key {
        escaped.push(*byte);
        if *byte == 0 {
            escaped.push(0xff);
        }
    }
    escaped
}

/// An entry of the log: the revision of the change set before, and the change set.
pub(crate) fn logged(value: Value) -> Result<(Revision, ChangeSet)> {
    let wrong = || malformed("log");
    let Value::Array(parts) = value else {
        return Err(wrong());
    };
    let [id, Value::Array(fields)] = &parts[..] else {
        return Err(wrong());
    };
    let id = bytes(id)?;
    let end = id.iter().position(|byte| *byte == b'-').ok_or_else(wrong)?;
    let revision = text_number(&id[..end]).ok_or_else(wrong)?;
    let [_, previous, _, packed] = &fields[..] else {
        return Err(wrong());
    };
    let mut changes = Vec::new();
    let mut rest = bytes(packed)?;
    while let Some((header, behind)) = rest.split_first_chunk::<3>() {
        let kind = match header[0] {
            1 => ChangeKind::Put,
            2 => ChangeKind::Delete,
            3 => ChangeKind::Expired,
            _ => return Err(wrong()),
        };
        let length = usize::from(u16::from_be_bytes([header[1], header[2]]));
        let (key, behind) = behind.split_at_checked(length).ok_or_else(wrong)?;
        changes.push(Change {
            key: Key::from_encoded(key)?,
            kind,
        });
        rest = behind;
    }
    if !rest.is_empty() {
        return Err(wrong());
    }
    // A sweep removes in the order of deadlines.
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    let set = ChangeSet {
        revision: Revision::new(revision),
        changes,
    };
    Ok((Revision::new(number(previous)?), set))
}

pub(crate) fn text_number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
