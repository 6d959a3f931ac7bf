//! What becomes of deadlines in a restore.

use std::time::Duration;

use stead_core::{Expiry, Timestamp, Ttl};

/// What becomes of deadlines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deadlines {
    /// They stay as they were: what has passed meanwhile is not restored.
    #[default]
    Keep,
    /// They are put off by the time since the backup: what had an hour to live has an hour from now.
    Extend,
    /// There are none any more.
    Drop,
}

/// What is done to deadlines.
#[derive(Clone, Copy)]
pub(super) struct Shift {
    rule: Deadlines,
    taken: Timestamp,
    now: Timestamp,
    passed: Duration,
}

pub(super) enum Shifted {
    /// The deadline has passed: the entry is not restored.
    Passed,
    Expiry(Expiry),
}

impl Shift {
    pub(super) fn new(rule: Deadlines, taken: Timestamp, now: Timestamp) -> Self {
        Shift {
            rule,
            taken,
            now,
            passed: taken.until(now),
        }
    }

    pub(super) fn of(&self, deadline: Option<Timestamp>) -> Shifted {
        let Some(deadline) = deadline else {
            return Shifted::Expiry(Expiry::Never);
        };
        let deadline = match self.rule {
            // What was gone when the backup was taken stays gone.
            Deadlines::Drop if deadline <= self.taken => return Shifted::Passed,
            Deadlines::Drop => return Shifted::Expiry(Expiry::Never),
            Deadlines::Keep => deadline,
            // A deadline at the end of time stays there.
            Deadlines::Extend => Ttl::new(self.passed)
                .ok()
                .and_then(|passed| deadline.checked_add(passed))
                .unwrap_or(deadline),
        };
        if deadline <= self.now {
            Shifted::Passed
        } else {
            Shifted::Expiry(Expiry::At(deadline))
        }
    }
}

/// The deadline that an entry gets.
pub(super) fn deadline_of(expiry: Expiry) -> Option<Timestamp> {
    match expiry {
        Expiry::At(deadline) => Some(deadline),
        Expiry::Never | Expiry::Keep | Expiry::After(_) => None,
    }
}
