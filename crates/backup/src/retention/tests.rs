//! Tables of what is kept and why.

use std::time::Duration;

use stead_core::{ErrorKind, Timestamp};

use super::{Candidate, Keep, Pauses, Reason, RetentionPolicy, plan_retention};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn at(text: &str) -> Timestamp {
    let time: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_millis(u64::try_from(time.as_millisecond()).unwrap())
}

/// A backup at each of `times`, numbered from one; the first is full and verified, the others are full and not verified.
fn backups(times: &[&str]) -> Vec<Candidate> {
    (1..)
        .zip(times)
        .map(|(id, time)| Candidate {
            id,
            created: at(time),
            parent: None,
            tags: Vec::new(),
            stored_bytes: 10,
            verified: id == 1,
            full: true,
        })
        .collect()
}

/// One backup a day at noon, `count` of them, from the first of January 2026 on.
fn daily(count: u64) -> Vec<Candidate> {
    let first = backups(&["2026-01-01T12:00:00Z"]).remove(0);
    let mut all = vec![first.clone()];
    all.extend((1..count).map(|day| Candidate {
        id: day + 1,
        created: after(first.created, DAY * u32::try_from(day).unwrap()),
        verified: false,
        ..first.clone()
    }));
    all
}

fn after(time: Timestamp, length: Duration) -> Timestamp {
    Timestamp::from_millis(time.as_millis() + u64::try_from(length.as_millis()).unwrap())
}

/// The reasons of each as one line: `2: daily 2026-11-20, last`.
fn decide(policy: &RetentionPolicy, candidates: &[Candidate], now: Timestamp) -> Vec<String> {
    let plan = plan_retention(policy, candidates, now, Pauses::Doubt).unwrap();
    let kept = plan.decisions.iter().filter(|one| one.is_kept());
    kept.map(|one| {
        let reasons: Vec<String> = one.reasons.iter().map(ToString::to_string).collect();
        format!("{}: {}", one.id, reasons.join(", "))
    })
    .collect()
}

fn kept(policy: &RetentionPolicy, candidates: &[Candidate], now: Timestamp, pauses: Pauses) -> Vec<u64> {
    let plan = plan_retention(policy, candidates, now, pauses).unwrap();
    plan.decisions
        .iter()
        .filter(|one| one.is_kept())
        .map(|one| one.id)
        .collect()
}

/// What a policy keeps of backups at these times. The last verified one lies in the future, out of its way.
fn periods(keep: Keep, times: &[&str]) -> Vec<String> {
    let mut candidates = backups(&[times, &["2200-01-01T00:00:00Z"]].concat());
    candidates[0].verified = false;
    candidates[times.len()].verified = true;
    let mut lines = decide(
        &RetentionPolicy::Keep(keep),
        &candidates,
        at("2100-01-01T00:00:00Z"),
    );
    let last = lines.pop().unwrap();
    assert!(
        last.ends_with(": made in the future, last verified full"),
        "{last}"
    );
    lines
}

#[test]
fn the_newest_of_each_period_is_kept() {
    let one = Keep::default;
    // Over the end of a year, which is in the middle of a week of ISO 8601.
    let turn = [
        "2025-12-28T23:59:59.999Z",
        "2025-12-29T00:00:00Z",
        "2025-12-31T23:00:00Z",
        "2025-12-31T23:59:59.999Z",
        "2026-01-01T00:00:00Z",
    ];
    let hourly = [
        "2: hourly 2025-12-29T00",
        "4: hourly 2025-12-31T23",
        "5: hourly 2026-01-01T00",
    ];
    assert_eq!(periods(Keep { hourly: 3, ..one() }, &turn), hourly);
    let daily = ["4: daily 2025-12-31", "5: daily 2026-01-01"];
    assert_eq!(periods(Keep { daily: 2, ..one() }, &turn), daily);
    let weekly = ["1: weekly 2025-W52", "5: weekly 2026-W01"];
    assert_eq!(periods(Keep { weekly: 9, ..one() }, &turn), weekly);
    let monthly = ["4: monthly 2025-12", "5: monthly 2026-01"];
    assert_eq!(periods(Keep { monthly: 9, ..one() }, &turn), monthly);
    let yearly = ["4: yearly 2025", "5: yearly 2026"];
    assert_eq!(periods(Keep { yearly: 9, ..one() }, &turn), yearly);
    let last = ["4: last", "5: last"];
    assert_eq!(periods(Keep { last: 2, ..one() }, &turn), last);
}

#[test]
fn leap_days_and_short_months_are_days_and_months() {
    let one = Keep::default;
    let leap = [
        "2028-02-28T12:00:00Z",
        "2028-02-29T00:00:00Z",
        "2028-02-29T23:59:59Z",
        "2028-03-01T00:00:00Z",
    ];
    let daily = [
        "1: daily 2028-02-28",
        "3: daily 2028-02-29",
        "4: daily 2028-03-01",
    ];
    assert_eq!(periods(Keep { daily: 3, ..one() }, &leap), daily);
    let monthly = ["3: monthly 2028-02", "4: monthly 2028-03"];
    assert_eq!(periods(Keep { monthly: 3, ..one() }, &leap), monthly);
    // The hour that is skipped in spring and the one that comes twice in autumn, in Berlin: no matter in UTC.
    let summer_time = [
        "2026-03-29T00:59:00Z",
        "2026-03-29T01:01:00Z",
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:30:00Z",
    ];
    assert_eq!(periods(Keep { hourly: 9, ..one() }, &summer_time).len(), 4);
    // A year with 53 weeks.
    let weeks = [
        "2026-12-27T12:00:00Z",
        "2026-12-28T12:00:00Z",
        "2027-01-03T12:00:00Z",
        "2027-01-04T12:00:00Z",
    ];
    let weekly = ["1: weekly 2026-W52", "3: weekly 2026-W53", "4: weekly 2027-W01"];
    assert_eq!(periods(Keep { weekly: 9, ..one() }, &weeks), weekly);
}

#[test]
fn of_two_at_one_time_the_later_is_kept() {
    let same = ["2026-05-05T00:00:00Z", "2026-05-05T00:00:00Z"];
    let keep = Keep {
        daily: 1,
        ..Keep::default()
    };
    assert_eq!(periods(keep, &same), ["2: daily 2026-05-05"]);
}

#[test]
fn periods_without_backups_do_not_count() {
    let years = [
        "1990-05-05T00:00:00Z",
        "2007-05-05T00:00:00Z",
        "2026-05-05T00:00:00Z",
    ];
    let keep = Keep {
        daily: 3,
        ..Keep::default()
    };
    let daily = [
        "1: daily 1990-05-05",
        "2: daily 2007-05-05",
        "3: daily 2026-05-05",
    ];
    assert_eq!(periods(keep, &years), daily);
}

#[test]
fn fields_and_tags_add_up() {
    let mut candidates = daily(10);
    candidates[3].tags = vec!["nightly".into(), "release".into()];
    let keep = Keep {
        last: 1,
        daily: 2,
        tags: vec!["release".into(), "other".into()],
        ..Keep::default()
    };
    let now = after(candidates[9].created, DAY);
    assert_eq!(
        decide(&RetentionPolicy::Keep(keep), &candidates, now),
        [
            "1: last verified full",
            "4: tag release",
            "9: daily 2026-01-09",
            "10: last, daily 2026-01-10",
        ]
    );
}

#[test]
fn ages_are_measured_from_the_newest_backup() {
    let candidates = daily(10);
    let policy = RetentionPolicy::TimeBasedPolicy {
        max_age: DAY * 3,
        min_backups: 2,
    };
    let newest = candidates[9].created;
    let expected = [
        "1: last verified full",
        "7: within 3d",
        "8: within 3d",
        "9: within 3d, minimum",
        "10: within 3d, minimum",
    ];
    assert_eq!(decide(&policy, &candidates, newest), expected);
    // Ten years later, and nothing has been backed up since.
    assert_eq!(decide(&policy, &candidates, after(newest, DAY * 3_650)), expected);
}

#[test]
fn a_backup_made_by_a_clock_that_jumped_evicts_nothing() {
    let policy = RetentionPolicy::TimeBasedPolicy {
        max_age: DAY * 5,
        min_backups: 1,
    };
    for jump in [5, 30, 365, 3_650] {
        let mut candidates = daily(10);
        let before = kept(&policy, &candidates, candidates[9].created, Pauses::Doubt);
        assert_eq!(before, [1, 5, 6, 7, 8, 9, 10]);
        // Some are made before the clock is set right.
        for made in 0..3 {
            let created = after(candidates[9].created, DAY * (jump + made));
            candidates.push(Candidate {
                id: 11 + u64::from(made),
                created,
                ..candidates[9].clone()
            });
            let survivors = kept(&policy, &candidates, created, Pauses::Doubt);
            // Only the days that passed since count.
            let aged = usize::try_from(made).unwrap();
            assert!(
                before[1 + aged..].iter().all(|id| survivors.contains(id)),
                "{jump}: {survivors:?}"
            );
        }
        // It is set right: what it made lies in the future, and takes no place.
        let now = after(candidates[9].created, DAY / 2);
        assert_eq!(
            kept(&policy, &candidates, now, Pauses::Doubt),
            [&before[..], &[11, 12, 13]].concat()
        );
        let counted = kept(&policy, &candidates, candidates[12].created, Pauses::Count);
        assert_eq!(counted, [1, 11, 12, 13]);
    }
}

#[test]
fn two_jumps_are_not_a_habit() {
    let mut candidates = daily(8);
    let jumped = after(candidates[7].created, DAY * 1_000);
    let back = after(candidates[7].created, DAY);
    for created in [jumped, back, after(jumped, DAY)] {
        let id = candidates.len() as u64 + 1;
        candidates.push(Candidate {
            id,
            created,
            ..candidates[7].clone()
        });
    }
    let policy = RetentionPolicy::TimeBasedPolicy {
        max_age: DAY * 100,
        min_backups: 1,
    };
    let now = candidates[10].created;
    assert_eq!(kept(&policy, &candidates, now, Pauses::Doubt).len(), 11);
}

/// Months between those that are left are no long pauses: thirty backups were made in each.
#[test]
fn what_was_thinned_out_does_not_lend_a_jump_credit() {
    let all = daily(126);
    let days: Vec<usize> = [30, 60, 90].into_iter().chain(120..=126).collect();
    let mut candidates: Vec<Candidate> = days.iter().map(|day| all[day - 1].clone()).collect();
    candidates[0].verified = true;
    candidates.push(Candidate {
        id: 127,
        created: after(all[125].created, DAY * 100),
        ..all[125].clone()
    });
    let policy = RetentionPolicy::TimeBasedPolicy {
        max_age: DAY * 10,
        min_backups: 0,
    };
    let survivors = kept(&policy, &candidates, candidates[10].created, Pauses::Doubt);
    assert_eq!(survivors, [30, 120, 121, 122, 123, 124, 125, 126, 127]);
}

#[test]
fn a_habit_of_long_pauses_counts() {
    let mut candidates = daily(6);
    for candidate in &mut candidates {
        let day = u32::try_from(candidate.id).unwrap();
        candidate.created = after(at("2020-01-01T00:00:00Z"), DAY * day * 60);
    }
    let policy = RetentionPolicy::TimeBasedPolicy {
        max_age: DAY * 100,
        min_backups: 0,
    };
    let now = candidates[5].created;
    assert_eq!(kept(&policy, &candidates, now, Pauses::Doubt), [1, 5, 6]);
}

#[test]
fn ancestors_and_the_last_full_stay() {
    let mut candidates = daily(6);
    // 1 full and verified, 2 on 1, 3 on 2, 4 full, 5 on 4, 6 on 5.
    for (index, parent) in [(1, 1), (2, 2), (4, 4), (5, 5)] {
        candidates[index].parent = Some(parent);
        candidates[index].full = false;
    }
    let policy = RetentionPolicy::CountBasedPolicy { max_backups: 1 };
    let now = candidates[5].created;
    let expected = [
        "1: last verified full",
        "4: ancestor of 6",
        "5: ancestor of 6",
        "6: last",
    ];
    assert_eq!(decide(&policy, &candidates, now), expected);
    candidates[0].verified = false;
    let expected = ["4: last full, ancestor of 6", "5: ancestor of 6", "6: last"];
    assert_eq!(decide(&policy, &candidates, now), expected);
}

#[test]
fn size_counts_what_a_backup_is_built_on() {
    let mut candidates = daily(5);
    candidates[0].verified = false;
    for (index, bytes) in [(0, 100), (1, 10), (2, 100), (3, 10), (4, 10)] {
        candidates[index].stored_bytes = bytes;
    }
    for (index, parent) in [(1, 1), (3, 3), (4, 4)] {
        candidates[index].parent = Some(parent);
        candidates[index].full = false;
    }
    let now = candidates[4].created;
    let kept_of = |max_bytes| {
        let policy = RetentionPolicy::SizeBasedPolicy { max_bytes };
        kept(&policy, &candidates, now, Pauses::Doubt)
    };
    assert_eq!(kept_of(230), [1, 2, 3, 4, 5]);
    assert_eq!(kept_of(229), [3, 4, 5]);
    assert_eq!(kept_of(120), [3, 4, 5]);
    assert_eq!(kept_of(1), [3, 4, 5]);
}

#[test]
fn policies_are_put_together() {
    let candidates = daily(20);
    let now = candidates[19].created;
    let count = |max_backups| RetentionPolicy::CountBasedPolicy { max_backups };
    let age = |days, min_backups| RetentionPolicy::TimeBasedPolicy {
        max_age: DAY * days,
        min_backups,
    };
    let of = |policy| kept(&policy, &candidates, now, Pauses::Doubt);
    assert_eq!(
        of(RetentionPolicy::AnyOf(vec![count(2), age(3, 0)])),
        [1, 17, 18, 19, 20]
    );
    assert_eq!(of(RetentionPolicy::AllOf(vec![count(2), age(3, 0)])), [1, 19, 20]);
    // A floor stands, whoever disagrees.
    assert_eq!(
        of(RetentionPolicy::AllOf(vec![count(2), age(0, 4)])),
        [1, 17, 18, 19, 20]
    );
}

#[test]
fn policies_that_keep_nothing_or_what_cannot_be_are_refused() {
    let none = RetentionPolicy::CountBasedPolicy { max_backups: 0 };
    let mut deep = RetentionPolicy::CountBasedPolicy { max_backups: 1 };
    for _ in 0..9 {
        deep = RetentionPolicy::AnyOf(vec![deep]);
    }
    for policy in [
        none.clone(),
        RetentionPolicy::SizeBasedPolicy { max_bytes: 0 },
        RetentionPolicy::Keep(Keep::default()),
        RetentionPolicy::Keep(Keep {
            last: 1,
            tags: vec!["none can be this".into()],
            ..Keep::default()
        }),
        RetentionPolicy::AnyOf(Vec::new()),
        RetentionPolicy::AllOf(vec![none]),
        deep,
    ] {
        let planned = plan_retention(&policy, &daily(3), Timestamp::MAX, Pauses::Doubt);
        assert_eq!(planned.unwrap_err().kind(), ErrorKind::Invalid, "{policy:?}");
    }
}

#[test]
fn hostile_candidates_do_no_harm() {
    let policy = RetentionPolicy::AnyOf(vec![
        RetentionPolicy::SizeBasedPolicy { max_bytes: u64::MAX },
        RetentionPolicy::Keep(Keep {
            yearly: 1,
            ..Keep::default()
        }),
    ]);
    let mut circle = daily(3);
    circle[0].parent = Some(3);
    circle[1].parent = Some(1);
    circle[2].parent = Some(2);
    for one in &mut circle {
        one.stored_bytes = u64::MAX;
    }
    circle[1].created = Timestamp::MAX;
    assert_eq!(kept(&policy, &circle, Timestamp::MAX, Pauses::Doubt), [1, 2, 3]);
    let mut twice = daily(2);
    twice[1].id = 1;
    assert!(plan_retention(&policy, &twice, Timestamp::MAX, Pauses::Doubt).is_err());
    assert!(kept(&policy, &[], Timestamp::MAX, Pauses::Doubt).is_empty());
}

#[test]
fn durations_are_shown_as_they_are_read() {
    for text in ["30d", "36h", "90m", "7s", "5ms"] {
        let length = stead_core::parse_duration(text).unwrap();
        assert_eq!(Reason::Within(length).to_string(), format!("within {text}"));
    }
}
