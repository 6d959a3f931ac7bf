//! The load: random operations, each of which can be told from every other by the token that it writes.

use serde_json::{Value, json};
use stead::core::{Random, SeededRandom};

/// Keys that are written one by one.
pub(crate) const SINGLES: usize = 96;
/// Keys that are written together, four at a time.
pub(crate) const GROUPS: usize = 24;
pub(crate) const MEMBERS: usize = 4;
/// All places: the singles, the members of the groups, the counter.
pub(crate) const PLACES: usize = SINGLES + GROUPS * MEMBERS + 1;
pub(crate) const COUNTER: usize = PLACES - 1;

/// What must hold of a single key for a group to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition {
    pub(crate) place: usize,
    pub(crate) present: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Set {
        place: usize,
        token: u64,
        padding: usize,
        lives: bool,
        if_absent: bool,
    },
    Group {
        group: usize,
        token: u64,
        padding: usize,
        condition: Option<Condition>,
    },
    Delete {
        place: usize,
    },
    Touch {
        place: usize,
    },
    Incr,
    /// A value that expires within the round. What becomes of it is not looked at; the store's indexes are.
    Passing {
        number: u64,
    },
}

/// Draws operations from a seed.
pub(crate) struct Load {
    random: SeededRandom,
    next_token: u64,
}

impl Load {
    pub(crate) fn new(seed: u64) -> Self {
        Load {
            random: SeededRandom::new(seed),
            next_token: 1,
        }
    }

    /// A number from 0 up to but without `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.random.next_u64() % end
    }

    fn place(&mut self) -> usize {
        usize::try_from(self.below(SINGLES as u64)).unwrap_or_default()
    }

    fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    /// Mostly short values, some that are compressed, a few that take pages of their own.
    fn padding(&mut self) -> usize {
        match self.below(100) {
            0..=79 => 20,
            80..=97 => 1_500,
            _ => 20_000,
        }
    }

    pub(crate) fn next(&mut self) -> Op {
        match self.below(1_000) {
            0..=449 => Op::Set {
                place: self.place(),
                token: self.token(),
                padding: self.padding(),
                lives: self.below(4) == 0,
                if_absent: self.below(8) == 0,
            },
            450..=799 => Op::Group {
                group: usize::try_from(self.below(GROUPS as u64)).unwrap_or_default(),
                token: self.token(),
                padding: self.padding(),
                condition: (self.below(3) == 0).then(|| Condition {
                    place: self.place(),
                    present: self.below(2) == 0,
                }),
            },
            800..=879 => Op::Delete { place: self.place() },
            880..=939 => Op::Touch { place: self.place() },
            940..=994 => Op::Passing {
                number: self.below(16),
            },
            _ => Op::Incr,
        }
    }
}

/// Where a place is in the store.
pub(crate) fn address(place: usize) -> (String, String) {
    if place < SINGLES {
        return ("global".to_owned(), format!("k{place:02}"));
    }
    if place == COUNTER {
        return ("agent:counter".to_owned(), "n".to_owned());
    }
    let (group, member) = ((place - SINGLES) / MEMBERS, (place - SINGLES) % MEMBERS);
    // The members of a group lie in scopes of their own: a batch spans partitions.
    (format!("step:group{group}/{member}"), "v".to_owned())
}

/// The place of a group's member.
pub(crate) fn member(group: usize, member: usize) -> usize {
    SINGLES + group * MEMBERS + member
}

fn set(place: usize, token: u64, padding: usize) -> Value {
    let (scope, key) = address(place);
    // Text that does not shrink to nothing when it is compressed.
    let padding: String = (0..padding as u64)
        .map(|n| {
            char::from(b'a' + u8::try_from((token ^ n.wrapping_mul(2_654_435_761)) % 26).unwrap_or_default())
        })
        .collect();
    json!({"op": "set", "scope": scope, "key": key, "value": {"token": token, "padding": padding}})
}

impl Op {
    /// The line that asks for it.
    pub(crate) fn line(&self) -> String {
        let value = match self {
            Op::Set {
                place,
                token,
                padding,
                lives,
                if_absent,
            } => {
                let mut value = set(*place, *token, *padding);
                if *lives {
                    value["ttl"] = json!("1h");
                }
                if *if_absent {
                    value["expect"] = json!("absent");
                }
                value
            }
            Op::Group {
                group,
                token,
                padding,
                condition,
            } => {
                let mut ops: Vec<Value> = (0..MEMBERS)
                    .map(|one| set(member(*group, one), *token, *padding))
                    .collect();
                if let Some(condition) = condition {
                    let (scope, key) = address(condition.place);
                    let expect = if condition.present { "present" } else { "absent" };
                    ops.push(json!({"op": "check", "scope": scope, "key": key, "expect": expect}));
                }
                json!({"op": "batch", "ops": ops})
            }
            Op::Delete { place } => {
                let (scope, key) = address(*place);
                json!({"op": "delete", "scope": scope, "key": key})
            }
            Op::Touch { place } => {
                let (scope, key) = address(*place);
                json!({"op": "touch", "scope": scope, "key": key, "ttl": "2h"})
            }
            Op::Incr => {
                let (scope, key) = address(COUNTER);
                json!({"op": "incr", "scope": scope, "key": key})
            }
            Op::Passing { number } => {
                json!({"op": "set", "scope": "tool:passing", "key": number.to_string(), "value": 1, "ttl": "15ms"})
            }
        };
        value.to_string()
    }
}
