//! Numbers of the core as PostgreSQL's signed ones.

use stead_core::{Error, Key, Result, Revision, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

/// Behind every key: a partition has at most 255 bytes, and then comes a NUL.
pub(crate) const BEHIND_ALL: [u8; 256] = [0xff; 256];

/// The number that has the same place among the signed ones: a deadline uses all 64 bits.
pub(crate) fn time_to_sql(time: Timestamp) -> i64 {
    (time.as_millis() ^ (1 << 63)).cast_signed()
}

pub(crate) fn time_from_sql(number: i64) -> Timestamp {
    Timestamp::from_millis(number.cast_unsigned() ^ (1 << 63))
}

/// A revision to compare with. The server never gives one that is too large for it.
pub(crate) fn revision_to_sql(revision: Revision) -> i64 {
    i64::try_from(revision.get()).unwrap_or(i64::MAX)
}

/// A revision, or another number that is never negative.
///
/// # Errors
///
/// `Corrupt` when it is.
pub(crate) fn number_from_sql(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| Error::corrupt("the store holds a negative number where none can be"))
}

pub(crate) fn revision_from_sql(number: i64) -> Result<Revision> {
    number_from_sql(number).map(Revision::new)
}

pub(crate) fn key_from_sql(bytes: &[u8]) -> Result<Key> {
    Key::from_encoded(bytes)
}

/// A column of a row.
///
/// # Errors
///
/// `Corrupt` when it has another type: the schema was changed.
pub(crate) fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(|error| {
        Error::corrupt("the server answers with other columns than the store's schema has").because(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_order() {
        let times = [0, 1, 1 << 62, (1 << 63) - 1, 1 << 63, u64::MAX].map(Timestamp::from_millis);
        for two in times.windows(2) {
            assert!(time_to_sql(two[0]) < time_to_sql(two[1]));
            assert_eq!(time_from_sql(time_to_sql(two[0])), two[0]);
        }
    }
}
