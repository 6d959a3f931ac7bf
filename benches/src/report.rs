//! The printed table: a line for each measurement, with its goal where it has one.

use crate::measure::Pair;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds.
    Time,
    /// Operations a second.
    PerSecond,
    /// Bytes, shown in MiB.
    Mebibytes,
}

impl Unit {
    /// The number with its unit.
    pub(crate) fn show(self, number: f64) -> String {
        match self {
            Unit::Time if number < 10_000.0 => format!("{number:.0} ns"),
            Unit::Time if number < 10_000_000.0 => format!("{:.1} us", number / 1e3),
            Unit::Time => format!("{:.1} ms", number / 1e6),
            Unit::PerSecond => format!("{number:.0}/s"),
            Unit::Mebibytes => format!("{:.1} MiB", number / f64::from(1 << 20)),
        }
    }
}

/// What the ratio of Stead to the bare side should come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// Of costs.
    AtMost(f64),
    /// Of throughputs.
    AtLeast(f64),
}

impl Goal {
    pub(crate) fn is_met(self, ratio: f64) -> bool {
        match self {
            Goal::AtMost(limit) => ratio <= limit,
            Goal::AtLeast(limit) => ratio >= limit,
        }
    }

    pub(crate) fn show(self) -> String {
        match self {
            Goal::AtMost(limit) => format!("<= {limit:.2}"),
            Goal::AtLeast(limit) => format!(">= {limit:.2}"),
        }
    }
}

/// Collects and prints lines as they come.
#[derive(Default)]
pub(crate) struct Report {
    section: String,
    missed: Vec<String>,
}

impl Report {
    pub(crate) fn section(&mut self, title: &str) {
        self.section_of(title, ["stead", "bare"]);
    }

    /// A section whose two sides have other names.
    pub(crate) fn section_of(&mut self, title: &str, [one, other]: [&str; 2]) {
        println!("\n{title}");
        println!("{:<58} {one:>12} {other:>12} {:>8} {:>8}  ", "", "ratio", "goal");
        title.clone_into(&mut self.section);
    }

    /// A ratio that should be at most `goal`.
    pub(crate) fn at_most(&mut self, what: &str, pair: Pair, goal: f64) {
        self.line(
            what,
            Unit::Time,
            [pair.ours_ns, pair.bare_ns],
            pair.ratio,
            Some(Goal::AtMost(goal)),
        );
    }

    /// Two times side by side without a goal.
    pub(crate) fn compare(&mut self, what: &str, pair: Pair) {
        self.line(what, Unit::Time, [pair.ours_ns, pair.bare_ns], pair.ratio, None);
    }

    /// One number without a goal.
    pub(crate) fn figure(&mut self, what: &str, value: f64, unit: &str) {
        println!("{what:<58} {value:>12.1} {unit:<12}");
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
            self.miss(&format!("{what}: {value:.1} {unit}, goal {goal:.1}"));
        }
    }

    /// Both sides, their ratio and the goal for it.
    pub(crate) fn line(
        &mut self,
        what: &str,
        unit: Unit,
        [stead, bare]: [f64; 2],
        ratio: f64,
        goal: Option<Goal>,
    ) {
        self.row(what, [unit.show(stead), unit.show(bare)], ratio, goal);
    }

    /// How many times as much both sides do under a load as without.
    #[cfg(feature = "servers")]
    pub(crate) fn gains(&mut self, what: &str, gains: [f64; 2], ratio: f64, goal: f64) {
        let shown = gains.map(|gain| format!("{gain:.2}x"));
        self.row(what, shown, ratio, Some(Goal::AtLeast(goal)));
    }

    fn row(&mut self, what: &str, [stead, bare]: [String; 2], ratio: f64, goal: Option<Goal>) {
        println!(
            "{what:<58} {stead:>12} {bare:>12} {ratio:>8.2} {:>8}  {}",
            goal.map(Goal::show).unwrap_or_default(),
            goal.map_or("", |goal| verdict(goal.is_met(ratio))),
        );
        if let Some(goal) = goal.filter(|goal| !goal.is_met(ratio)) {
            self.miss(&format!("{what}: {ratio:.2}, goal {}", goal.show()));
        }
    }

    fn miss(&mut self, what: &str) {
        let section = self.section.split(':').next().unwrap_or_default();
        self.missed.push(format!("{section}: {what}"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_carry_their_units() {
        assert_eq!(Unit::Time.show(24.4), "24 ns");
        assert_eq!(Unit::Time.show(18_800.0), "18.8 us");
        assert_eq!(Unit::Time.show(12_340_000.0), "12.3 ms");
        assert_eq!(Unit::PerSecond.show(13_200.4), "13200/s");
        assert_eq!(Unit::Mebibytes.show(1_572_864.0), "1.5 MiB");
    }

    #[test]
    fn goals_hold_at_their_limit_and_not_beyond() {
        assert!(Goal::AtMost(1.3).is_met(1.3) && !Goal::AtMost(1.3).is_met(1.31));
        assert!(Goal::AtLeast(0.9).is_met(0.9) && !Goal::AtLeast(0.9).is_met(0.89));
    }

    #[test]
    fn what_is_missed_is_remembered_with_its_section() {
        let mut report = Report::default();
        report.section("redb: something");
        let pair = |ratio| Pair {
            ours_ns: ratio,
            bare_ns: 1.0,
            ratio,
        };
        report.at_most("get", pair(1.2), 1.3);
        report.at_most("scan", pair(1.4), 1.3);
        report.compare("count", pair(9.0));
        assert_eq!(report.missed, ["redb: scan: 1.40, goal <= 1.30"]);
    }
}
