//! What is measured, what it should come to, and what it came to.

use crate::report::{Goal, Report, Unit};

/// One thing that is measured on every engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Get,
    Scan,
    Iterate,
    /// Overwrites of what was not written since the store was opened: Stead has to read it.
    PutFirst,
    /// Overwrites of what was.
    PutBuffered,
    /// The same against a bare side that reads first what the put replaces.
    PutAfterRead,
    Batch,
    PutDurable,
    /// Durable puts of this many threads, against a group commit made by hand.
    ByHand(usize),
    /// The same, against as many threads that commit and sync each by itself.
    Own(usize),
    Reopen,
    DiskLoaded,
    DiskOverwritten,
    Resident,
    ResidentPeak,
}

impl What {
    /// All of them, in the order in which they are shown.
    pub(crate) const ALL: [What; 17] = [
        What::Get,
        What::Scan,
        What::Iterate,
        What::PutFirst,
        What::PutBuffered,
        What::PutAfterRead,
        What::Batch,
        What::PutDurable,
        What::ByHand(16),
        What::Own(16),
        What::ByHand(64),
        What::Own(64),
        What::Reopen,
        What::DiskLoaded,
        What::DiskOverwritten,
        What::Resident,
        What::ResidentPeak,
    ];

    pub(crate) fn title(self) -> String {
        match self {
            What::Get => "cached get".into(),
            What::Scan => "scan of 100".into(),
            What::Iterate => "full iteration, each entry".into(),
            What::PutFirst => "put, buffered, the first of its key".into(),
            What::PutBuffered => "put, buffered".into(),
            What::PutAfterRead => "put, buffered / bare reads it first, too".into(),
            What::Batch => "batch of 100, buffered".into(),
            What::PutDurable => "put, durable, 1 writer".into(),
            What::ByHand(writers) => format!("put, durable, {writers} writers / group commit by hand"),
            What::Own(writers) => format!("put, durable, {writers} writers / each its own fsync"),
            What::Reopen => "reopen after a clean close".into(),
            What::DiskLoaded => "on disk after one load".into(),
            What::DiskOverwritten => "on disk after three overwrites".into(),
            What::Resident => "resident after load and reads".into(),
            What::ResidentPeak => "resident at the most".into(),
        }
    }

    pub(crate) fn unit(self) -> Unit {
        match self {
            What::ByHand(_) | What::Own(_) => Unit::PerSecond,
            What::DiskLoaded | What::DiskOverwritten | What::Resident | What::ResidentPeak => Unit::Mebibytes,
            _ => Unit::Time,
        }
    }

    pub(crate) fn goal(self) -> Option<Goal> {
        match self {
            What::Get | What::Scan | What::PutBuffered => Some(Goal::AtMost(1.3)),
            What::PutDurable => Some(Goal::AtMost(1.25)),
            What::ByHand(_) => Some(Goal::AtLeast(0.9)),
            What::Own(_) => Some(Goal::AtLeast(1.1)),
            _ => None,
        }
    }
}

/// One measurement of one engine: nanoseconds, operations a second or bytes.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) engine: &'static str,
    pub(crate) what: What,
    pub(crate) stead: f64,
    pub(crate) bare: f64,
    /// The median of the ratios of the rounds, Stead over bare.
    pub(crate) ratio: f64,
}

impl Row {
    /// Whether the goal is met; `true` where there is none.
    pub(crate) fn is_met(&self) -> bool {
        self.what.goal().is_none_or(|goal| goal.is_met(self.ratio))
    }

    pub(crate) fn print(&self, report: &mut Report) {
        let sides = [self.stead, self.bare];
        report.line(
            &self.what.title(),
            self.what.unit(),
            sides,
            self.ratio,
            self.what.goal(),
        );
    }
}

/// The rows of a run, engine by engine.
#[derive(Debug, Default)]
pub(crate) struct Results {
    rows: Vec<Row>,
}

impl Results {
    pub(crate) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The engines in the order in which they were measured.
    pub(crate) fn engines(&self) -> Vec<&'static str> {
        let mut engines: Vec<_> = self.rows.iter().map(|row| row.engine).collect();
        engines.dedup();
        engines
    }

    pub(crate) fn get(&self, engine: &str, what: What) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.engine == engine && row.what == what)
    }
}
