//! Records of change sets.

use stead_core::{Change, ChangeKind, ChangeSet, Error, Key, Result, Revision};

use super::reader::{push_short, seal, verified};
use super::{RECORD_VERSION, Reader};

/// The key of a change set.
pub(crate) fn change_key(revision: Revision) -> [u8; 8] {
    revision.get().to_be_bytes()
}

/// The revision of a change set's key.
///
/// # Errors
///
/// `Corrupt` when it is no such key.
pub(crate) fn change_key_revision(key: &[u8]) -> Result<Revision> {
    let bytes: [u8; 8] = key
        .try_into()
        .map_err(|_| Error::corrupt("malformed key in the change log").with("length_bytes", key.len()))?;
    Ok(Revision::new(u64::from_be_bytes(bytes)))
}

/// The record of a change set.
pub(crate) fn encode_changes(set: &ChangeSet) -> Vec<u8> {
    let keys: usize = set
        .changes
        .iter()
        .map(|change| 3 + change.key.as_bytes().len())
        .sum();
    let mut out = Vec::with_capacity(9 + keys);
    out.push(RECORD_VERSION);
    let count = u32::try_from(set.changes.len()).expect("a batch has far fewer than 2^32 changes");
    out.extend_from_slice(&count.to_be_bytes());
    for change in &set.changes {
        out.push(match change.kind {
            ChangeKind::Put => 1,
            ChangeKind::Delete => 2,
            ChangeKind::Expired => 3,
        });
        push_short(&mut out, change.key.as_bytes());
    }
    seal(&change_key(set.revision), out)
}

/// Reads the change set of `revision`.
///
/// # Errors
///
/// `Corrupt` when these are not the bytes that were written there.
pub(crate) fn decode_changes(revision: Revision, bytes: &[u8]) -> Result<ChangeSet> {
    parse(revision, bytes).ok_or_else(|| {
        Error::corrupt("a change set is not what was written; restore the store from a backup")
            .with("revision", revision)
    })
}

fn parse(revision: Revision, bytes: &[u8]) -> Option<ChangeSet> {
    let mut reader = Reader::new(verified(&change_key(revision), bytes)?);
    if reader.u8()? != RECORD_VERSION {
        return None;
    }
    let count = reader.u32()?;
    // Each change takes at least five bytes, so a wrong count cannot ask for more memory than the record has.
    let mut changes = Vec::with_capacity((count as usize).min(bytes.len() / 5));
    for _ in 0..count {
        let kind = match reader.u8()? {
            1 => ChangeKind::Put,
            2 => ChangeKind::Delete,
            3 => ChangeKind::Expired,
            _ => return None,
        };
        let key = Key::from_encoded(reader.short()?).ok()?;
        changes.push(Change { key, kind });
    }
    reader.is_empty().then_some(ChangeSet { revision, changes })
}

#[cfg(test)]
mod tests {
    use stead_core::Partition;

    use super::*;

    fn sample() -> ChangeSet {
        let partition = Partition::new("agent:1").unwrap();
        let kinds = [ChangeKind::Put, ChangeKind::Delete, ChangeKind::Expired];
        let changes = kinds.into_iter().enumerate().map(|(index, kind)| Change {
            key: Key::new(&partition, format!("path/{index}")).unwrap(),
            kind,
        });
        ChangeSet {
            revision: Revision::new(9),
            changes: changes.collect(),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let set = sample();
        assert_eq!(decode_changes(set.revision, &encode_changes(&set)).unwrap(), set);
        assert!(change_key(Revision::new(255)) < change_key(Revision::new(256)));
        assert_eq!(
            change_key_revision(&change_key(Revision::new(7))).unwrap(),
            Revision::new(7)
        );
        assert!(change_key_revision(b"short").is_err());
    }

    #[test]
    fn every_flipped_bit_every_cut_and_a_wrong_place_are_found() {
        let set = sample();
        let bytes = encode_changes(&set);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_changes(set.revision, &flipped).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(
                decode_changes(set.revision, &bytes[..length]).is_err(),
                "length {length}"
            );
        }
        assert!(decode_changes(set.revision.next(), &bytes).is_err());
    }
}
