//! The printed table: a line for each goal.

use crate::measure::Pair;

/// Collects and prints lines as they come.
#[derive(Default)]
pub(crate) struct Report {
    missed: Vec<String>,
}

impl Report {
    pub(crate) fn section(&self, title: &str) {
        println!("\n{title}");
        println!(
            "{:<58} {:>12} {:>12} {:>8} {:>8}  ",
            "", "stead", "bare", "ratio", "goal"
        );
    }

    /// A ratio that should be at most `goal`.
    pub(crate) fn at_most(&mut self, what: &str, pair: Pair, goal: f64) {
        self.line(what, pair, goal, pair.ratio <= goal, "<=");
    }

    /// A ratio of throughputs that should be at least `goal`; `pair` holds times, so the ratio is turned over.
    pub(crate) fn at_least(&mut self, what: &str, pair: Pair, goal: f64) {
        let pair = Pair {
            ratio: 1.0 / pair.ratio,
            ..pair
        };
        self.line(what, pair, goal, pair.ratio >= goal, ">=");
    }

    /// Two numbers side by side without a goal.
    pub(crate) fn compare(&self, what: &str, pair: Pair) {
        println!(
            "{what:<58} {:>12} {:>12} {:>8.2}",
            show(pair.ours_ns),
            show(pair.bare_ns),
            pair.ratio
        );
    }

    /// One number with a limit.
    pub(crate) fn limit(&mut self, what: &str, value: f64, unit: &str, goal: f64) {
        let met = value <= goal;
        println!(
            "{what:<58} {value:>12.1} {unit:<12} {:>8} {goal:>8.1}  {}",
            "",
            verdict(met)
        );
        if !met {
            self.missed
                .push(format!("{what}: {value:.1} {unit}, goal {goal:.1}"));
        }
    }

    fn line(&mut self, what: &str, pair: Pair, goal: f64, met: bool, relation: &str) {
        println!(
            "{what:<58} {:>12} {:>12} {:>8.2} {relation:>3}{goal:>5.2}  {}",
            show(pair.ours_ns),
            show(pair.bare_ns),
            pair.ratio,
            verdict(met),
        );
        if !met {
            self.missed
                .push(format!("{what}: {:.2}, goal {relation} {goal:.2}", pair.ratio));
        }
    }

    /// Says what was missed, plainly.
    pub(crate) fn finish(&self) {
        if self.missed.is_empty() {
            println!("\nall goals met in this run");
            return;
        }
        println!("\nmissed in this run:");
        for missed in &self.missed {
            println!("  {missed}");
        }
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

fn show(nanos: f64) -> String {
    if nanos < 10_000.0 {
        format!("{nanos:.1} ns")
    } else {
        format!("{:.1} us", nanos / 1000.0)
    }
}
