//! One run over the engines.

use super::results::{Results, Row};
use super::{ENGINES, compare, page};
use crate::report::Report;

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Entries in each store.
    pub(crate) entries: usize,
    /// Only this engine.
    pub(crate) engine: Option<String>,
    /// Write the table and the charts of the documentation.
    pub(crate) chart: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            entries: 1_000_000,
            engine: None,
            chart: false,
        }
    }
}

impl Settings {
    /// The entries of the stores whose size is measured.
    pub(crate) fn space_entries(&self) -> usize {
        self.entries / 5
    }
}

/// Measures the engines and prints each row as it comes.
pub(crate) fn run(report: &mut Report, settings: &Settings) {
    let mut results = Results::default();
    let wanted = |name: &str| settings.engine.as_deref().is_none_or(|engine| engine == name);
    for engine in ENGINES.iter().filter(|engine| wanted(engine.name)) {
        report.section(&format!(
            "{}: {} entries of 100 bytes; bare: the same records and index records, the same flushes",
            engine.name, settings.entries
        ));
        compare::compare(engine, settings, &mut |row: Row| {
            row.print(report);
            results.push(row);
        });
    }
    if settings.chart {
        page::write(&results, settings).expect("the documentation is written");
    }
}
