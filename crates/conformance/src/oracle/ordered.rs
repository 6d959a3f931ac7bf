//! Whether the answers of a concurrent history are explained by the order that the store itself gave its writes.
//!
//! Revisions rise in the order of the commits, so of all orders that [`linear::check`](super::linear::check) would
//! search, one is known. It is enough to replay it and to find a place in it for every other call. So the cost does not
//! grow with the number of calls under way at once, nor with that of the calls whose outcome nobody was told.

use stead_core::Revision;

use super::history::{Answer, Call, Operation, State};

/// Looks for a place in the order of the revisions for every call of `history`, starting from `keys` keys that hold
/// nothing. `revisions` says of each call at which revision it committed, also of those that were never answered: the
/// change log tells. A call of unknown outcome without a revision never took effect.
///
/// Every call keeps its place behind those that were answered before it was asked. So this is linearizability, in the
/// order that the store promises. Times must differ, and each answer must come after its question.
///
/// Costs the square of the number of calls at worst, and about that number where the store is right.
///
/// # Errors
///
/// The first call that has no place, and why.
pub fn check(history: &[Operation], revisions: &[Option<Revision>], keys: usize) -> Result<(), String> {
    let order = order(history, revisions)?;
    let states = replay(history, &order, keys)?;
    let mut places = vec![None; history.len()];
    for (index, call) in order.iter().enumerate() {
        places[*call] = Some(Place::write(index));
    }
    let mut asked: Vec<usize> = (0..history.len()).collect();
    asked.sort_by_key(|call| history[*call].invoked);
    let mut answered: Vec<usize> = asked.clone();
    answered.retain(|call| history[*call].returned.is_some());
    answered.sort_by_key(|call| history[*call].returned);
    let mut answered = answered.into_iter().peekable();
    // The furthest place of a call that was answered by now, and that call.
    let mut behind: Option<(Place, usize)> = None;
    for call in asked {
        let operation = &history[call];
        while let Some(earlier) = answered.next_if(|one| history[*one].returned < Some(operation.invoked)) {
            if let Some(place) = places[earlier] {
                behind = behind.max(Some((place, earlier)));
            }
        }
        let lowest = behind.map_or(Place::START, |(place, _)| place);
        match places[call] {
            Some(place) if place <= lowest => {
                let before = behind.map(|(_, earlier)| history[earlier].to_string());
                return Err(format!(
                    "{operation}\n  took effect before a call that had been answered before it was asked:\n  {}",
                    before.unwrap_or_default()
                ));
            }
            Some(_) => {}
            None if is_without_effect(operation) => {}
            None => {
                let place = find(operation, lowest, &states);
                places[call] = Some(place.ok_or_else(|| {
                    format!(
                        "{operation}\n  has no place in the order of the writes at or behind {}",
                        lowest.0
                    )
                })?);
            }
        }
    }
    Ok(())
}

/// A place in the order: the writes at the odd ones, and between them room for any number of calls that change nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place(usize);

impl Place {
    const START: Place = Place(0);

    fn write(index: usize) -> Self {
        Place(2 * index + 1)
    }

    /// How many writes are behind whoever stands here.
    fn writes_before(self) -> usize {
        self.0.div_ceil(2)
    }

    fn after(writes: usize) -> Self {
        Place(2 * writes)
    }
}

/// The calls that took effect, in their order.
fn order(history: &[Operation], revisions: &[Option<Revision>]) -> Result<Vec<usize>, String> {
    let mut order: Vec<(Revision, usize)> = Vec::new();
    for (call, operation) in history.iter().enumerate() {
        let revision = revisions.get(call).copied().flatten();
        match (&operation.call, revision) {
            (
                Call::Write {
                    outcome: Answer::Committed,
                    ..
                },
                None,
            ) => {
                return Err(format!("{operation}\n  was answered as committed, and is gone"));
            }
            (
                Call::Write {
                    outcome: Answer::Rejected,
                    ..
                },
                Some(revision),
            ) => {
                return Err(format!(
                    "{operation}\n  was rejected, and is there at revision {revision}"
                ));
            }
            (Call::Read { .. }, Some(_)) => {
                return Err(format!("{operation}\n  is a read and has a revision"));
            }
            (_, Some(revision)) => order.push((revision, call)),
            (_, None) => {}
        }
    }
    order.sort_unstable();
    if let Some([(revision, first), (_, second)]) = order.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(format!(
            "{}\n  and\n  {}\n  share revision {revision}",
            history[*first], history[*second]
        ));
    }
    Ok(order.into_iter().map(|(_, call)| call).collect())
}

/// The state before the first write, and behind each.
fn replay(history: &[Operation], order: &[usize], keys: usize) -> Result<Vec<State>, String> {
    let mut states = vec![vec![None; keys]];
    for call in order {
        let before = &states[states.len() - 1];
        let after = history[*call].call.apply(before).ok_or_else(|| {
            format!(
                "{}\n  committed, but its condition did not hold: {before:?}",
                history[*call]
            )
        })?;
        states.push(after);
    }
    Ok(states)
}

fn is_without_effect(operation: &Operation) -> bool {
    matches!(
        operation.call,
        Call::Write {
            outcome: Answer::Unknown,
            ..
        }
    )
}

/// The first place from `lowest` on where the call could have had its answer. An earlier one leaves more room to others.
fn find(operation: &Operation, lowest: Place, states: &[State]) -> Option<Place> {
    let first = lowest.writes_before();
    let fits = |writes: &usize| operation.call.apply(&states[*writes]).is_some();
    (first..states.len()).find(fits).map(Place::after)
}

#[cfg(test)]
mod tests {
    use stead_core::{Random, SeededRandom};

    use super::super::history::Held;
    use super::super::linear;
    use super::*;

    fn read(invoked: u64, returned: u64, found: &[Held]) -> Operation {
        let found = found.iter().copied().enumerate().collect();
        operation(invoked, Some(returned), Call::Read { found })
    }

    fn operation(invoked: u64, returned: Option<u64>, call: Call) -> Operation {
        Operation {
            task: 0,
            invoked,
            returned,
            call,
        }
    }

    fn write(
        times: (u64, Option<u64>),
        expected: &[(usize, Held)],
        writes: &[(usize, Held)],
        outcome: Answer,
    ) -> Operation {
        let call = Call::Write {
            expected: expected.to_vec(),
            writes: writes.to_vec(),
            outcome,
        };
        operation(times.0, times.1, call)
    }

    fn put(invoked: u64, returned: u64, value: u32) -> Operation {
        write(
            (invoked, Some(returned)),
            &[],
            &[(0, Some(value))],
            Answer::Committed,
        )
    }

    fn judged(history: &[Operation], revisions: &[u64], keys: usize) -> Result<(), String> {
        let revision = |number: &u64| (*number > 0).then(|| Revision::new(*number));
        let revisions: Vec<_> = revisions.iter().map(revision).collect();
        check(history, &revisions, keys)
    }

    #[test]
    fn overlapping_calls_take_the_order_of_their_revisions() {
        for (revisions, seen, last, is_fine) in [
            ([1, 2, 0, 0], None, 2, true),
            ([1, 2, 0, 0], Some(1), 2, true),
            ([1, 2, 0, 0], Some(2), 2, true),
            ([2, 1, 0, 0], Some(2), 1, true),
            ([1, 2, 0, 0], Some(1), 1, false),
        ] {
            let history = [
                put(1, 5, 1),
                put(2, 6, 2),
                read(3, 4, &[seen]),
                read(7, 8, &[Some(last)]),
            ];
            let verdict = judged(&history, &revisions, 1);
            assert_eq!(verdict.is_ok(), is_fine, "{revisions:?} {seen:?} {verdict:?}");
        }
    }

    #[test]
    fn order_against_time_is_found() {
        assert!(judged(&[put(1, 2, 1), put(3, 4, 2)], &[2, 1], 1).is_err());
        assert!(
            judged(&[put(1, 2, 1), put(3, 4, 2)], &[1, 1], 1).is_err(),
            "shared"
        );
    }

    #[test]
    fn stale_read_and_reads_that_go_back_are_found() {
        let stale = [put(1, 2, 1), put(3, 4, 2), read(5, 6, &[Some(1)])];
        assert!(judged(&stale, &[1, 2, 0], 1).is_err());
        let back = [put(1, 9, 1), read(2, 3, &[Some(1)]), read(4, 5, &[None])];
        assert!(judged(&back, &[1, 0, 0], 1).is_err());
        // A read that saw a write forbids that it came after a later question.
        let early = [read(1, 2, &[Some(1)]), put(3, 4, 1)];
        assert!(judged(&early, &[0, 1], 1).is_err());
    }

    #[test]
    fn lost_update_and_rejection_without_reason_are_found() {
        let swap = |times, value, outcome| write(times, &[(0, None)], &[(0, Some(value))], outcome);
        let both = [
            swap((1, Some(3)), 1, Answer::Committed),
            swap((2, Some(4)), 2, Answer::Committed),
        ];
        assert!(judged(&both, &[1, 2], 1).is_err());
        let one = [
            swap((1, Some(3)), 1, Answer::Committed),
            swap((2, Some(4)), 2, Answer::Rejected),
        ];
        assert_eq!(judged(&one, &[1, 0], 1), Ok(()));
        assert!(judged(&[swap((1, Some(2)), 1, Answer::Rejected)], &[0], 1).is_err());
    }

    #[test]
    fn half_a_batch_is_found() {
        for (found, is_fine) in [
            ([Some(1), Some(2)], true),
            ([None, None], true),
            ([Some(1), None], false),
        ] {
            let batch = write(
                (1, Some(4)),
                &[],
                &[(0, Some(1)), (1, Some(2))],
                Answer::Committed,
            );
            let verdict = judged(&[batch, read(2, 3, &found)], &[1, 0], 2);
            assert_eq!(verdict.is_ok(), is_fine, "{found:?}");
        }
    }

    #[test]
    fn unknown_outcome_took_effect_where_the_log_says_or_never() {
        // Behind the other write, before it, or never.
        for (place, seen, is_fine) in [
            (9, 1, true),
            (9, 2, true),
            (1, 2, true),
            (1, 1, false),
            (0, 2, true),
            (0, 1, false),
        ] {
            let lost = write((1, None), &[], &[(0, Some(1))], Answer::Unknown);
            let history = [lost, put(2, 3, 2), read(4, 5, &[Some(seen)])];
            assert_eq!(
                judged(&history, &[place, 5, 0], 1).is_ok(),
                is_fine,
                "{place} {seen}"
            );
        }
        let before = [
            read(1, 2, &[Some(1)]),
            write((3, None), &[], &[(0, Some(1))], Answer::Unknown),
        ];
        assert!(judged(&before, &[0, 1], 1).is_err(), "before it was asked for");
    }

    #[test]
    fn acknowledged_write_that_is_gone_and_rejected_one_that_is_there_are_found() {
        assert!(judged(&[put(1, 2, 1)], &[0], 1).is_err());
        let rejected = write((1, Some(2)), &[(0, Some(7))], &[(0, Some(1))], Answer::Rejected);
        assert!(judged(&[rejected], &[1], 1).is_err());
    }

    /// Small histories, right and wrong: what has its place in the order of the revisions, the search explains too.
    #[test]
    fn what_passes_here_passes_the_search() {
        let random = SeededRandom::new(11);
        let below = |end: u64| random.next_u64() % end;
        let (mut passed, mut failed) = (0, 0);
        for _ in 0..3_000 {
            let mut history = Vec::new();
            let mut revisions = Vec::new();
            for call in 0..6_u32 {
                let invoked = 40 * below(10) + 2 * u64::from(call);
                let returned = invoked + 11 + 20 * below(6);
                let held = |value: u64| u32::try_from(value).ok().filter(|value| *value > 0);
                let at = below(20) * 10 + u64::from(call) + 1;
                match below(3) {
                    0 => {
                        history.push(put(invoked, returned, call + 1));
                        revisions.push(at);
                    }
                    1 => {
                        let known = below(2) == 0;
                        let times = (invoked, None);
                        history.push(write(times, &[], &[(0, Some(call + 1))], Answer::Unknown));
                        revisions.push(if known { at } else { 0 });
                    }
                    _ => {
                        history.push(read(invoked, returned, &[held(below(7))]));
                        revisions.push(0);
                    }
                }
            }
            match judged(&history, &revisions, 1) {
                Ok(()) => {
                    passed += 1;
                    assert_eq!(linear::check(&history, 1), Ok(()), "{history:?}");
                }
                Err(_) => failed += 1,
            }
        }
        assert!(passed > 20 && failed > 20, "{passed} passed, {failed} failed");
    }
}
