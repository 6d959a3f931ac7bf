//! What a section counts, and how it says it.

use std::time::Instant;

use stead_conformance::crash::{Failure, FailureKind};

/// The counts of one section on one engine.
///
/// It ends with a line of words that `cargo xtask crash` makes its table of:
/// `result section=kill engine=redb runs=20 acknowledged=4711 lost=0 half=0 reused=0 other=0 seconds=3 verdict=ok`.
pub(crate) struct Tally {
    section: &'static str,
    engine: String,
    begun: Instant,
    /// How often something was made to fail, and the store was verified.
    pub(crate) runs: u64,
    pub(crate) acknowledged: u64,
    lost: u64,
    half: u64,
    reused: u64,
    other: u64,
    not_run: Vec<String>,
}

impl Tally {
    #[expect(clippy::disallowed_methods, reason = "a tool may measure how long it takes")]
    pub(crate) fn new(section: &'static str, engine: &str) -> Self {
        Tally {
            section,
            engine: engine.to_owned(),
            begun: Instant::now(),
            runs: 0,
            acknowledged: 0,
            lost: 0,
            half: 0,
            reused: 0,
            other: 0,
            not_run: Vec::new(),
        }
    }

    /// Counts a failure and prints it with what is needed to see it again.
    pub(crate) fn fail(&mut self, failure: &Failure, circumstances: &str) {
        match failure.kind {
            FailureKind::Lost => self.lost += 1,
            FailureKind::Half => self.half += 1,
            FailureKind::Reused => self.reused += 1,
            _ => self.other += 1,
        }
        println!(
            "FAILED {} {}: {failure}\n  {circumstances}",
            self.section, self.engine
        );
    }

    /// Notes a part that cannot be run here. The section is then no pass.
    pub(crate) fn not_run(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        println!("NOT RUN {} {}: {reason}", self.section, self.engine);
        self.not_run.push(reason);
    }

    pub(crate) fn failures(&self) -> u64 {
        self.lost + self.half + self.reused + self.other
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.begun.elapsed().as_secs()
    }

    /// Prints the line, and gives the exit code: 0 passed, 1 failed, 3 not run or not wholly.
    pub(crate) fn finish(&self) -> u8 {
        let (verdict, code) = match (self.failures(), self.not_run.is_empty(), self.runs) {
            (1.., _, _) => ("failed", 1),
            (0, false, _) | (0, true, 0) => ("not-run", 3),
            (0, true, _) => ("ok", 0),
        };
        println!(
            "result section={} engine={} runs={} acknowledged={} lost={} half={} reused={} other={} seconds={} \
             verdict={verdict}",
            self.section,
            self.engine,
            self.runs,
            self.acknowledged,
            self.lost,
            self.half,
            self.reused,
            self.other,
            self.seconds(),
        );
        code
    }
}
