//! What the store must hold.

use std::collections::BTreeSet;

use crate::load::{COUNTER, GROUPS, MEMBERS, Op, PLACES, member};

/// Who wrote what a place holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// A write that was acknowledged, or seen after a restart, at this revision.
    Known(u64),
    /// A line that was sent and not acknowledged.
    Unknown,
}

/// What a place holds: the token of its value, or the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) token: u64,
    pub(crate) writer: Writer,
}

/// What a place was found to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) token: u64,
    pub(crate) revision: u64,
}

#[derive(Clone)]
pub(crate) struct Model {
    places: Vec<Option<Held>>,
}

impl Model {
    pub(crate) fn empty() -> Self {
        Model {
            places: vec![None; PLACES],
        }
    }

    /// What was found is what there is.
    pub(crate) fn of(found: &[Option<Found>]) -> Self {
        let held = |found: &Option<Found>| {
            found.map(|found| Held {
                token: found.token,
                writer: Writer::Known(found.revision),
            })
        };
        Model {
            places: found.iter().map(held).collect(),
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.places[COUNTER].map_or(0, |held| held.token)
    }

    /// Whether `op` would commit.
    pub(crate) fn admits(&self, op: &Op) -> bool {
        let present = |place: usize| self.places[place].is_some();
        match op {
            Op::Set { place, if_absent, .. } => !(*if_absent && present(*place)),
            Op::Group { condition, .. } => {
                condition.is_none_or(|condition| present(condition.place) == condition.present)
            }
            Op::Touch { place } => present(*place),
            Op::Delete { .. } | Op::Incr | Op::Passing { .. } => true,
        }
    }

    /// Does what `op` does, and says which places it changed.
    pub(crate) fn apply(&mut self, op: &Op, writer: Writer) -> Vec<usize> {
        if !self.admits(op) {
            return Vec::new();
        }
        match op {
            Op::Set { place, token, .. } => self.put(vec![*place], *token, writer),
            Op::Group { group, token, .. } => {
                let places = (0..MEMBERS).map(|one| member(*group, one)).collect();
                self.put(places, *token, writer)
            }
            Op::Delete { place } => {
                self.places[*place] = None;
                vec![*place]
            }
            Op::Touch { place } => {
                if let Some(held) = &mut self.places[*place] {
                    held.writer = writer;
                }
                vec![*place]
            }
            Op::Incr => {
                let count = self.count() + 1;
                self.put(vec![COUNTER], count, writer)
            }
            Op::Passing { .. } => Vec::new(),
        }
    }

    fn put(&mut self, places: Vec<usize>, token: u64, writer: Writer) -> Vec<usize> {
        for place in &places {
            self.places[*place] = Some(Held { token, writer });
        }
        places
    }

    /// Whether `found` is what `place` must hold. What was written by a line without an acknowledgement must at least
    /// be newer than everything `acknowledged`.
    fn fits(&self, place: usize, found: Option<Found>, acknowledged: u64) -> bool {
        match (self.places[place], found) {
            (None, None) => true,
            (Some(held), Some(found)) => {
                held.token == found.token
                    && match held.writer {
                        Writer::Known(revision) => found.revision == revision,
                        Writer::Unknown => found.revision > acknowledged,
                    }
            }
            _ => false,
        }
    }

    /// How many of the lines in `unacknowledged` happened: the store must hold what all lines up to some point made of
    /// it, and nothing of those behind.
    ///
    /// Fails with the places that do not fit if it must have happened that only the acknowledged ones did.
    pub(crate) fn settle(
        mut self,
        found: &[Option<Found>],
        unacknowledged: &[Op],
        acknowledged: u64,
    ) -> Result<usize, String> {
        let mut wrong: BTreeSet<usize> = (0..PLACES)
            .filter(|place| !self.fits(*place, found[*place], acknowledged))
            .collect();
        let at_first: Vec<String> = wrong
            .iter()
            .map(|place| {
                format!(
                    "place {place}: must hold {:?}, holds {:?}",
                    self.places[*place], found[*place]
                )
            })
            .collect();
        for (happened, op) in unacknowledged.iter().enumerate() {
            if wrong.is_empty() {
                return Ok(happened);
            }
            for place in self.apply(op, Writer::Unknown) {
                if self.fits(place, found[place], acknowledged) {
                    wrong.remove(&place);
                } else {
                    wrong.insert(place);
                }
            }
        }
        if wrong.is_empty() {
            return Ok(unacknowledged.len());
        }
        Err(format!(
            "no point of the load explains what is there; after the acknowledged lines:\n{}",
            at_first.join("\n")
        ))
    }
}

/// Says which groups are half there: their members hold one token and were written at one revision.
pub(crate) fn split_groups(found: &[Option<Found>]) -> Vec<usize> {
    (0..GROUPS)
        .filter(|group| {
            let first = found[member(*group, 0)];
            (1..MEMBERS).any(|one| found[member(*group, one)] != first)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(place: usize, token: u64) -> Op {
        Op::Set {
            place,
            token,
            padding: 0,
            lives: false,
            if_absent: false,
        }
    }

    fn found(token: u64, revision: u64) -> Option<Found> {
        Some(Found { token, revision })
    }

    #[test]
    fn what_was_acknowledged_must_be_there() {
        let mut model = Model::empty();
        model.apply(&set(0, 5), Writer::Known(10));
        let mut places = vec![None; PLACES];
        assert!(model.clone().settle(&places, &[], 10).is_err(), "lost");
        places[0] = found(5, 10);
        assert_eq!(model.clone().settle(&places, &[], 10), Ok(0));
        places[0] = found(5, 9);
        assert!(
            model.clone().settle(&places, &[], 10).is_err(),
            "at another revision"
        );
        places[0] = found(4, 10);
        assert!(model.settle(&places, &[], 10).is_err(), "an older value");
    }

    #[test]
    fn lines_without_an_acknowledgement_happen_from_the_first_on() {
        let lines = [set(0, 6), set(1, 7), Op::Delete { place: 0 }];
        let settle = |places: &[Option<Found>]| Model::empty().settle(places, &lines, 10);
        let mut places = vec![None; PLACES];
        assert_eq!(settle(&places), Ok(0));
        places[0] = found(6, 11);
        assert_eq!(settle(&places), Ok(1));
        places[1] = found(7, 12);
        assert_eq!(settle(&places), Ok(2));
        places[0] = None;
        assert_eq!(settle(&places), Ok(3));
        places[1] = found(7, 10);
        assert!(settle(&places).is_err(), "a revision that was used before");
        places[0] = found(6, 11);
        places[1] = None;
        places[2] = found(9, 13);
        assert!(settle(&places).is_err(), "never written");
    }

    #[test]
    fn a_batch_is_there_or_is_not() {
        let mut places = vec![None; PLACES];
        assert!(split_groups(&places).is_empty());
        for one in 0..MEMBERS {
            places[member(3, one)] = found(5, 10);
        }
        assert!(split_groups(&places).is_empty());
        places[member(3, 2)] = found(5, 11);
        assert_eq!(split_groups(&places), [3]);
        places[member(3, 2)] = None;
        assert_eq!(split_groups(&places), [3]);
    }
}
