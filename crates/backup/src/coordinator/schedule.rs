//! When a checkpoint is due.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use croner::parser::CronParser;
use jiff::tz::TimeZone;
use stead_core::{Error, Result, Timestamp};
use tokio::time::{Sleep, sleep};

use crate::retention::in_utc;

/// When checkpoints are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schedule {
    /// Only when somebody asks for one, and at the end.
    #[default]
    OnDemand,
    /// So long after the one before began, by the clock or by the time that the process ran, whichever is over first: a
    /// clock that is set back delays nothing. At least a millisecond.
    Every(Duration),
    /// At the times of a cron expression, in UTC.
    Cron(CronExpression),
}

impl Schedule {
    /// At the times of a cron expression, such as `0 3 * * *`, in UTC: see [`CronExpression`].
    ///
    /// # Errors
    ///
    /// `Invalid` for a text that is no cron expression.
    pub fn cron(text: &str) -> Result<Self> {
        text.parse().map(Schedule::Cron)
    }

    pub(super) fn check(&self, now: Timestamp) -> Result<()> {
        match self {
            Schedule::OnDemand => Ok(()),
            Schedule::Every(interval) if interval.as_millis() == 0 => Err(Error::invalid(
                "the interval of checkpoints is at least a millisecond",
            )),
            Schedule::Every(_) => Ok(()),
            Schedule::Cron(cron) => match cron.next_after(now) {
                Some(_) => Ok(()),
                None => Err(
                    Error::invalid("the cron expression names no time that is still to come")
                        .with("cron", cron),
                ),
            },
        }
    }

    /// The first tick behind `time`.
    fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        match self {
            Schedule::OnDemand => None,
            Schedule::Every(interval) => {
                let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
                Some(Timestamp::from_millis(time.as_millis().saturating_add(millis)))
            }
            Schedule::Cron(cron) => cron.next_after(time),
        }
    }
}

/// The times at which a cron expression matches, in UTC.
///
/// Five fields (minute, hour, day of the month, month, day of the week), six with seconds before them, seven with years
/// behind; names such as `MON` and `JAN`, ranges, lists and steps; `L` for the last day; `@hourly`, `@daily`, `@weekly`,
/// `@monthly` and `@yearly`. Where both days are named, either will do, as in Vixie cron. UTC has no summer time: no hour
/// is left out and none comes twice.
///
/// ```
/// use stead_backup::CronExpression;
/// use stead_core::Timestamp;
///
/// let nightly: CronExpression = "30 3 * * *".parse()?;
/// let midnight = Timestamp::from_millis(1_800_057_600_000); // 2027-01-16T00:00:00Z
/// assert_eq!(nightly.next_after(midnight), Some(Timestamp::from_millis(1_800_070_200_000)));
/// assert!("61 * * * *".parse::<CronExpression>().is_err());
/// # Ok::<(), stead_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CronExpression {
    text: String,
    cron: Arc<Cron>,
}

/// The longest expression, in bytes.
const MAX_CRON_BYTES: usize = 256;

impl CronExpression {
    /// The first time behind `time` at which it matches, if there is one before the year 5000.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&in_utc(time), false).ok()?;
        let next = next.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
        u64::try_from(next).ok().map(Timestamp::from_millis)
    }
}

impl FromStr for CronExpression {
    type Err = Error;

    /// # Errors
    ///
    /// `Invalid`, saying what is wrong.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.len() > MAX_CRON_BYTES {
            return Err(Error::invalid("the cron expression is longer than the limit")
                .with("size_bytes", text.len())
                .with("limit_bytes", MAX_CRON_BYTES));
        }
        match CronParser::new().parse(text) {
            Ok(cron) => Ok(CronExpression {
                text: text.to_owned(),
                cron: Arc::new(cron),
            }),
            Err(cause) => Err(Error::invalid(
                "this is no cron expression; one has five fields, such as `0 3 * * *` for three at night in UTC",
            )
            .with("cron", text.escape_debug())
            .because(cause)),
        }
    }
}

impl fmt::Display for CronExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for CronExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CronExpression({:?})", self.text)
    }
}

/// How far the clock may stand behind the time at which the next tick was planned before it counts as set back: corrections
/// of a running clock are smaller.
const SET_BACK: Duration = Duration::from_secs(60);
/// So many missed ticks are counted, and no more.
const MOST_MISSED: u64 = 1_000;

/// A timer of the runtime, which no clock that is set moves.
pub(super) type Timer = Pin<Box<Sleep>>;

pub(super) fn timer(length: Duration) -> Timer {
    Box::pin(sleep(length))
}

/// What the next checkpoint waits for.
pub(super) struct Planner {
    schedule: Schedule,
    /// When the next tick was planned.
    made: Timestamp,
    due: Option<Timestamp>,
    /// Of an interval: the time that the process ran.
    elapsed: Option<Timer>,
}

impl Planner {
    /// The first tick of a coordinator that finds a checkpoint of `newest`: at once where there is none, and where a tick
    /// went by while no coordinator ran.
    pub(super) fn new(schedule: Schedule, newest: Option<Timestamp>, now: Timestamp) -> Self {
        let mut planner = Planner {
            schedule,
            made: now,
            due: None,
            elapsed: None,
        };
        planner.due = match newest.filter(|newest| *newest <= now) {
            Some(newest) => planner.schedule.next_after(newest),
            None if newest.is_some() => planner.schedule.next_after(now),
            None => planner.schedule.next_after(now).map(|_| now),
        };
        planner.start_timer(now);
        planner
    }

    /// Plans the next tick behind a checkpoint that begins `now`. How many ticks went by without one of their own.
    pub(super) fn advance(&mut self, now: Timestamp) -> u64 {
        let mut missed = 0;
        let mut due = self.due;
        while let Some(next) = due.and_then(|due| self.schedule.next_after(due))
            && next <= now
            && missed < MOST_MISSED
        {
            missed += 1;
            due = Some(next);
        }
        self.plan(now);
        missed
    }

    fn plan(&mut self, now: Timestamp) {
        self.made = now;
        self.due = self.schedule.next_after(now);
        self.start_timer(now);
    }

    fn start_timer(&mut self, now: Timestamp) {
        let runs = matches!(self.schedule, Schedule::Every(_));
        let due = self.due.filter(|_| runs);
        self.elapsed = due.map(|due| timer(now.until(due)));
    }

    pub(super) fn is_due(&mut self, now: Timestamp) -> bool {
        let Some(mut due) = self.due else {
            return false;
        };
        if matches!(self.schedule, Schedule::Cron(_)) && now.until(self.made) > SET_BACK {
            // What was planned may be a year away by this clock.
            self.plan(now);
            due = self.due.unwrap_or(Timestamp::MAX);
        }
        now >= due || self.elapsed.as_ref().is_some_and(|timer| timer.is_elapsed())
    }

    /// The next tick, by the clock.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// Waits until the time that an interval runs is over; for ever where there is none.
    pub(super) async fn elapsed(&mut self) {
        fire(&mut self.elapsed).await;
    }
}

/// Waits for a timer that has not fired; for ever where there is none.
pub(super) async fn fire(timer: &mut Option<Timer>) {
    match timer {
        Some(timer) if !timer.is_elapsed() => timer.await,
        _ => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let time: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_millis(u64::try_from(time.as_millisecond()).unwrap())
    }

    #[test]
    fn cron_expressions_name_times_in_utc() {
        for (cron, from, next) in [
            ("0 3 * * *", "2026-11-21T03:00:00Z", "2026-11-22T03:00:00Z"),
            ("0 3 * * *", "2026-11-21T02:59:59.999Z", "2026-11-21T03:00:00Z"),
            ("*/15 * * * *", "2026-11-21T23:50:01Z", "2026-11-22T00:00:00Z"),
            ("0 0 29 2 *", "2026-11-21T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("30 0 * * MON", "2026-11-21T00:00:00Z", "2026-11-23T00:30:00Z"),
            ("0 4 L * *", "2026-02-01T00:00:00Z", "2026-02-28T04:00:00Z"),
            ("*/10 * * * * *", "2026-11-21T00:00:00.5Z", "2026-11-21T00:00:10Z"),
            ("@daily", "2026-12-31T12:00:00Z", "2027-01-01T00:00:00Z"),
            // The last Sunday of March, when clocks of Central Europe leave out an hour of theirs.
            ("30 1 * * *", "2026-03-29T00:00:00Z", "2026-03-29T01:30:00Z"),
        ] {
            let expression: CronExpression = cron.parse().unwrap();
            assert_eq!(expression.next_after(at(from)), Some(at(next)), "{cron}");
            assert_eq!(expression.to_string(), cron);
        }
    }

    #[test]
    fn what_is_no_cron_expression_is_refused() {
        for text in [
            "",
            "x",
            "* * * *",
            "60 * * * *",
            "* * 32 * *",
            "* * * 13 *",
            "@often",
            "0 3 * * * * * *",
        ] {
            assert!(Schedule::cron(text).is_err(), "{text}");
        }
        let long = format!("0{} * * * *", ",0".repeat(200));
        assert!(Schedule::cron(&long).is_err());
        let now = at("2026-11-21T00:00:00Z");
        assert!(Schedule::Every(Duration::from_micros(999)).check(now).is_err());
        // There is no such day; and this year is over.
        for never in ["0 0 30 2 *", "0 0 0 1 1 * 2025"] {
            let error = Schedule::cron(never).unwrap().check(now).unwrap_err();
            assert!(error.to_string().ends_with(&format!("cron={never}")), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn missed_ticks_are_one() {
        let start = at("2026-11-21T00:00:00Z");
        let mut planner = Planner::new(Schedule::cron("0 * * * *").unwrap(), Some(start), start);
        assert_eq!(planner.due(), Some(at("2026-11-21T01:00:00Z")));
        assert!(!planner.is_due(at("2026-11-21T00:59:59.999Z")));
        let late = at("2026-11-21T05:30:00Z");
        assert!(planner.is_due(late));
        assert_eq!(planner.advance(late), 4);
        assert!(!planner.is_due(late));
        assert_eq!(planner.due(), Some(at("2026-11-21T06:00:00Z")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_delays_nothing() {
        let start = at("2026-11-21T00:00:00Z");
        let mut cron = Planner::new(Schedule::cron("0 * * * *").unwrap(), Some(start), start);
        // A correction of a running clock is no reason to do a tick again.
        cron.advance(at("2026-11-21T01:00:00Z"));
        assert!(!cron.is_due(at("2026-11-21T00:59:59Z")));
        assert!(!cron.is_due(at("2026-11-21T01:00:01Z")));
        // A year back: the next hour of that year counts.
        assert!(!cron.is_due(at("2025-11-21T00:10:00Z")));
        assert!(cron.is_due(at("2025-11-21T01:00:00Z")));

        let minute = Duration::from_secs(60);
        let mut every = Planner::new(Schedule::Every(minute), Some(start), start);
        assert!(!every.is_due(at("2025-11-21T00:00:00Z")));
        every.elapsed().await;
        assert!(every.is_due(at("2025-11-21T00:00:00Z")));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_tick_looks_at_what_there_is() {
        let now = at("2026-11-21T12:00:00Z");
        let hour = Schedule::Every(Duration::from_secs(3600));
        let due = |newest: Option<Timestamp>| Planner::new(hour.clone(), newest, now).due();
        assert_eq!(due(None), Some(now));
        assert_eq!(
            due(Some(at("2026-11-21T11:30:00Z"))),
            Some(at("2026-11-21T12:30:00Z"))
        );
        assert_eq!(
            due(Some(at("2026-11-01T00:00:00Z"))),
            Some(at("2026-11-01T01:00:00Z"))
        );
        // One from the future says nothing.
        assert_eq!(
            due(Some(at("2027-01-01T00:00:00Z"))),
            Some(at("2026-11-21T13:00:00Z"))
        );
        assert!(!Planner::new(Schedule::OnDemand, None, now).is_due(now));
    }
}
