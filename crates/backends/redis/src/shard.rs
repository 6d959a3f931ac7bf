//! Where a partition lives: a shard is a group of Redis keys with one hash tag.

use stead_core::kit::Signal;

/// The hash slots of a Redis Cluster.
pub(crate) const SLOTS: u16 = 16_384;

/// The last part of each key's name, in the order in which scripts take them.
const NAMES: [&str; 11] = ["d", "i", "x", "c", "m", "r", "q", "s", "o", "v", "g"];

/// A group of Redis keys on which one script works at a time.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) slot: u16,
    pub(crate) keys: [String; NAMES.len()],
    /// Where commits are announced.
    pub(crate) channel: String,
    /// Notified when the log may have grown.
    pub(crate) signal: Signal,
}

impl Shard {
    /// The hash of keys and records.
    pub(crate) fn data(&self) -> &str {
        &self.keys[0]
    }

    /// The hash of what the shard knows of itself.
    pub(crate) fn meta(&self) -> &str {
        &self.keys[4]
    }
}

/// The shards of a store. Their slots are spread evenly; the tag of each is the smallest number whose slot lies in the
/// shard's part of them.
pub(crate) fn all(prefix: &str, count: u16) -> Vec<Shard> {
    let mut tags: Vec<Option<(u32, u16)>> = vec![None; usize::from(count)];
    let mut missing = tags.len();
    for number in 0_u32.. {
        if missing == 0 {
            break;
        }
        let slot = slot_of(number.to_string().as_bytes());
        let place = &mut tags[part(slot, count)];
        if place.is_none() {
            *place = Some((number, slot));
            missing -= 1;
        }
    }
    tags.into_iter()
        .flatten()
        .map(|(tag, slot)| Shard {
            slot,
            keys: NAMES.map(|name| format!("{prefix}{{{tag}}}:{name}")),
            channel: format!("{prefix}{{{tag}}}:w"),
            signal: Signal::default(),
        })
        .collect()
}

/// The shard of a partition, among `count`.
pub(crate) fn of_partition(partition: &[u8], count: u16) -> usize {
    match count {
        1 => 0,
        _ => part(slot_of(partition), count),
    }
}

/// The key under which a store is found, and its slot.
pub(crate) fn root(prefix: &str) -> (String, u16) {
    (format!("{prefix}{{root}}"), slot_of(b"root"))
}

/// Which of `count` even parts of the slots holds `slot`.
fn part(slot: u16, count: u16) -> usize {
    usize::from(slot) * usize::from(count) / usize::from(SLOTS)
}

/// The slot that Redis Cluster gives a hash tag: its CRC-16 (XMODEM), modulo the number of slots.
fn slot_of(tag: &[u8]) -> u16 {
    let crc = tag.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => (crc << 1) ^ 0x1021,
        })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // CRC-16/XMODEM of "123456789" is 0x31C3; CLUSTER KEYSLOT foo is 12182.
        assert_eq!(slot_of(b"123456789"), 0x31c3);
        assert_eq!(slot_of(b"foo"), 12_182);
    }

    #[test]
    fn shards_are_spread_evenly_and_named_for_ever() {
        for count in [1, 2, 3, 64, 1_024] {
            let shards = all("p:", count);
            assert_eq!(shards.len(), usize::from(count));
            for (place, shard) in shards.iter().enumerate() {
                assert_eq!(part(shard.slot, count), place);
            }
        }
        assert_eq!(all("p:", 1)[0].data(), "p:{0}:d");
        let tags: Vec<_> = all("p:", 3).iter().map(|shard| shard.data().to_owned()).collect();
        assert_eq!(tags, ["p:{3}:d", "p:{1}:d", "p:{0}:d"]);
    }

    #[test]
    fn partitions_meet_every_shard() {
        let mut hit = [0; 64];
        for number in 0..6_400 {
            hit[of_partition(format!("agent:{number}").as_bytes(), 64)] += 1;
        }
        assert!(hit.iter().all(|hits| (40..200).contains(hits)), "{hit:?}");
    }
}
