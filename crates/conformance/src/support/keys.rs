//! Keys and ranges of cases.

use std::ops::Bound;

use stead_core::{Expiry, Key, KeyRange, Partition, Timestamp, Ttl};

/// The partition that most cases work in.
pub(crate) const HOME: &str = "case";

pub(crate) fn partition(name: impl AsRef<[u8]>) -> Partition {
    Partition::new(name).expect("cases name valid partitions")
}

/// A key of the home partition.
pub(crate) fn key(path: impl AsRef<[u8]>) -> Key {
    key_in(HOME, path)
}

pub(crate) fn key_in(partition_name: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Key {
    Key::new(&partition(partition_name), path).expect("cases name valid paths")
}

/// All of the home partition.
pub(crate) fn home() -> KeyRange {
    KeyRange::partition(&partition(HOME))
}

/// What starts with `path` in the home partition.
pub(crate) fn prefix(path: impl AsRef<[u8]>) -> KeyRange {
    KeyRange::prefix(&partition(HOME), path).expect("cases name valid prefixes")
}

/// From `start` (included) to `end` (excluded) in the home partition.
pub(crate) fn between(start: &str, end: &str) -> KeyRange {
    paths(Bound::Included(start), Bound::Excluded(end))
}

pub(crate) fn paths(start: Bound<&str>, end: Bound<&str>) -> KeyRange {
    KeyRange::paths(&partition(HOME), start.map(str::as_bytes), end.map(str::as_bytes))
        .expect("cases name valid bounds")
}

/// To live for so many milliseconds.
pub(crate) fn after(millis: u64) -> Expiry {
    Expiry::After(Ttl::from_millis(millis).expect("cases name valid lifetimes"))
}

/// The point `millis` milliseconds after `start`.
pub(crate) fn later(start: Timestamp, millis: u64) -> Timestamp {
    Timestamp::from_millis(start.as_millis() + millis)
}

/// A path that sorts as its number does.
pub(crate) fn nth(number: usize) -> String {
    format!("k{number:06}")
}
