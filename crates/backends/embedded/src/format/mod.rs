//! The bytes on disk, as docs/src/formats/embedded.md describes them. Nothing else reads or writes record bytes.

mod changes;
mod checksums;
mod data;
mod header;
mod reader;
mod request;

pub(crate) use changes::{change_key, change_key_revision, decode_changes, encode_changes};
pub(crate) use checksums::Checksums;
pub(crate) use data::{DataRecord, counted_bytes, data_record_bytes, encode_data};
pub(crate) use header::{HEADER_KEY, Header};
pub(crate) use reader::Reader;
pub(crate) use request::{
    ORDER_PREFIX, REQUEST_PREFIX, Remembered, order_key, order_key_sequence, request_key,
};

use stead_core::Timestamp;

/// The version of the format, of the whole store and of each record.
pub(crate) const FORMAT_VERSION: u16 = 1;

/// The upper half of the first byte of each record.
const RECORD_VERSION: u8 = 0x10;

/// CRC-32 (IEEE) over several pieces.
fn checksum(pieces: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for piece in pieces {
        hasher.update(piece);
    }
    hasher.finalize()
}

/// The key of an entry in the expiry keyspace.
pub(crate) fn expiry_key(deadline: Timestamp, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + key.len());
    bytes.extend_from_slice(&deadline.as_millis().to_be_bytes());
    bytes.extend_from_slice(key);
    bytes
}

/// The deadline and the entry's key of a key in the expiry keyspace.
pub(crate) fn split_expiry_key(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (deadline, key) = bytes.split_first_chunk::<8>()?;
    Some((Timestamp::from_millis(u64::from_be_bytes(*deadline)), key))
}

/// The first key in the expiry keyspace of an entry that lives beyond `now`, or `None` at the end of time.
pub(crate) fn expiry_end(now: Timestamp) -> Option<Vec<u8>> {
    let next = now.as_millis().checked_add(1)?;
    Some(next.to_be_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_keys_sort_by_deadline() {
        let early = expiry_key(Timestamp::from_millis(255), b"z");
        let late = expiry_key(Timestamp::from_millis(256), b"a");
        assert!(early < late);
        assert_eq!(
            split_expiry_key(&late),
            Some((Timestamp::from_millis(256), &b"a"[..]))
        );
        assert_eq!(split_expiry_key(b"short"), None);
        let end = expiry_end(Timestamp::from_millis(255)).unwrap();
        assert!(early < end && end < late);
        assert_eq!(expiry_end(Timestamp::MAX), None);
    }
}
