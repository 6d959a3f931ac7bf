//! What holds for every policy over all backups.

use std::collections::HashSet;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use stead_core::Timestamp;

use super::{Candidate, Keep, Pauses, RetentionPolicy, plan_retention};

const HOUR_MS: u64 = 3_600_000;
const START_MS: u64 = 1_700_000_000_000;

fn kept(policy: &RetentionPolicy, candidates: &[Candidate], now: Timestamp) -> HashSet<u64> {
    let plan = plan_retention(policy, candidates, now, Pauses::Doubt).unwrap();
    plan.decisions
        .iter()
        .filter(|one| one.is_kept())
        .map(|one| one.id)
        .collect()
}

fn only(candidates: &[Candidate], kept: &HashSet<u64>) -> Vec<Candidate> {
    candidates
        .iter()
        .filter(|one| kept.contains(&one.id))
        .cloned()
        .collect()
}

/// Policies that pick by the calendar, by number and by size.
fn by_number() -> impl Strategy<Value = RetentionPolicy> {
    prop_oneof![
        (1..8usize).prop_map(|max_backups| RetentionPolicy::CountBasedPolicy { max_backups }),
        (1..200u64).prop_map(|max_bytes| RetentionPolicy::SizeBasedPolicy { max_bytes }),
        (0..3usize, 0..3usize, 0..3usize, 0..3usize, 1..3usize).prop_map(
            |(last, hourly, daily, weekly, monthly)| {
                RetentionPolicy::Keep(Keep {
                    last,
                    hourly,
                    daily,
                    weekly,
                    monthly,
                    tags: vec!["b".into()],
                    ..Keep::default()
                })
            }
        ),
    ]
}

/// Policies that pick by age.
fn by_age() -> impl Strategy<Value = RetentionPolicy> {
    (1..200u64, 0..4usize).prop_map(|(hours, min_backups)| RetentionPolicy::TimeBasedPolicy {
        max_age: Duration::from_millis(hours * HOUR_MS),
        min_backups,
    })
}

/// Policies over which a second prune finds nothing more.
fn any_policy() -> impl Strategy<Value = RetentionPolicy> {
    prop_oneof![
        by_number(),
        by_age(),
        vec(prop_oneof![by_number(), by_age()], 1..4).prop_map(RetentionPolicy::AnyOf),
        vec(by_number(), 1..4).prop_map(RetentionPolicy::AllOf),
    ]
}

/// Backups at hours of mostly regular, sometimes wild pauses, and sometimes with a clock that was set back.
fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let pause = prop_oneof![
        8 => 1..30i64,
        1 => 100..90_000i64,
        1 => -300..1i64,
    ];
    let one = (pause, 1..3u64, 0..4u64, 0..40u64, any::<bool>(), any::<bool>());
    vec(one, 0..40).prop_map(|made| {
        let (mut all, mut hours, mut id) = (Vec::<Candidate>::new(), 100_000i64, 0);
        for (pause, step, parent, stored_bytes, tagged, verified) in made {
            hours = (hours + pause).max(0);
            id += step;
            let parent = usize::try_from(parent).ok().filter(|back| *back > 0);
            let parent = parent
                .and_then(|back| all.len().checked_sub(back))
                .map(|at| all[at].id);
            all.push(Candidate {
                id,
                created: Timestamp::from_millis(START_MS + u64::try_from(hours).unwrap_or(0) * HOUR_MS),
                parent,
                tags: vec![if tagged { "a" } else { "b" }.into()],
                stored_bytes,
                verified,
                full: parent.is_none(),
            });
        }
        all
    })
}

fn newest(candidates: &[Candidate]) -> Timestamp {
    candidates
        .iter()
        .map(|one| one.created)
        .max()
        .unwrap_or(Timestamp::from_millis(START_MS))
}

fn later(time: Timestamp, hours: u64) -> Timestamp {
    Timestamp::from_millis(time.as_millis() + hours * HOUR_MS)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_kept_backup_needs_is_kept(policy in any_policy(), all in candidates(), back in 0..2_000u64) {
        let now = Timestamp::from_millis(newest(&all).as_millis() - back * HOUR_MS);
        let kept = kept(&policy, &all, now);
        for one in only(&all, &kept) {
            prop_assert!(one.parent.is_none_or(|parent| kept.contains(&parent)));
        }
        let full = all.iter().rev().filter(|one| one.full);
        let last = full.clone().find(|one| one.verified).or(full.clone().next());
        prop_assert!(last.is_none_or(|last| kept.contains(&last.id)));
        prop_assert!(all.iter().filter(|one| one.created > now).all(|one| kept.contains(&one.id)));
    }

    #[test]
    fn a_second_prune_finds_nothing(policy in any_policy(), all in candidates(), back in 0..2_000u64) {
        let now = Timestamp::from_millis(newest(&all).as_millis() - back * HOUR_MS);
        let first = kept(&policy, &all, now);
        prop_assert_eq!(kept(&policy, &only(&all, &first), now), first);
    }

    #[test]
    fn time_that_passes_evicts_nothing(policy in any_policy(), all in candidates(), hours in 0..1_000_000u64) {
        let now = newest(&all);
        prop_assert_eq!(kept(&policy, &all, later(now, hours)), kept(&policy, &all, now));
    }

    /// A backup made ten years too late evicts no more than one made in time does.
    #[test]
    fn a_backup_of_a_clock_that_jumped_evicts_nothing_by_age(policy in by_age(), all in candidates()) {
        let Some(last) = all.last() else { return Ok(()) };
        let now = newest(&all);
        let jumped = Candidate { id: last.id + 1, created: later(now, 87_600 * 5), parent: None, full: false, ..last.clone() };
        let before = kept(&policy, &all, now);
        let with = [&all[..], std::slice::from_ref(&jumped)].concat();
        let after = kept(&policy, &with, jumped.created);
        let minimum = match policy {
            RetentionPolicy::TimeBasedPolicy { min_backups, .. } => min_backups,
            _ => 0,
        };
        // The newest that are kept for their number move up by one, as with any new backup.
        let moved: HashSet<u64> = match minimum {
            0 => HashSet::new(),
            minimum => all.iter().rev().nth(minimum - 1).map(|one| up(&all, one.id)).unwrap_or_default(),
        };
        for id in before.difference(&after) {
            prop_assert!(moved.contains(id), "{id} of {before:?}");
        }
    }

    #[test]
    fn more_policies_of_any_keep_more_and_of_all_keep_less(
        some in vec(by_number(), 1..3), more in vec(by_number(), 1..3), all in candidates(),
    ) {
        let now = newest(&all);
        let both = [&some[..], &more[..]].concat();
        let of = |policy| kept(&policy, &all, now);
        let any = of(RetentionPolicy::AnyOf(both.clone()));
        prop_assert!(any.is_superset(&of(RetentionPolicy::AnyOf(some.clone()))));
        prop_assert!(any.is_superset(&of(RetentionPolicy::AnyOf(more))));
        let every = of(RetentionPolicy::AllOf(both));
        prop_assert!(every.is_subset(&of(RetentionPolicy::AllOf(some))));
        prop_assert!(every.is_subset(&any));
    }

    #[test]
    fn the_order_of_the_candidates_does_not_matter(policy in any_policy(), all in candidates()) {
        let now = newest(&all);
        let mut turned = all.clone();
        turned.reverse();
        prop_assert_eq!(kept(&policy, &turned, now), kept(&policy, &all, now));
    }
}

/// A backup and those that it is built on.
fn up(all: &[Candidate], id: u64) -> HashSet<u64> {
    let find = |id: u64| all.iter().find(|one| one.id == id);
    std::iter::successors(find(id), |one| one.parent.and_then(find))
        .map(|one| one.id)
        .collect()
}
