//! The tables and charts of docs/src/performance.md, made from the results of a run.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use super::results::{Results, Row, What};
use super::run::Settings;
use crate::chart::{Chart, Group, Panel};

const BEGIN: &str = "<!-- begin: cargo xtask bench engines --chart -->\n";
const END: &str = "<!-- end -->\n";

/// Writes the tables between the markers of the page, and the charts beside it.
///
/// # Errors
///
/// A failure to read or write, or a page without its markers.
pub(super) fn write(results: &Results, settings: &Settings) -> io::Result<()> {
    let docs = docs();
    let page = docs.join("performance.md");
    let old = std::fs::read_to_string(&page)?;
    let new = between_markers(&old, &tables(results, settings)).ok_or_else(|| {
        io::Error::other("performance.md has no place for the tables; put the begin and end markers back")
    })?;
    std::fs::write(&page, new)?;
    let charts = docs.join("performance");
    std::fs::create_dir_all(&charts)?;
    std::fs::write(charts.join("speed.svg"), speed(results).to_svg())?;
    std::fs::write(charts.join("space.svg"), space(results).to_svg())?;
    println!("\nwrote the tables and charts of {}", page.display());
    Ok(())
}

/// Asked at run time: checkouts that share a target directory share this program.
fn docs() -> PathBuf {
    let manifest_dir =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&manifest_dir).join("../docs/src")
}

fn between_markers(page: &str, tables: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{tables}\n{END}{after}"))
}

fn tables(results: &Results, settings: &Settings) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "Ratios of Stead to the bare engine, {} entries of 100 bytes; costs, but throughputs where the goal is a lower \
         bound. What misses its goal is in bold.\n",
        thousands(settings.entries)
    );
    let measured = |what: &What| {
        let has = |engine: &&str| results.get(engine, *what).is_some();
        results.engines().iter().any(has)
    };
    let whats = || What::ALL.into_iter().filter(measured);
    head(&mut out, results, &["goal"]);
    for what in whats() {
        let goal = what.goal().map(crate::report::Goal::show).unwrap_or_default();
        line(&mut out, results, what, &[&goal], |row| {
            if row.is_met() {
                format!("{:.2}", row.ratio)
            } else {
                format!("**{:.2}**", row.ratio)
            }
        });
    }
    let _ = writeln!(
        out,
        "\nThe same in figures: under Stead / bare. On disk and resident: {} entries.\n",
        thousands(settings.space_entries())
    );
    head(&mut out, results, &[]);
    for what in whats() {
        line(&mut out, results, what, &[], |row| {
            format!("{} / {}", what.unit().show(row.stead), what.unit().show(row.bare))
        });
    }
    out
}

fn head(out: &mut String, results: &Results, more: &[&str]) {
    let columns = [&results.engines()[..], more].concat();
    let _ = writeln!(out, "| | {} |", columns.join(" | "));
    let _ = writeln!(out, "|---|{}", "---|".repeat(columns.len()));
}

fn line(out: &mut String, results: &Results, what: What, more: &[&str], cell: impl Fn(&Row) -> String) {
    let cell = |engine| results.get(engine, what).map(&cell).unwrap_or_default();
    let mut cells: Vec<String> = results.engines().into_iter().map(cell).collect();
    cells.extend(more.iter().map(|&more| more.to_owned()));
    let _ = writeln!(out, "| {} | {} |", what.title(), cells.join(" | "));
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(<[u8]>::to_vec).collect();
    String::from_utf8(groups.join(&b","[..])).expect("digits")
}

/// A panel of two bars for each engine, the values divided by `scale`.
fn panel(results: &Results, what: What, unit: &'static str, scale: f64) -> Panel {
    groups(results, &what.title(), unit, |engine| {
        let row = results.get(engine, what)?;
        Some(vec![row.stead / scale, row.bare / scale])
    })
}

/// Stead, a group commit by hand, and each writer with an fsync of its own.
fn writers(results: &Results, writers: usize) -> Panel {
    let title = format!("put, durable, {writers} writers");
    groups(results, &title, "thousand a second, higher is better", |engine| {
        let by_hand = results.get(engine, What::ByHand(writers))?;
        let own = results.get(engine, What::Own(writers))?;
        Some(
            [by_hand.stead, by_hand.bare, own.bare]
                .map(|rate| rate / 1e3)
                .to_vec(),
        )
    })
}

fn groups(
    results: &Results,
    title: &str,
    unit: &'static str,
    values: impl Fn(&str) -> Option<Vec<f64>>,
) -> Panel {
    let group = |engine: &'static str| {
        Some(Group {
            label: engine.to_owned(),
            values: values(engine)?,
        })
    };
    Panel {
        title: title.to_owned(),
        unit,
        groups: results.engines().into_iter().filter_map(group).collect(),
    }
}

fn speed(results: &Results) -> Chart {
    Chart {
        title: "Speed of the engines, bare and under Stead".to_owned(),
        series: vec![
            "Stead",
            "bare engine, the same records (writers: group commit by hand)",
            "bare engine, each writer its own fsync",
        ],
        panels: vec![
            panel(results, What::Get, "us", 1e3),
            panel(results, What::Scan, "us", 1e3),
            panel(results, What::PutBuffered, "us", 1e3),
            panel(results, What::Batch, "us", 1e3),
            panel(results, What::PutDurable, "us", 1e3),
            panel(results, What::Iterate, "us", 1e3),
            writers(results, 16),
            writers(results, 64),
        ],
    }
}

fn space(results: &Results) -> Chart {
    let mebibyte = f64::from(1 << 20);
    Chart {
        title: "Size of the engines' stores, and opening them".to_owned(),
        series: vec!["Stead", "bare engine, the same records"],
        panels: vec![
            panel(results, What::DiskLoaded, "MiB", mebibyte),
            panel(results, What::DiskOverwritten, "MiB", mebibyte),
            panel(results, What::Resident, "MiB", mebibyte),
            panel(results, What::Reopen, "ms", 1e6),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        let mut results = Results::default();
        for (engine, ratio) in [("redb", 0.7), ("sled", 1.4)] {
            for what in [What::Get, What::ByHand(16), What::Own(16), What::DiskLoaded] {
                results.push(Row {
                    engine,
                    what,
                    stead: ratio * 2e3,
                    bare: 2e3,
                    ratio,
                });
            }
        }
        results
    }

    #[test]
    fn table_names_the_engines_and_marks_what_is_missed() {
        let tables = tables(&results(), &Settings::default());
        assert!(tables.contains("1,000,000 entries of 100 bytes"), "{tables}");
        assert!(
            tables.contains("| | redb | sled | goal |\n|---|---|---|---|\n"),
            "{tables}"
        );
        assert!(
            tables.contains("| cached get | 0.70 | **1.40** | <= 1.30 |\n"),
            "{tables}"
        );
        assert!(
            tables.contains(
                "| put, durable, 16 writers / group commit by hand | **0.70** | 1.40 | >= 0.90 |\n"
            ),
            "{tables}"
        );
        assert!(
            tables.contains("| cached get | 1400 ns / 2000 ns | 2800 ns / 2000 ns |\n"),
            "{tables}"
        );
        assert!(
            !tables.contains("reopen"),
            "what was not measured has no row: {tables}"
        );
    }

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let page = format!("before\n{BEGIN}old\n{END}after\n");
        let once = between_markers(&page, "new\n").expect("it has markers");
        assert_eq!(once, format!("before\n{BEGIN}\nnew\n\n{END}after\n"));
        assert_eq!(between_markers(&once, "new\n"), Some(once.clone()));
        assert_eq!(between_markers("no markers", "new\n"), None);
    }

    #[test]
    fn page_of_the_documentation_has_its_markers() {
        let page = std::fs::read_to_string(docs().join("performance.md")).expect("the page is there");
        assert!(between_markers(&page, "").is_some());
    }

    #[test]
    fn writers_have_three_bars_and_the_others_two() {
        let speed = speed(&results());
        let values = |panel: &Panel| {
            panel
                .groups
                .iter()
                .map(|group| group.values.len())
                .collect::<Vec<_>>()
        };
        assert_eq!(values(&speed.panels[0]), [2, 2]);
        assert_eq!(values(&speed.panels[6]), [3, 3]);
        assert!(values(&speed.panels[7]).is_empty(), "it was not measured");
        assert_eq!(space(&results()).panels.len(), 4);
    }
}
