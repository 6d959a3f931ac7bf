//! One file on a disk that may lose its power: what is safe, and what is not yet.

use std::collections::HashMap;
use std::sync::Arc;

use super::content::Content;
use super::dice::Dice;
use super::variant::Variant;

/// What a disk writes as a whole at least.
const SECTOR: u64 = 512;

/// A file: its bytes as they are safe, and what was done to it since.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    safe: Content,
    pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
struct Pending {
    /// The position in the log.
    at: usize,
    change: Change,
}

#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write { offset: u64, data: Arc<[u8]> },
    SetLen(u64),
}

impl Change {
    fn apply(&self, content: &mut Content) {
        match self {
            Change::Write { offset, data } => content.write(*offset, data),
            Change::SetLen(len) => content.set_len(*len),
        }
    }

    /// How long a file of `len` bytes is after this.
    fn len_after(&self, len: u64) -> u64 {
        match self {
            Change::Write { offset, data } => len.max(offset + data.len() as u64),
            Change::SetLen(len) => *len,
        }
    }
}

impl File {
    /// A file that safely holds these bytes.
    pub(crate) fn holding(content: Content) -> Self {
        File {
            safe: content,
            pending: Vec::new(),
        }
    }

    pub(crate) fn change(&mut self, at: usize, change: Change) {
        self.pending.push(Pending { at, change });
    }

    /// Makes safe what was done before a position.
    pub(crate) fn sync(&mut self, covers: usize) {
        let count = self.pending.partition_point(|pending| pending.at < covers);
        for pending in self.pending.drain(..count) {
            pending.change.apply(&mut self.safe);
        }
    }

    #[cfg(test)]
    pub(crate) fn is_safe(&self) -> bool {
        self.pending.is_empty()
    }

    /// The file as the disk may hold it when the power comes back.
    pub(crate) fn after(&self, variant: Variant, dice: &mut Dice) -> Content {
        match variant {
            Variant::Dropped => self.safe.clone(),
            Variant::Kept | Variant::Entry => self.newest(),
            Variant::Subset => self.partly(SECTOR, dice, &mut whole),
            Variant::Torn512 => self.partly(SECTOR, dice, &mut torn),
            Variant::Torn4096 => self.partly(4096, dice, &mut torn),
        }
    }

    fn newest(&self) -> Content {
        let mut content = self.safe.clone();
        for pending in &self.pending {
            pending.change.apply(&mut content);
        }
        content
    }

    /// Some of the writes, torn at multiples of `unit`.
    ///
    /// The disk gets a unit as the system's cache holds it at some moment, so a write that is there brings the earlier
    /// ones to the same unit along. The length is metadata, and of some moment too; a truncation that was lost hides
    /// what was written to the room it made.
    fn partly(&self, unit: u64, dice: &mut Dice, fate: &mut dyn FnMut(&mut Dice) -> Fate) -> Content {
        let lengths_kept = match dice.below(4) {
            0 => 0,
            1 => dice.below(self.pending.len() + 1),
            _ => self.pending.len(),
        };
        let fates: Vec<Fate> = self.pending.iter().map(|_| fate(dice)).collect();
        let newest = self.newest_kept(unit, lengths_kept, &fates);
        let mut content = self.safe.clone();
        let mut len = content.len();
        for (number, pending) in self.pending.iter().enumerate() {
            if number < lengths_kept {
                len = pending.change.len_after(len);
            }
            match &pending.change {
                Change::Write { offset, data } => {
                    for (at, piece) in units(unit, *offset, data) {
                        if newest.get(&(at / unit)).is_some_and(|newest| number <= *newest) {
                            content.write(at, piece);
                        }
                    }
                }
                Change::SetLen(len) if number < lengths_kept && *len < content.len() => content.set_len(*len),
                Change::SetLen(_) => {}
            }
        }
        content.set_len(len);
        content
    }

    /// For each unit that has something of them, the last of the writes that are there.
    fn newest_kept(&self, unit: u64, lengths_kept: usize, fates: &[Fate]) -> HashMap<u64, usize> {
        // What was written behind a truncation that was lost lies beyond its length.
        let mut visible = vec![u64::MAX; self.pending.len()];
        let mut hidden_from = u64::MAX;
        for (number, pending) in self.pending.iter().enumerate() {
            visible[number] = hidden_from;
            if let Change::SetLen(len) = pending.change
                && number >= lengths_kept
            {
                hidden_from = hidden_from.min(len);
            }
        }
        let mut newest = HashMap::new();
        for (number, pending) in self.pending.iter().enumerate().rev() {
            let Change::Write { offset, data } = &pending.change else {
                continue;
            };
            for (at, piece) in units(unit, *offset, data) {
                if at + piece.len() as u64 <= visible[number]
                    && fates[number].keeps(at / unit, *offset / unit)
                {
                    newest.entry(at / unit).or_insert(number);
                }
            }
        }
        newest
    }
}

/// What becomes of one write.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Kept,
    Lost,
    /// So many units from its first on.
    Front(u64),
    /// Some of its units, as the number says.
    Scattered(u64),
}

impl Fate {
    fn keeps(self, unit: u64, first: u64) -> bool {
        match self {
            Fate::Kept => true,
            Fate::Lost => false,
            Fate::Front(count) => unit - first < count,
            Fate::Scattered(seed) => Dice::new(seed, unit).coin(),
        }
    }
}

fn whole(dice: &mut Dice) -> Fate {
    if dice.coin() { Fate::Kept } else { Fate::Lost }
}

fn torn(dice: &mut Dice) -> Fate {
    match dice.below(4) {
        0 => Fate::Kept,
        1 => Fate::Lost,
        2 => Fate::Front(1 + dice.below(8) as u64),
        _ => Fate::Scattered(dice.number()),
    }
}

/// Cuts a write at the multiples of `unit` in the file.
fn units(unit: u64, offset: u64, data: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let end = offset + data.len() as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let next = ((at / unit + 1) * unit).min(end);
        let place = |position: u64| usize::try_from(position - offset).unwrap_or(usize::MAX);
        let piece = &data[place(at)..place(next)];
        let from = at;
        at = next;
        Some((from, piece))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn write(file: &mut File, at: usize, offset: u64, data: &[u8]) {
        let data = data.into();
        file.change(at, Change::Write { offset, data });
    }

    fn bytes(content: &Content) -> Vec<u8> {
        let mut all = vec![0; usize::try_from(content.len()).unwrap()];
        content.read(0, &mut all);
        all
    }

    fn outcomes(file: &File, variant: Variant) -> BTreeSet<Vec<u8>> {
        (0..2_000)
            .map(|seed| bytes(&file.after(variant, &mut Dice::new(seed, 0))))
            .collect()
    }

    #[test]
    fn synced_is_there_in_every_variant() {
        let mut file = File::default();
        write(&mut file, 0, 0, b"safe");
        file.sync(1);
        write(&mut file, 2, 4, b"not");
        for variant in Variant::ALL {
            for outcome in outcomes(&file, variant) {
                assert!(outcome.starts_with(b"safe"), "{variant:?} {outcome:?}");
            }
        }
        assert_eq!(outcomes(&file, Variant::Dropped), [b"safe".to_vec()].into());
        assert_eq!(outcomes(&file, Variant::Kept), [b"safenot".to_vec()].into());
    }

    #[test]
    fn sync_covers_only_what_was_done_before_it_began() {
        let mut file = File::default();
        write(&mut file, 0, 0, b"before");
        write(&mut file, 3, 0, b"during");
        file.sync(2);
        assert!(!file.is_safe());
        assert_eq!(outcomes(&file, Variant::Dropped), [b"before".to_vec()].into());
    }

    #[test]
    fn any_subset_of_sectors_and_lengths_but_no_half_sector() {
        let mut file = File::default();
        write(&mut file, 0, 0, &[1; 1024]);
        file.sync(1);
        write(&mut file, 1, 0, &[2; 512]);
        write(&mut file, 2, 512, &[3; 512]);
        let outcomes = outcomes(&file, Variant::Subset);
        let both = |first: u8, second: u8| [[first; 512], [second; 512]].concat();
        assert_eq!(
            outcomes,
            [both(1, 1), both(2, 1), both(1, 3), both(2, 3)]
                .into_iter()
                .collect()
        );
    }

    #[test]
    fn later_write_to_a_sector_brings_the_earlier_one_along() {
        let mut file = File::default();
        write(&mut file, 0, 0, b"ab");
        write(&mut file, 1, 2, b"cd");
        for outcome in outcomes(&file, Variant::Subset) {
            let there: &[u8] = &outcome;
            assert!(
                [&b""[..], b"\0\0", b"ab", b"ab\0\0", b"\0\0\0\0", b"abcd"].contains(&there),
                "{there:?}"
            );
        }
    }

    #[test]
    fn length_may_be_kept_without_bytes_and_lost_with_them() {
        let mut file = File::default();
        write(&mut file, 0, 0, &[7; 512]);
        let outcomes = outcomes(&file, Variant::Subset);
        assert_eq!(
            outcomes,
            [vec![], vec![0; 512], vec![7; 512]].into_iter().collect()
        );
    }

    #[test]
    fn tears_at_the_unit_and_nowhere_else() {
        for (variant, unit) in [(Variant::Torn512, 512), (Variant::Torn4096, 4096)] {
            let mut file = File::default();
            write(&mut file, 0, 0, &[1; 16384]);
            file.sync(1);
            write(&mut file, 1, 100, &[2; 12000]);
            let outcomes = outcomes(&file, variant);
            assert!(outcomes.len() > 4);
            for outcome in outcomes {
                for (number, chunk) in outcome.chunks(unit).enumerate() {
                    let touched = &chunk[if number == 0 { 100 } else { 0 }..];
                    let end = 12_100_usize.saturating_sub(number * unit).min(unit);
                    let touched = &touched[..end.saturating_sub(if number == 0 { 100 } else { 0 })];
                    assert!(
                        touched.windows(2).all(|pair| pair[0] == pair[1]),
                        "{variant:?} {number}"
                    );
                }
            }
        }
    }

    #[test]
    fn lost_truncation_hides_what_was_written_after_it() {
        let mut file = File::default();
        write(&mut file, 0, 0, &[1; 512]);
        file.sync(1);
        file.change(2, Change::SetLen(0));
        write(&mut file, 3, 0, &[2; 512]);
        let outcomes = outcomes(&file, Variant::Subset);
        assert_eq!(
            outcomes,
            [vec![1; 512], vec![], vec![0; 512], vec![2; 512]]
                .into_iter()
                .collect()
        );
    }
}
