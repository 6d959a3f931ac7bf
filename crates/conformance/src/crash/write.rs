//! What write N is: it follows from the load, the seed and the number.

use stead_core::{
    Durability, Expect, Expiry, Key, Partition, Random, Revision, SeededRandom, Timestamp, WriteBatch,
};

use super::Load;

/// So many numbers share an instant of the clock.
pub const TICK: u64 = 16;

/// Where the clock stands for write `number`. A writer waits for all acknowledgements before it moves the clock, so every
/// write is judged at the time of its number.
#[must_use]
pub fn time_of(number: u64) -> Timestamp {
    Timestamp::from_millis(number / TICK * TICK)
}

/// The partition that holds every key of the workload.
#[must_use]
pub fn partition() -> Partition {
    Partition::new("crash").expect("a short word is a partition")
}

/// What happens to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// The value of this write, with this deadline.
    Put {
        /// The key.
        key: Key,
        /// When it expires.
        deadline: Option<Timestamp>,
    },
    /// Nothing is left.
    Delete {
        /// The key.
        key: Key,
    },
    /// Another deadline for what is there, if something is.
    Touch {
        /// The key.
        key: Key,
        /// When it expires.
        deadline: Timestamp,
    },
}

impl Op {
    /// The key that it is about.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Op::Put { key, .. } | Op::Delete { key } | Op::Touch { key, .. } => key,
        }
    }
}

/// The condition of a write, on the key of its first operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// None.
    None,
    /// What the writer just read is still there, which holds.
    Current,
    /// Something that does not hold: the write must be rejected.
    Wrong,
}

/// One write of the workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Its number.
    pub number: u64,
    /// What it does, each key once, in key order; at least one operation.
    pub ops: Vec<Op>,
    /// Its condition.
    pub guard: Guard,
    /// What its writer asks for.
    pub durability: Durability,
    seed: u64,
}

impl Write {
    /// Write `number` of a workload.
    #[must_use]
    pub fn of(load: Load, seed: u64, number: u64) -> Self {
        let mut draw = Draw::new(seed, number);
        let load = match load {
            Load::Mixed => Load::ALL[usize::try_from(draw.below(5)).unwrap_or_default()],
            other => other,
        };
        let (mut ops, guard) = match load {
            Load::Put | Load::Mixed => (vec![single(&mut draw, number)], Guard::None),
            Load::CompareAndSet => compared(&mut draw),
            Load::Batch => batch(&mut draw),
            Load::Expire => (expiring(&mut draw, number), Guard::None),
            Load::Trim => (vec![put(key("s", draw.below(8)))], Guard::None),
        };
        // A guard speaks of the first operation, and then there is only one or the order stays.
        if guard == Guard::None {
            ops.sort_by(|a, b| a.key().cmp(b.key()));
        }
        let buffered = match load {
            Load::Trim => draw.below(8) != 0,
            _ => draw.below(4) == 0,
        };
        Write {
            number,
            ops,
            guard,
            durability: if buffered {
                Durability::Buffered
            } else {
                Durability::Durable
            },
            seed,
        }
    }

    /// The batch that asks for it, when `current` is the revision of what is under the first operation's key.
    #[must_use]
    pub fn batch(&self, current: Option<Revision>) -> WriteBatch {
        let mut batch = WriteBatch::new().durability(self.durability);
        let expect = match (self.guard, current) {
            (Guard::None, _) => None,
            (Guard::Current, None) => Some(Expect::Absent),
            (Guard::Current, Some(revision)) => Some(Expect::At(revision)),
            (Guard::Wrong, None) => Some(Expect::Present),
            (Guard::Wrong, Some(revision)) => Some(Expect::At(revision.next())),
        };
        if let Some((expect, op)) = expect.zip(self.ops.first()) {
            batch = batch.expect(op.key().clone(), expect);
        }
        for op in &self.ops {
            batch = match op {
                Op::Put { key, deadline } => {
                    let expiry = deadline.map_or(Expiry::Never, Expiry::At);
                    batch.put_with(key.clone(), value(self.seed, self.number, key), expiry)
                }
                Op::Delete { key } => batch.delete(key.clone()),
                Op::Touch { key, deadline } => batch.touch(key.clone(), Expiry::At(*deadline)),
            };
        }
        batch
    }
}

/// The value that write `number` puts under `key`: its number, the key, and bytes that nobody else writes.
pub(super) fn value(seed: u64, number: u64, key: &Key) -> Vec<u8> {
    let mut draw = Draw::new(seed ^ 0x5eed, number);
    let length = match draw.below(100) {
        0..=79 => 20 + draw.below(100),
        80..=97 => 1_500,
        _ => 20_000,
    };
    let mut value = format!("{number} {key} ").into_bytes();
    let end = value.len() + usize::try_from(length).unwrap_or_default();
    while value.len() < end {
        value.extend_from_slice(&draw.next().to_le_bytes());
    }
    value.truncate(end);
    value
}

/// The number of the write that a value says it is of.
pub(super) fn number_in(value: &[u8]) -> Option<u64> {
    let end = value.iter().position(|byte| *byte == b' ')?;
    std::str::from_utf8(&value[..end]).ok()?.parse().ok()
}

/// The key of the write that a verification does.
pub(super) fn probe_key() -> Key {
    Key::new(&partition(), "probe").expect("a short path")
}

fn key(family: &str, index: u64) -> Key {
    Key::new(&partition(), format!("{family}/{index:04}")).expect("a short path")
}

fn put(key: Key) -> Op {
    Op::Put { key, deadline: None }
}

fn single(draw: &mut Draw, number: u64) -> Op {
    let key = key("s", draw.below((64 + number / 4).min(2_048)));
    if draw.below(16) == 0 {
        Op::Delete { key }
    } else {
        put(key)
    }
}

fn compared(draw: &mut Draw) -> (Vec<Op>, Guard) {
    let guard = if draw.below(8) == 0 {
        Guard::Wrong
    } else {
        Guard::Current
    };
    (vec![put(key("s", draw.below(48)))], guard)
}

fn batch(draw: &mut Draw) -> (Vec<Op>, Guard) {
    let first = draw.below(32);
    let size = 2 + draw.below(6);
    // A step that has no divisor in common with 32 meets no key twice.
    let step = 1 + 2 * draw.below(8);
    let mut ops: Vec<Op> = (0..size)
        .map(|index| put(key("g", (first + index * step) % 32)))
        .collect();
    if draw.below(3) == 0
        && let Some(last) = ops.pop()
    {
        ops.push(Op::Delete {
            key: last.key().clone(),
        });
    }
    let guard = match draw.below(12) {
        0 => Guard::Wrong,
        1 | 2 => Guard::Current,
        _ => Guard::None,
    };
    (ops, guard)
}

/// Deadlines lie one to 26 ticks ahead. What only touches or deletes an entry that may be past its deadline comes with a
/// put, so that the change sets of writes can be told from those of the sweeper.
fn expiring(draw: &mut Draw, number: u64) -> Vec<Op> {
    let passing = key("t", draw.below(64));
    let lifetime = TICK + draw.below(400);
    let deadline = Timestamp::from_millis(time_of(number).as_millis() + lifetime);
    match draw.below(10) {
        0..=5 => vec![Op::Put {
            key: passing,
            deadline: Some(deadline),
        }],
        6 => vec![put(passing)],
        7 => vec![
            Op::Touch {
                key: passing,
                deadline,
            },
            put(key("s", draw.below(48))),
        ],
        8 => vec![Op::Delete { key: passing }, put(key("s", draw.below(48)))],
        _ => {
            let first = draw.below(64);
            let ops = (0..3).map(|index| Op::Put {
                key: key("t", (first + index * 7) % 64),
                deadline: Some(deadline),
            });
            ops.collect()
        }
    }
}

/// Numbers that belong to one write.
struct Draw(SeededRandom);

impl Draw {
    fn new(seed: u64, number: u64) -> Self {
        // Neighbouring numbers begin far from each other.
        let start = SeededRandom::new(number).next_u64();
        Draw(SeededRandom::new(seed ^ start))
    }

    fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 up to but without `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
