//! Parting a group of batches into steps, each of which the server takes at once.

use std::collections::HashSet;

use stead_core::{Error, Expect, KeyRange, Precondition, Result, Revision, Timestamp, WriteBatch};

use crate::convert::{BEHIND_ALL, revision_to_sql, time_to_sql};
use crate::ops::{Absent, Op, Present, ops};

/// The most steps of one transaction: as many batches in a row that touch the same key.
const STEPS: usize = 16;
/// A batch of at most so many plain writes goes along with others that are not plain: a step of its own would cost more.
const GOES_ALONG: usize = 4;

/// One batch as the server is asked for it.
pub(crate) struct Piece<'a> {
    pub(crate) batch: &'a WriteBatch,
    /// Identifies a repetition: the id and what the batch was.
    pub(crate) request: Option<(&'a [u8], &'a [u8; 32])>,
    ops: Vec<Op<'a>>,
    /// What is wrong with it. It is only judged then, for a batch that is rejected is not wrong.
    pub(crate) wrong: Option<Error>,
}

impl<'a> Piece<'a> {
    pub(crate) fn new(
        batch: &'a WriteBatch,
        request: Option<(&'a [u8], &'a [u8; 32])>,
        now: Timestamp,
    ) -> Self {
        match ops(batch.mutations(), now) {
            Ok(ops) => Piece {
                batch,
                request,
                ops,
                wrong: None,
            },
            Err(error) => Piece {
                batch,
                request: None,
                ops: Vec::new(),
                wrong: Some(error),
            },
        }
    }

    fn is_plain(&self) -> bool {
        self.ops.iter().all(|op| op.plain().is_some())
    }

    fn raise(&self) -> Option<Revision> {
        self.batch.raised_to().filter(|_| !self.ops.is_empty())
    }
}

/// Batches that do not see each other's writes: all are judged, then all are written.
pub(crate) struct Step<'a> {
    pub(crate) pieces: Vec<Piece<'a>>,
    plain: bool,
    raise: Option<Revision>,
    written: HashSet<&'a [u8]>,
    requests: HashSet<&'a [u8]>,
}

/// The steps of `pieces`, in order, and how many pieces they hold: the rest needs another transaction.
pub(crate) fn steps<'a>(pieces: impl Iterator<Item = Piece<'a>>) -> (Vec<Step<'a>>, usize) {
    let mut steps: Vec<Step<'a>> = Vec::new();
    let mut held = 0;
    for piece in pieces {
        let full = steps.len() >= STEPS;
        match steps.last_mut() {
            Some(step) if step.takes(&piece) => step.add(piece),
            _ if full => break,
            _ => steps.push(Step::begin(piece)),
        }
        held += 1;
    }
    (steps, held)
}

impl<'a> Step<'a> {
    fn begin(piece: Piece<'a>) -> Self {
        let mut step = Step {
            pieces: Vec::new(),
            plain: piece.is_plain(),
            raise: piece.raise(),
            written: HashSet::new(),
            requests: HashSet::new(),
        };
        step.add(piece);
        step
    }

    fn takes(&self, piece: &Piece<'a>) -> bool {
        if self.raise.is_some() || piece.raise().is_some() {
            return false;
        }
        if self.plain && !piece.is_plain() || !self.plain && piece.is_plain() && piece.ops.len() > GOES_ALONG
        {
            return false;
        }
        if piece.request.is_some_and(|(id, _)| self.requests.contains(id)) {
            return false;
        }
        let meets = piece
            .ops
            .iter()
            .any(|op| self.written.contains(op.key.as_bytes()));
        !meets && !piece.batch.preconditions().iter().any(|one| self.is_read_by(one))
    }

    fn is_read_by(&self, precondition: &Precondition) -> bool {
        match precondition {
            Precondition::Key { key, .. } => self.written.contains(key.as_bytes()),
            Precondition::Count { range, .. } => self.written.iter().any(|key| range.contains_encoded(key)),
        }
    }

    fn add(&mut self, piece: Piece<'a>) {
        self.written.extend(piece.ops.iter().map(|op| op.key.as_bytes()));
        self.requests.extend(piece.request.map(|(id, _)| id));
        self.pieces.push(piece);
    }

    /// Whether it is one plain write of one key, and nothing else.
    pub(crate) fn is_single_put(&self) -> bool {
        let [piece] = &self.pieces[..] else {
            return false;
        };
        self.plain
            && self.raise.is_none()
            && piece.ops.len() == 1
            && piece.request.is_none()
            && piece.batch.preconditions().is_empty()
    }

    /// What the server is sent.
    pub(crate) fn arguments(&self) -> Arguments<'_> {
        let mut arguments = Arguments {
            count: number(self.pieces.len()),
            raise: self.raise.map(revision_to_sql),
            ..Arguments::default()
        };
        let judged = self.pieces.iter().any(|piece| {
            piece.request.is_some() || !piece.batch.preconditions().is_empty() || piece.ops.is_empty()
        });
        if judged || !self.plain {
            arguments.writes = Some(self.pieces.iter().map(|piece| !piece.ops.is_empty()).collect());
        }
        if self.pieces.iter().any(|piece| piece.request.is_some()) {
            let ids = self.pieces.iter().map(|piece| piece.request.map(|(id, _)| id));
            arguments.ids = Some(ids.collect());
            let prints = self
                .pieces
                .iter()
                .map(|piece| piece.request.map(|(_, print)| &print[..]));
            arguments.fingerprints = Some(prints.collect());
        }
        for (index, piece) in self.pieces.iter().enumerate() {
            let batch = number(index + 1);
            arguments.checks.add(batch, piece.batch.preconditions());
            for op in &piece.ops {
                match op.plain() {
                    Some(deadline) if self.plain => arguments.puts.add(batch, op, deadline.map(time_to_sql)),
                    _ => arguments.others.add(batch, op),
                }
            }
        }
        arguments
    }
}

fn number(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

/// The parameters of the function that commits.
#[derive(Default)]
pub(crate) struct Arguments<'a> {
    pub(crate) count: i32,
    pub(crate) raise: Option<i64>,
    pub(crate) writes: Option<Vec<bool>>,
    pub(crate) ids: Option<Vec<Option<&'a [u8]>>>,
    pub(crate) fingerprints: Option<Vec<Option<&'a [u8]>>>,
    pub(crate) checks: Checks<'a>,
    pub(crate) puts: Puts<'a>,
    pub(crate) others: Others<'a>,
}

/// Preconditions, a column each.
#[derive(Default)]
pub(crate) struct Checks<'a> {
    pub(crate) batch: Vec<i32>,
    pub(crate) place: Vec<i32>,
    pub(crate) expect: Vec<i16>,
    pub(crate) key: Vec<&'a [u8]>,
    pub(crate) end: Vec<Option<&'a [u8]>>,
    pub(crate) number: Vec<Option<i64>>,
}

impl<'a> Checks<'a> {
    pub(crate) fn of(batch: &'a WriteBatch) -> Self {
        let mut checks = Checks::default();
        checks.add(1, batch.preconditions());
        checks
    }

    fn add(&mut self, batch: i32, preconditions: &'a [Precondition]) {
        for (place, precondition) in preconditions.iter().enumerate() {
            self.batch.push(batch);
            self.place.push(number(place));
            match precondition {
                Precondition::Key { key, expect } => {
                    self.key.push(key.as_bytes());
                    self.end.push(None);
                    let (expect, revision) = match expect {
                        Expect::Absent => (0, None),
                        Expect::Present => (1, None),
                        Expect::At(revision) => (2, Some(revision_to_sql(*revision))),
                    };
                    self.expect.push(expect);
                    self.number.push(revision);
                }
                Precondition::Count { range, entries } => self.add_count(range, *entries),
            }
        }
    }

    fn add_count(&mut self, range: &'a KeyRange, entries: u64) {
        self.expect.push(3);
        self.key.push(range.start());
        self.end.push(Some(range.end().unwrap_or(&BEHIND_ALL)));
        // One more is counted, so that too many are told from enough.
        self.number
            .push(Some(i64::try_from(entries).unwrap_or(i64::MAX).min(i64::MAX - 1)));
    }
}

/// Writes that do not depend on what is there.
#[derive(Default)]
pub(crate) struct Puts<'a> {
    pub(crate) batch: Vec<i32>,
    pub(crate) key: Vec<&'a [u8]>,
    pub(crate) value: Vec<Option<&'a [u8]>>,
    pub(crate) deadline: Vec<Option<i64>>,
}

impl<'a> Puts<'a> {
    fn add(&mut self, batch: i32, op: &Op<'a>, deadline: Option<i64>) {
        self.batch.push(batch);
        self.key.push(op.key.as_bytes());
        self.value.push(op.value.map(|value| &value[..]));
        self.deadline.push(deadline);
    }
}

/// All else.
#[derive(Default)]
pub(crate) struct Others<'a> {
    pub(crate) batch: Vec<i32>,
    pub(crate) key: Vec<&'a [u8]>,
    pub(crate) value: Vec<Option<&'a [u8]>>,
    pub(crate) absent: Vec<i16>,
    pub(crate) absent_deadline: Vec<Option<i64>>,
    pub(crate) present: Vec<i16>,
    pub(crate) present_deadline: Vec<Option<i64>>,
}

impl<'a> Others<'a> {
    fn add(&mut self, batch: i32, op: &Op<'a>) {
        self.batch.push(batch);
        self.key.push(op.key.as_bytes());
        self.value.push(op.value.map(|value| &value[..]));
        let (absent, absent_deadline) = match op.absent {
            Absent::Unchanged => (0, None),
            Absent::Put(deadline) => (1, deadline),
            Absent::Removed => (2, None),
        };
        let (present, present_deadline) = match op.present {
            Present::Unchanged => (0, None),
            Present::Put(deadline) => (1, deadline),
            Present::Removed => (2, None),
            Present::PutKeeping => (3, None),
        };
        self.absent.push(absent);
        self.absent_deadline.push(absent_deadline.map(time_to_sql));
        self.present.push(present);
        self.present_deadline.push(present_deadline.map(time_to_sql));
    }
}

/// An array, or nothing where it would be empty: the server asks only for what is there.
pub(crate) fn some<T>(array: &[T]) -> Option<&[T]> {
    (!array.is_empty()).then_some(array)
}

/// Makes the error of a batch that is wrong out of what it was judged.
///
/// # Errors
///
/// That error, unless a precondition did not hold.
pub(crate) fn unless_wrong<T>(outcome: T, rejected: bool, wrong: Option<Error>) -> Result<T> {
    match wrong {
        Some(error) if !rejected => Err(error),
        _ => Ok(outcome),
    }
}
