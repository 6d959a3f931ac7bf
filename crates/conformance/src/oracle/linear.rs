//! Whether the answers of a concurrent history could have come from one call after the other.
//!
//! The search is that of Wing and Gong ("Testing and verifying concurrent objects", Journal of Parallel and Distributed
//! Computing 17, 1993): some call that was asked before any outstanding answer must come first; try each. Lowe ("Testing
//! for linearizability", Concurrency and Computation: Practice and Experience 29(4), 2017) adds the memory of
//! configurations that were tried before: the set of calls that took effect, and the state that they led to.
//!
//! Linearizability is local: what a store promises for each partition is checked for each partition by itself.

use std::collections::HashSet;

use super::history::{Operation, State};

/// Looks for an order of `history` that explains every answer, starting from keys that hold nothing.
///
/// An order keeps every call after those that were answered before it was asked. One that was never answered may take
/// effect at any later point, or not at all.
///
/// Costs time exponential in the number of calls under way at once, so keep that number small. Times must differ, and
/// each answer must come after its question.
///
/// # Errors
///
/// The longest order that was found, and the calls that could not follow.
pub fn check(history: &[Operation], keys: usize) -> Result<(), String> {
    let mut tried = HashSet::new();
    let start = Configuration {
        done: Done::none_of(history.len()),
        state: vec![None; keys],
    };
    let mut path = vec![Node::new(history, start, None)];
    let mut longest: Vec<usize> = Vec::new();
    while let Some(node) = path.last_mut() {
        if is_explained(history, &node.at.done) {
            return Ok(());
        }
        let Some(call) = node.candidates.pop() else {
            path.pop();
            continue;
        };
        let Some(state) = history[call].call.apply(&node.at.state) else {
            continue;
        };
        let next = Configuration {
            done: node.at.done.with(call),
            state,
        };
        if tried.insert(next.clone()) {
            path.push(Node::new(history, next, Some(call)));
            if path.len() > longest.len() + 1 {
                longest = path.iter().filter_map(|node| node.call).collect();
            }
        }
    }
    Err(explain(history, &longest))
}

/// Which calls took effect, and what they led to.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Configuration {
    done: Done,
    state: State,
}

/// A set of calls.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Done(Vec<u64>);

impl Done {
    fn none_of(calls: usize) -> Self {
        Done(vec![0; calls.div_ceil(64)])
    }

    fn has(&self, call: usize) -> bool {
        self.0[call / 64] & (1 << (call % 64)) != 0
    }

    fn with(&self, call: usize) -> Self {
        let mut more = self.clone();
        more.0[call / 64] |= 1 << (call % 64);
        more
    }
}

/// A step of the search.
struct Node {
    at: Configuration,
    /// The call that led here.
    call: Option<usize>,
    /// What is still to be tried from here.
    candidates: Vec<usize>,
}

impl Node {
    fn new(history: &[Operation], at: Configuration, call: Option<usize>) -> Self {
        let outstanding = || (0..history.len()).filter(|call| !at.done.has(*call));
        let first_answer = outstanding().filter_map(|call| history[call].returned).min();
        let before_it = |call: &usize| first_answer.is_none_or(|first| history[*call].invoked < first);
        let mut candidates: Vec<usize> = outstanding().filter(before_it).collect();
        // Taken from the end: what was answered first is tried first, being the likeliest.
        candidates.sort_by_key(|call| std::cmp::Reverse(history[*call].returned.unwrap_or(u64::MAX)));
        Node { at, call, candidates }
    }
}

/// Whether every call that was answered took effect.
fn is_explained(history: &[Operation], done: &Done) -> bool {
    let answered = |call: &usize| history[*call].returned.is_some();
    (0..history.len()).filter(answered).all(|call| done.has(call))
}

fn explain(history: &[Operation], longest: &[usize]) -> String {
    let mut text =
        "no order of the calls explains the answers; the longest that does for a while:".to_owned();
    for call in longest {
        text.push_str(&format!("\n  {}", history[*call]));
    }
    text.push_str("\n  none of these can follow:");
    for (call, operation) in history.iter().enumerate() {
        if !longest.contains(&call) {
            text.push_str(&format!("\n  {operation}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::history::{Answer, Call, Held};
    use super::*;

    fn operation(task: usize, invoked: u64, returned: impl Into<Option<u64>>, call: Call) -> Operation {
        Operation {
            task,
            invoked,
            returned: returned.into(),
            call,
        }
    }

    fn read(found: &[Held]) -> Call {
        Call::Read {
            found: found.iter().copied().enumerate().collect(),
        }
    }

    fn put(key: usize, value: u32) -> Call {
        batch(&[], &[(key, Some(value))], Answer::Committed)
    }

    fn batch(expected: &[(usize, Held)], writes: &[(usize, Held)], outcome: Answer) -> Call {
        Call::Write {
            expected: expected.to_vec(),
            writes: writes.to_vec(),
            outcome,
        }
    }

    #[test]
    fn empty_and_sequential_histories_are_fine() {
        assert_eq!(check(&[], 0), Ok(()));
        let history = [
            operation(0, 1, 2, put(0, 1)),
            operation(1, 3, 4, read(&[Some(1)])),
            operation(0, 5, 6, put(0, 2)),
            operation(1, 7, 8, read(&[Some(2)])),
        ];
        assert_eq!(check(&history, 1), Ok(()));
    }

    #[test]
    fn overlapping_calls_may_take_effect_in_either_order() {
        // Two writes at once: either may win, and a read beside them sees nothing, one or the other.
        for seen in [None, Some(1), Some(2)] {
            for last in [1, 2] {
                let history = [
                    operation(0, 1, 5, put(0, 1)),
                    operation(1, 2, 6, put(0, 2)),
                    operation(2, 3, 4, read(&[seen])),
                    operation(2, 7, 8, read(&[Some(last)])),
                ];
                let must_hold = check(&history, 1);
                assert_eq!(must_hold, Ok(()), "seen {seen:?}, last {last}");
            }
        }
    }

    #[test]
    fn stale_read_is_found() {
        let history = [
            operation(0, 1, 2, put(0, 1)),
            operation(0, 3, 4, put(0, 2)),
            operation(1, 5, 6, read(&[Some(1)])),
        ];
        assert!(check(&history, 1).is_err());
    }

    #[test]
    fn reads_that_go_back_in_time_are_found() {
        // Both reads overlap the write, but the second one follows the first.
        let history = [
            operation(0, 1, 9, put(0, 1)),
            operation(1, 2, 3, read(&[Some(1)])),
            operation(1, 4, 5, read(&[None])),
        ];
        assert!(check(&history, 1).is_err());
    }

    #[test]
    fn lost_update_is_found() {
        let from_none = |value| batch(&[(0, None)], &[(0, Some(value))], Answer::Committed);
        let history = [operation(0, 1, 3, from_none(1)), operation(1, 2, 4, from_none(2))];
        assert!(check(&history, 1).is_err());
        let one_lost = batch(&[(0, None)], &[(0, Some(2))], Answer::Rejected);
        let history = [operation(0, 1, 3, from_none(1)), operation(1, 2, 4, one_lost)];
        assert_eq!(check(&history, 1), Ok(()));
    }

    #[test]
    fn rejection_without_reason_is_found() {
        let rejected = batch(&[(0, None)], &[(0, Some(1))], Answer::Rejected);
        assert!(check(&[operation(0, 1, 2, rejected)], 1).is_err());
    }

    #[test]
    fn half_a_batch_is_found() {
        let both = batch(&[], &[(0, Some(1)), (1, Some(2))], Answer::Committed);
        for (found, is_fine) in [
            ([None, None], true),
            ([Some(1), Some(2)], true),
            ([Some(1), None], false),
            ([None, Some(2)], false),
        ] {
            let history = [operation(0, 1, 4, both.clone()), operation(1, 2, 3, read(&found))];
            assert_eq!(check(&history, 2).is_ok(), is_fine, "found {found:?}");
        }
    }

    #[test]
    fn write_skew_is_found() {
        let first = batch(&[(1, None)], &[(0, Some(1))], Answer::Committed);
        let second = batch(&[(0, None)], &[(1, Some(2))], Answer::Committed);
        let history = [operation(0, 1, 3, first), operation(1, 2, 4, second)];
        assert!(check(&history, 2).is_err());
    }

    #[test]
    fn unknown_outcome_may_take_effect_late_or_never() {
        let lost = batch(&[], &[(0, Some(1))], Answer::Unknown);
        for (seen, is_fine) in [(None, true), (Some(1), true), (Some(7), false)] {
            let history = [
                operation(0, 1, None, lost.clone()),
                operation(1, 2, 3, read(&[None])),
                operation(1, 4, 5, read(&[seen])),
            ];
            assert_eq!(check(&history, 1).is_ok(), is_fine, "seen {seen:?}");
        }
        // But not before it was asked for.
        let history = [operation(1, 1, 2, read(&[Some(1)])), operation(0, 3, None, lost)];
        assert!(check(&history, 1).is_err());
    }

    #[test]
    fn long_history_of_a_busy_key_is_decided_quickly() {
        // Forty rounds of four writes at once; without the memory of configurations the failing one takes 24^40 steps.
        let mut history = Vec::new();
        for round in 0..40_u32 {
            let start = u64::from(round) * 100;
            for task in 0..4_u32 {
                let task_id = usize::try_from(task).unwrap();
                let write = put(0, round * 4 + task + 1);
                history.push(operation(
                    task_id,
                    start + u64::from(task),
                    start + 50 + u64::from(task),
                    write,
                ));
            }
        }
        let last = |value| operation(0, 9_000, 9_001, read(&[Some(value)]));
        let with = |value| [&history[..], &[last(value)]].concat();
        assert_eq!(check(&with(160), 1), Ok(()));
        assert!(check(&with(156), 1).is_err());
    }
}
