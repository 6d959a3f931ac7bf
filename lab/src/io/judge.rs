//! What a worker must have done when its system calls failed.

use std::path::Path;

use stead_conformance::crash::{Crash, Failure, FailureKind, Journal, Load};

use super::Campaign;
use crate::child::Ended;
use crate::stand::settle_at;

/// How a failing disk may be reported: never as a damaged file, and never as a bug.
const KINDS: &[&str] = &["unavailable", "unknown_outcome", "full"];

/// How often a poisoned store is asked for another write: a durable one, a buffered one, a sync.
const INSISTED: usize = 3;

/// Whether the worker met a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// The store could not be opened.
    Unopened,
    /// A write failed, and the store was poisoned.
    Stopped,
    /// The store could not be closed cleanly.
    Unclosed,
    /// All was done.
    Nothing,
}

/// How a run ended, if it ended as it must: with an error of the right kind, a handle that refuses all further writes,
/// right answers to reads, and an end of the process by its own decision.
pub(super) fn conduct(ended: &Ended) -> Result<Met, Failure> {
    let wrong = |what: String| {
        let message = format!("{what}; the worker said {:?} and {}", ended.lines, ended.stderr);
        Err(Failure::new(FailureKind::Unusable, message))
    };
    if !ended.status.success() {
        return wrong(format!("the worker did not end by itself: {}", ended.status));
    }
    if let Some(read) = ended.said("reads wrong") {
        return wrong(format!("still open: {read}"));
    }
    let met = [
        ("unopened", Met::Unopened),
        ("stopped", Met::Stopped),
        ("unclosed", Met::Unclosed),
    ];
    let first = met
        .into_iter()
        .find_map(|(word, met)| ended.said(word).map(|kind| (word, kind, met)));
    let Some((word, kind, met)) = first else {
        return Ok(Met::Nothing);
    };
    if !KINDS.contains(&kind) {
        return wrong(format!("a failing disk was reported as {word} {kind}"));
    }
    if met == Met::Stopped {
        let refused = ended
            .lines
            .iter()
            .filter(|line| line.starts_with("refused"))
            .count();
        if refused != INSISTED {
            return wrong(format!(
                "after the failure {refused} of {INSISTED} writes were refused"
            ));
        }
    }
    Ok(met)
}

/// The whole judgement: its conduct, and what it left in `dir` once the disk works again.
pub(super) fn judge(
    campaign: &mut Campaign,
    ended: &Ended,
    dir: &Path,
    journal: &mut Journal,
    load: Load,
) -> Result<Met, Failure> {
    let before = journal.committed();
    let met = conduct(ended)?;
    let settled = settle_at(campaign.engine, dir, journal, load, ended, Crash::Disk);
    campaign.tally.acknowledged += journal.committed() - before;
    settled.map(|_| met)
}
