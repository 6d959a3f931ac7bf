//! How old a backup is, by clocks that may have jumped.

use std::time::Duration;

use super::plan::Candidate;

/// How many other pauses have to be like one before it counts.
const LIKE_IT: usize = 2;
/// How many times as long, or as short, another pause may be and still be like one.
const ALIKE: u64 = 4;

/// Whether the time between two backups makes the older ones older.
///
/// Ages are measured from the newest backup, never from now: as long as no backup is made, none grows older.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pauses {
    /// A pause counts when at least two others among the backups were like it: a quarter to four times as long. So a clock
    /// that jumps forward evicts nothing, not even when a backup is made before it is set right; and after a year
    /// without backups the first new one does not evict all others. With fewer than four backups nothing has an age.
    #[default]
    Doubt,
    /// Every pause counts. A clock that jumped forward evicts by age what it finds, as soon as a backup is made.
    Count,
}

/// The ages of `newest_first`, in their order.
pub(super) fn ages(newest_first: &[&Candidate], pauses: Pauses) -> Vec<Duration> {
    let found: Vec<Pause> = newest_first
        .windows(2)
        .map(|pair| Pause::between(pair[1], pair[0]))
        .collect();
    let mut age_ms = 0u64;
    let mut ages = Vec::with_capacity(newest_first.len());
    ages.extend(newest_first.first().map(|_| Duration::ZERO));
    for (index, pause) in found.iter().enumerate() {
        if pauses == Pauses::Count || pause.is_usual(index, &found) {
            age_ms = age_ms.saturating_add(pause.length_ms);
        }
        ages.push(Duration::from_millis(age_ms));
    }
    ages
}

/// The time between two backups that are neighbours now. Others may have been between them.
#[derive(Clone, Copy)]
struct Pause {
    length_ms: u64,
    /// The mean pause between those that were made in that time.
    mean_ms: u64,
}

impl Pause {
    fn between(older: &Candidate, newer: &Candidate) -> Self {
        // A clock that was set back in between makes it zero.
        let length_ms = newer
            .created
            .as_millis()
            .saturating_sub(older.created.as_millis());
        let steps = newer.id.saturating_sub(older.id).max(1);
        Pause {
            length_ms,
            mean_ms: length_ms / steps,
        }
    }

    /// Means of pauses that others were forgotten from are likened, and their whole length must not be longer either: so
    /// what was doubted before a prune is doubted after it.
    fn is_usual(&self, index: usize, all: &[Pause]) -> bool {
        let is_like = |other: &Pause| {
            other.mean_ms.saturating_mul(ALIKE) >= self.mean_ms
                && other.length_ms <= self.mean_ms.saturating_mul(ALIKE)
        };
        // Those nearby are the likeliest: the search ends early.
        let (newer, older) = (all[..index].iter().rev(), all[index + 1..].iter());
        newer
            .chain(older)
            .filter(|other| is_like(other))
            .nth(LIKE_IT - 1)
            .is_some()
    }
}
