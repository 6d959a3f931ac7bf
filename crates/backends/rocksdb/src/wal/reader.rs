//! The records of one log file, as RocksDB writes them.
//!
//! A file is cut into blocks of 32 KiB. A physical record is a masked CRC-32C (4 bytes), a length (2), a type (1) and
//! the payload; it never crosses a block, so a batch is one record or a first, some middle and a last one. What is left
//! of a block and too small for a header is zeros. A batch begins with its sequence number (8 bytes) and the number of
//! its writes (4); ours go on with a [`Mark`]. All numbers are little-endian.

use super::crc32c;

pub(super) const BLOCK: usize = 32 << 10;
const HEADER: usize = 7;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;
const PREDECESSOR: u8 = 130;

/// Sequence number, number of writes, tag and length of the mark, mark.
const BATCH_FRONT: usize = 8 + 4 + 2 + MARK;
const MARK: usize = 8;
/// The tag of data that is in the log only.
const TAG_LOG_DATA: u8 = 3;

/// Stands in front of each of our batches in the log, and nowhere else: every sequence number up to it was safe on disk
/// when the batch was written. It tells bytes that a crash may have torn from those that it cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) u64);

impl Mark {
    pub(crate) fn encode(self) -> [u8; MARK] {
        self.0.to_le_bytes()
    }
}

/// The front of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) sequence: u64,
    pub(super) writes: u32,
    pub(super) mark: Option<Mark>,
}

impl Batch {
    fn decode(front: &[u8]) -> Option<Self> {
        let (sequence, rest) = front.split_first_chunk::<8>()?;
        let (writes, rest) = rest.split_first_chunk::<4>()?;
        let mark = match rest {
            [TAG_LOG_DATA, length, rest @ ..] if usize::from(*length) == MARK => rest
                .first_chunk::<MARK>()
                .map(|bytes| Mark(u64::from_le_bytes(*bytes))),
            _ => None,
        };
        Some(Batch {
            sequence: u64::from_le_bytes(*sequence),
            writes: u32::from_le_bytes(*writes),
            mark,
        })
    }

    /// The sequence number that the next batch has.
    pub(super) fn next_sequence(&self) -> u64 {
        self.sequence.saturating_add(u64::from(self.writes))
    }

    /// Whether everything before this batch was safe on disk when it was written.
    pub(super) fn follows_its_mark(&self) -> bool {
        self.mark
            .is_some_and(|mark| mark.0.saturating_add(1) == self.sequence)
    }
}

/// What a file says of the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Predecessor {
    pub(super) number: u64,
    pub(super) size_bytes: u64,
    /// The sequence number of its last batch, or 0 if it has none.
    pub(super) last_sequence: u64,
}

impl Predecessor {
    fn decode(payload: &[u8]) -> Option<Self> {
        let (number, rest) = payload.split_first_chunk::<8>()?;
        let (size_bytes, rest) = rest.split_first_chunk::<8>()?;
        let (last_sequence, _) = rest.split_first_chunk::<8>()?;
        Some(Predecessor {
            number: u64::from_le_bytes(*number),
            size_bytes: u64::from_le_bytes(*size_bytes),
            last_sequence: u64::from_le_bytes(*last_sequence),
        })
    }

    /// The whole record, header and payload.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut covered = vec![PREDECESSOR];
        for number in [self.number, self.size_bytes, self.last_sequence] {
            covered.extend(number.to_le_bytes());
        }
        let length = u16::try_from(covered.len() - 1).unwrap_or(u16::MAX);
        let mut record = crc32c::masked(&covered).to_le_bytes().to_vec();
        record.extend(length.to_le_bytes());
        record.extend(covered);
        record
    }
}

/// One whole record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Batch(Batch),
    Predecessor(Predecessor),
}

/// Reads records one after the other.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The file does not go on as it should: torn, damaged, or not a log at all.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    /// The end of the record that was read last.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The sequence number of the batch that begins at the position, though it may not be whole.
    pub(super) fn begun_sequence(&self) -> Option<u64> {
        let at = self.skip_padding(self.at).ok()?;
        let (kind, payload) = physical(self.bytes, at)?;
        let batch = Batch::decode(payload)?;
        (kind == FIRST).then_some(batch.sequence)
    }

    /// The next record, or `None` behind the last one.
    pub(super) fn next(&mut self) -> Result<Option<Record>, Broken> {
        let mut front = Vec::new();
        let mut begun = false;
        let mut at = self.at;
        loop {
            at = self.skip_padding(at)?;
            if at == self.bytes.len() {
                return if begun { Err(Broken) } else { Ok(None) };
            }
            let (kind, payload) = physical(self.bytes, at).ok_or(Broken)?;
            at += HEADER + payload.len();
            match (kind, begun) {
                (FULL | FIRST, false) | (MIDDLE | LAST, true) => {
                    let wanted = BATCH_FRONT - front.len().min(BATCH_FRONT);
                    front.extend_from_slice(&payload[..payload.len().min(wanted)]);
                    begun = true;
                }
                (PREDECESSOR, false) => {
                    self.at = at;
                    let predecessor = Predecessor::decode(payload).ok_or(Broken)?;
                    return Ok(Some(Record::Predecessor(predecessor)));
                }
                _ => return Err(Broken),
            }
            if matches!(kind, FULL | LAST) {
                self.at = at;
                return Batch::decode(&front)
                    .map(|batch| Some(Record::Batch(batch)))
                    .ok_or(Broken);
            }
        }
    }

    /// Behind the zeros that end a block.
    fn skip_padding(&self, at: usize) -> Result<usize, Broken> {
        let left = BLOCK - at % BLOCK;
        if left >= HEADER || at == self.bytes.len() {
            return Ok(at);
        }
        match self.bytes.get(at..at + left) {
            Some(padding) if padding.iter().all(|byte| *byte == 0) => Ok(at + left),
            _ => Err(Broken),
        }
    }
}

/// The type and the payload of the physical record at `at`, if a whole and sound one is there.
fn physical(bytes: &[u8], at: usize) -> Option<(u8, &[u8])> {
    let block_end = bytes.len().min((at / BLOCK + 1) * BLOCK);
    let record = bytes.get(at..block_end)?;
    let (crc, rest) = record.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let covered = rest.get(..1 + usize::from(u16::from_le_bytes(*length)))?;
    let (kind, payload) = covered.split_first()?;
    let sound = matches!(*kind, FULL | FIRST | MIDDLE | LAST | PREDECESSOR)
        && crc32c::masked(covered) == u32::from_le_bytes(*crc);
    sound.then_some((*kind, payload))
}

/// Where the last whole record ends, whatever is in the records.
pub(super) fn whole_records(bytes: &[u8]) -> usize {
    let reader = Reader::new(bytes);
    let (mut at, mut whole, mut begun) = (0, 0, false);
    loop {
        let Ok(next) = reader.skip_padding(at) else {
            return whole;
        };
        let Some((kind, payload)) = physical(bytes, next) else {
            return whole;
        };
        match (kind, begun) {
            (FULL, false) | (LAST, true) => begun = false,
            (FIRST, false) | (MIDDLE, true) => begun = true,
            _ => return whole,
        }
        at = next + HEADER + payload.len();
        if !begun {
            whole = at;
        }
    }
}

/// Whether a sound record begins anywhere behind `at`, other than the pieces of one that begins there.
pub(super) fn is_followed(bytes: &[u8], at: usize) -> bool {
    (at + 1..bytes.len()).any(|at| physical(bytes, at).is_some_and(|(kind, _)| matches!(kind, FULL | FIRST)))
}

/// The batches of ours that begin anywhere from `at` on, whatever lies between them: after damage nobody knows where the
/// next one begins, so every byte is tried.
pub(super) fn batches_after(bytes: &[u8], at: usize) -> impl Iterator<Item = Batch> {
    (at..bytes.len()).filter_map(move |at| {
        // What costs little comes first: the checksum is only computed where a batch of ours may begin.
        let kind = *bytes.get(at + HEADER - 1)?;
        let tag = *bytes.get(at + HEADER + BATCH_FRONT - MARK - 2)?;
        if !matches!(kind, FULL | FIRST) || tag != TAG_LOG_DATA {
            return None;
        }
        let (_, payload) = physical(bytes, at)?;
        Batch::decode(payload).filter(|batch| batch.mark.is_some())
    })
}
