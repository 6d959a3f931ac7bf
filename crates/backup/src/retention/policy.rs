//! What a policy says, and what it picks.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use stead_core::{Error, Result, Timestamp};

use super::picks::{Backups, Picks};
use super::reason::Reason;
use crate::manifest::check_tag;

/// How many policies may lie inside one another.
const DEEPEST: usize = 8;

/// Which backups are kept.
///
/// What a policy picks is only one of the reasons to keep a backup: [`plan_retention`](crate::plan_retention) lists the others.
///
/// ```
/// use std::time::Duration;
/// use stead_backup::{Keep, RetentionPolicy};
///
/// let month = Duration::from_secs(30 * 24 * 3_600);
/// let policy = RetentionPolicy::AllOf(vec![
///     RetentionPolicy::AnyOf(vec![
///         RetentionPolicy::TimeBasedPolicy { max_age: month, min_backups: 5 },
///         RetentionPolicy::Keep(Keep { monthly: 12, tags: vec!["release".into()], ..Keep::default() }),
///     ]),
///     RetentionPolicy::SizeBasedPolicy { max_bytes: 100 << 30 },
/// ]);
/// policy.check()?;
/// # Ok::<(), stead_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetentionPolicy {
    /// Those that are not older than `max_age`, and the newest `min_backups` whatever their age. The age is measured as
    /// [`Pauses`](crate::Pauses) says.
    TimeBasedPolicy {
        /// The oldest that is kept for its age.
        max_age: Duration,
        /// How many of the newest are always kept, even where another policy of an [`AllOf`](RetentionPolicy::AllOf)
        /// would not.
        min_backups: usize,
    },
    /// The newest `max_backups`, at least one.
    CountBasedPolicy {
        /// How many.
        max_backups: usize,
    },
    /// The newest that fit into `max_bytes` with all that they are built on, and with what is kept whatever the policy;
    /// the newest always.
    SizeBasedPolicy {
        /// The bytes of all chunks that these backups need, at most, a chunk that several share counted once. Above zero. The
        /// log is not among them, nor is what waits in the trash.
        max_bytes: u64,
    },
    /// One in each hour, day, week, month or year, and others.
    Keep(Keep),
    /// What any of them keeps. At least one.
    AnyOf(Vec<RetentionPolicy>),
    /// Only what each of them keeps. At least one.
    AllOf(Vec<RetentionPolicy>),
}

/// The newest of each period that has a backup, in UTC. What any field picks is kept.
///
/// A number counts the periods that have a backup, from the newest on, not those that passed: `daily: 7` keeps one of
/// each of the last seven days on which there was a backup. A week is one of ISO 8601: it begins on Monday.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// How many of the newest.
    pub last: usize,
    /// In how many hours.
    pub hourly: usize,
    /// In how many days.
    pub daily: usize,
    /// In how many weeks.
    pub weekly: usize,
    /// In how many months.
    pub monthly: usize,
    /// In how many years.
    pub yearly: usize,
    /// All that are not older than this, measured as [`Pauses`](crate::Pauses) says. None when it is zero.
    pub within: Duration,
    /// All with one of these tags.
    pub tags: Vec<String>,
}

impl RetentionPolicy {
    /// Refuses a policy that picks nothing whatever there is, and one that is nested too deeply.
    ///
    /// # Errors
    ///
    /// `Invalid`, naming what is missing, and for a tag that no backup can have.
    pub fn check(&self) -> Result<()> {
        self.check_at(0)
    }

    /// Whether it asks for the sizes of backups.
    pub(crate) fn weighs(&self) -> bool {
        match self {
            RetentionPolicy::SizeBasedPolicy { .. } => true,
            RetentionPolicy::AnyOf(policies) | RetentionPolicy::AllOf(policies) => {
                policies.iter().any(RetentionPolicy::weighs)
            }
            _ => false,
        }
    }

    fn check_at(&self, depth: usize) -> Result<()> {
        if depth > DEEPEST {
            return Err(Error::invalid("the retention policy is nested too deeply").with("limit", DEEPEST));
        }
        let nothing = |what: &'static str| {
            Err(
                Error::invalid("the retention policy would keep nothing; set a number above zero")
                    .with("policy", what),
            )
        };
        match self {
            RetentionPolicy::TimeBasedPolicy { .. } => Ok(()),
            RetentionPolicy::CountBasedPolicy { max_backups: 0 } => nothing("max_backups"),
            RetentionPolicy::CountBasedPolicy { .. } => Ok(()),
            RetentionPolicy::SizeBasedPolicy { max_bytes: 0 } => nothing("max_bytes"),
            RetentionPolicy::SizeBasedPolicy { .. } => Ok(()),
            RetentionPolicy::Keep(keep) if *keep == Keep::default() => nothing("keep"),
            RetentionPolicy::Keep(keep) => keep.tags.iter().try_for_each(|tag| check_tag(tag)),
            RetentionPolicy::AnyOf(policies) | RetentionPolicy::AllOf(policies) => {
                if policies.is_empty() {
                    return nothing("composition");
                }
                policies.iter().try_for_each(|policy| policy.check_at(depth + 1))
            }
        }
    }

    /// What this policy picks.
    pub(super) fn pick(&self, backups: &Backups<'_>) -> Picks {
        let mut picks = Picks::none(backups);
        match self {
            RetentionPolicy::TimeBasedPolicy { max_age, min_backups } => {
                picks.within(backups, *max_age);
                picks.floor(*min_backups);
            }
            RetentionPolicy::CountBasedPolicy { max_backups } => {
                Keep {
                    last: *max_backups,
                    ..Keep::default()
                }
                .pick(backups, &mut picks);
            }
            RetentionPolicy::SizeBasedPolicy { max_bytes } => picks.size(backups, *max_bytes),
            RetentionPolicy::Keep(keep) => keep.pick(backups, &mut picks),
            RetentionPolicy::AnyOf(policies) => {
                let each = policies.iter().map(|policy| policy.pick(backups));
                return each.reduce(Picks::or).unwrap_or(picks);
            }
            RetentionPolicy::AllOf(policies) => {
                let each = policies.iter().map(|policy| policy.pick(backups));
                return each.reduce(Picks::and).unwrap_or(picks);
            }
        }
        picks
    }
}

impl Keep {
    fn pick(&self, backups: &Backups<'_>, picks: &mut Picks) {
        for index in 0..backups.newest_first.len().min(self.last) {
            picks.pick(index, Reason::Last);
        }
        self.pick_periods(backups, picks);
        if !self.within.is_zero() {
            picks.within(backups, self.within);
        }
        for (index, one) in backups.newest_first.iter().enumerate() {
            for tag in one.tags.iter().filter(|tag| self.tags.contains(tag)) {
                picks.pick(index, Reason::Tag(tag.clone()));
            }
        }
    }

    fn pick_periods(&self, backups: &Backups<'_>, picks: &mut Picks) {
        // By the clock: where that was set back for a while, the order of the sequence is another.
        let mut by_time: Vec<(usize, DateTime)> = backups
            .newest_first
            .iter()
            .enumerate()
            .map(|(index, one)| (index, in_utc(one.created)))
            .collect();
        by_time.sort_by_key(|(index, time)| (Reverse(*time), *index));
        for (count, period, reason) in self.periods() {
            let mut seen = HashSet::new();
            for (index, time) in &by_time {
                if seen.len() == count {
                    break;
                }
                let name = period(*time);
                if seen.insert(name.clone()) {
                    picks.pick(*index, reason(name));
                }
            }
        }
    }

    fn periods(&self) -> [Period; 5] {
        [
            (
                self.hourly,
                |time| format!("{}T{:02}", time.date(), time.hour()),
                Reason::Hourly,
            ),
            (self.daily, |time| time.date().to_string(), Reason::Daily),
            (self.weekly, week, Reason::Weekly),
            (
                self.monthly,
                |time| format!("{:04}-{:02}", time.year(), time.month()),
                Reason::Monthly,
            ),
            (self.yearly, |time| format!("{:04}", time.year()), Reason::Yearly),
        ]
    }
}

/// How many of a period are kept, its name at a time, and the reason that it makes.
type Period = (usize, fn(DateTime) -> String, fn(String) -> Reason);

fn week(time: DateTime) -> String {
    let week = time.date().iso_week_date();
    format!("{:04}-W{:02}", week.year(), week.week())
}

/// A time beyond the calendar's last is that one.
pub(crate) fn in_utc(time: Timestamp) -> DateTime {
    let time = i64::try_from(time.as_millis())
        .ok()
        .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
        .unwrap_or(jiff::Timestamp::MAX);
    TimeZone::UTC.to_datetime(time)
}
