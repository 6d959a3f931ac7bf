//! What policies pick, and how picks are put together.

use std::collections::HashSet;
use std::time::Duration;

use super::contents::Contents;
use super::plan::{Candidate, Lineage};
use super::reason::Reason;

/// The backups that a policy picks from: those that are not from the future.
pub(super) struct Backups<'a> {
    pub(super) newest_first: &'a [&'a Candidate],
    /// In the same order.
    pub(super) ages: Vec<Duration>,
    pub(super) lineage: &'a Lineage<'a>,
    pub(super) contents: &'a Contents,
    /// What is kept whatever the policy picks.
    pub(super) kept_anyway: Vec<u64>,
}

/// Why each backup is picked, the newest first.
pub(super) struct Picks(Vec<Pick>);

#[derive(Clone, Default)]
struct Pick {
    reasons: Vec<Reason>,
    /// Picked even where another policy does not agree.
    is_floor: bool,
}

impl Picks {
    pub(super) fn none(backups: &Backups<'_>) -> Self {
        Picks(vec![Pick::default(); backups.newest_first.len()])
    }

    pub(super) fn pick(&mut self, index: usize, reason: Reason) {
        self.0[index].reasons.push(reason);
    }

    /// Picks the newest `count`, whatever other policies say.
    pub(super) fn floor(&mut self, count: usize) {
        for pick in self.0.iter_mut().take(count) {
            pick.reasons.push(Reason::Minimum);
            pick.is_floor = true;
        }
    }

    /// Picks those that are not older than `length`.
    pub(super) fn within(&mut self, backups: &Backups<'_>, length: Duration) {
        for (pick, age) in self.0.iter_mut().zip(&backups.ages) {
            if *age <= length {
                pick.reasons.push(Reason::Within(length));
            }
        }
    }

    /// Picks the newest that fit into `max_bytes`.
    pub(super) fn size(&mut self, backups: &Backups<'_>, max_bytes: u64) {
        let (mut reached, mut scale) = (HashSet::new(), backups.contents.scale());
        let mut weighed_with = |total: u64, id: u64| {
            let new = backups.lineage.newly_reached(id, &mut reached);
            new.fold(total, |total, one| total.saturating_add(scale.add(one)))
        };
        let anyway = backups.kept_anyway.iter();
        let mut total = anyway.fold(0, |total, id| weighed_with(total, *id));
        for (index, one) in backups.newest_first.iter().enumerate() {
            total = weighed_with(total, one.id);
            // The newest is kept even where it does not fit by itself.
            if total > max_bytes && index > 0 {
                break;
            }
            self.pick(index, Reason::Size);
        }
    }

    /// What either picks.
    pub(super) fn or(mut self, other: Picks) -> Self {
        for (pick, other) in self.0.iter_mut().zip(other.0) {
            pick.reasons.extend(other.reasons);
            pick.is_floor |= other.is_floor;
        }
        self
    }

    /// What both pick, and the floors of each.
    pub(super) fn and(mut self, other: Picks) -> Self {
        for (pick, other) in self.0.iter_mut().zip(other.0) {
            let agreed = !pick.reasons.is_empty() && !other.reasons.is_empty();
            if agreed {
                pick.reasons.extend(other.reasons);
            } else if pick.is_floor || other.is_floor {
                pick.reasons = vec![Reason::Minimum];
            } else {
                pick.reasons.clear();
            }
            pick.is_floor |= other.is_floor;
        }
        self
    }

    pub(super) fn into_reasons(self) -> impl Iterator<Item = Vec<Reason>> {
        self.0.into_iter().map(|pick| pick.reasons)
    }
}
