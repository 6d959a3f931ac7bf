//! Which images are built: where the power goes, and what becomes of what was not safe.

use super::dice::Dice;
use super::disk::{Disk, Syncs};
use super::log::{Log, Op};
use super::names::NamesRule;
use super::tree::Tree;
use super::variant::Variant;

/// One image of a recording.
#[derive(Debug)]
pub(crate) struct Image {
    /// Its number in the campaign.
    pub(crate) number: u64,
    /// So many operations of the log have happened.
    pub(crate) position: usize,
    pub(crate) variant: Variant,
    /// The choices of what becomes of each write.
    dice: Dice,
}

impl Image {
    /// What the disk holds afterwards.
    pub(crate) fn build(&mut self, disk: &Disk) -> Tree {
        disk.after(self.variant, &mut self.dice)
    }

    /// Further choices, once the image is built.
    pub(crate) fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }
}

/// The positions of a log at which something is decided.
pub(crate) struct Points {
    first: usize,
    last: usize,
    syncs: Vec<usize>,
    names: Vec<usize>,
    acknowledgements: Vec<usize>,
    /// Positions at which a name may be lost.
    unsafe_names: Vec<usize>,
}

impl Points {
    /// Those of `log` from position `first` on, on a disk that held `base` at its beginning.
    pub(crate) fn of(base: &Tree, log: &Log, first: usize, rule: NamesRule, syncs: Syncs) -> Self {
        let ops = &log.ops;
        let mut points = Points {
            first,
            last: ops.len(),
            syncs: Vec::new(),
            names: Vec::new(),
            acknowledgements: Vec::new(),
            unsafe_names: Vec::new(),
        };
        let mut disk = Disk::new(rule, syncs, base);
        for position in 1..=ops.len() {
            disk.play(ops, position);
            if position < first {
                continue;
            }
            match &ops[position - 1] {
                Op::Sync { .. } | Op::SyncRange { .. } => points.syncs.push(position),
                Op::Acknowledge(_) => points.acknowledgements.push(position),
                Op::Make { .. } | Op::Link { .. } | Op::Rename { .. } | Op::Remove { .. } => {
                    points.names.push(position);
                }
                Op::Write { .. } | Op::SetLen { .. } => {}
            }
            if disk.has_unsafe_names() {
                points.unsafe_names.push(position);
            }
        }
        points
    }

    /// The image of a number. Two of three lie around syncs, acknowledgements and changes of names.
    pub(crate) fn image(&self, seed: u64, number: u64) -> Image {
        let mut dice = Dice::new(seed, number);
        let turn = usize::try_from(number % Variant::ALL.len() as u64).unwrap_or(0);
        let mut variant = Variant::ALL[turn];
        let around = match variant {
            Variant::Entry => &self.unsafe_names,
            _ => match dice.below(6) {
                0 | 1 => &self.syncs,
                2 => &self.acknowledgements,
                3 => &self.names,
                _ => &Vec::new(),
            },
        };
        let position = match dice.pick(around) {
            // A name that may be lost at one position need not be at the next.
            Some(position) if variant == Variant::Entry => *position,
            // Right before it has happened, right after, and a little off.
            Some(position) => (position + dice.below(4)).saturating_sub(2),
            None => self.first + dice.below(self.last - self.first + 1),
        };
        if variant == Variant::Entry && around.is_empty() {
            variant = Variant::Subset;
        }
        Image {
            number,
            position: position.clamp(self.first, self.last),
            variant,
            dice,
        }
    }
}
