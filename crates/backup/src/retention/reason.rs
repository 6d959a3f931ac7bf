//! Why a backup is kept.

use std::fmt;
use std::time::Duration;

/// Why a backup is kept. Shown as in a listing: `daily 2026-11-20`, `ancestor of 17`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// One of the newest.
    Last,
    /// The newest of an hour.
    Hourly(String),
    /// The newest of a day.
    Daily(String),
    /// The newest of a week of ISO 8601.
    Weekly(String),
    /// The newest of a month.
    Monthly(String),
    /// The newest of a year.
    Yearly(String),
    /// Not older than that.
    Within(Duration),
    /// It has that tag.
    Tag(String),
    /// One of the newest that are kept whatever their age.
    Minimum,
    /// One of the newest that fit.
    Size,
    /// A backup that is kept is built on it: the newest of those.
    AncestorOf(u64),
    /// The newest full backup that was verified.
    LastVerifiedFull,
    /// The newest full backup, where none was verified.
    LastFull,
    /// It was made at a time that has not come yet.
    Future,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Last => f.write_str("last"),
            Reason::Hourly(hour) => write!(f, "hourly {hour}"),
            Reason::Daily(day) => write!(f, "daily {day}"),
            Reason::Weekly(week) => write!(f, "weekly {week}"),
            Reason::Monthly(month) => write!(f, "monthly {month}"),
            Reason::Yearly(year) => write!(f, "yearly {year}"),
            Reason::Within(length) => write!(f, "within {}", InUnits(*length)),
            Reason::Tag(tag) => write!(f, "tag {tag}"),
            Reason::Minimum => f.write_str("minimum"),
            Reason::Size => f.write_str("size"),
            Reason::AncestorOf(id) => write!(f, "ancestor of {id}"),
            Reason::LastVerifiedFull => f.write_str("last verified full"),
            Reason::LastFull => f.write_str("last full"),
            Reason::Future => f.write_str("made in the future"),
        }
    }
}

/// A duration as [`stead_core::parse_duration`] reads it, in the largest unit that it is a multiple of.
struct InUnits(Duration);

impl fmt::Display for InUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let units = [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1_000),
            ("ms", 1),
        ];
        let fitting = units.iter().find(|(_, unit)| millis.is_multiple_of(*unit));
        let (name, unit) = fitting.unwrap_or(&("ms", 1));
        write!(f, "{}{name}", millis / unit)
    }
}
