//! Planted faults: each defect of a list is switched on in turn, and some test must notice.

mod faults;

use std::time::Duration;

use anyhow::{Result, bail, ensure};

use self::faults::{FAULTS, Fault};
use crate::flavour::{End, Flavour, Program, Run, find};

/// How the embedded kit is built with its defects.
const PLANTED: Flavour = Flavour {
    dir: "planted",
    cfgs: &["stead_planted"],
    profile: "dev",
};

/// How long a program of tests may take in good health, where it takes seconds, and one chosen test.
const HEALTHY: Duration = Duration::from_secs(600);
const TEST: Duration = Duration::from_secs(60);

/// How long a program may take with a defect on. Some tests then wait for what never comes; that alone does not count.
const ILL: Duration = Duration::from_secs(20);
const SUITE: Duration = Duration::from_secs(120);

/// Plants defects in the embedded kit, one at a time, and shows which test notices each
#[derive(clap::Args)]
pub(crate) struct Planted {
    /// Ask one chosen test about each defect, and the others only where it notices nothing; otherwise ask all of them,
    /// and the conformance suite on redb
    #[arg(long)]
    short: bool,
    /// Only these defects; all without names
    names: Vec<String>,
}

/// What noticed a defect.
#[derive(Default)]
struct Caught {
    tests: Vec<String>,
    cases: Vec<String>,
}

impl Caught {
    fn is_caught(&self) -> bool {
        !self.tests.is_empty() || !self.cases.is_empty()
    }

    fn first(&self) -> &str {
        let first = self.tests.first().or_else(|| self.cases.first());
        first.map_or("nothing", String::as_str)
    }
}

/// The tests of the kit, and the conformance suite on redb where it is asked.
struct Tests {
    kit: Vec<Program>,
    suite: Option<Program>,
}

/// Plants the defects and prints the table.
///
/// # Errors
///
/// A defect that nothing noticed, or a test that fails without one.
pub(crate) fn run(arguments: &Planted) -> Result<()> {
    let chosen = chosen(&arguments.names)?;
    let tests = build(arguments.short)?;
    let green = tests.all_green()?;
    println!("planted: {green} tests pass while no defect is on");
    let mut survivors = Vec::new();
    let mut rows = Vec::new();
    for fault in &chosen {
        let caught = if arguments.short {
            tests.ask_one(fault)?
        } else {
            tests.ask_all(fault)?
        };
        if caught.is_caught() {
            println!("planted: {}: noticed by {}", fault.name, caught.first());
        } else {
            println!("planted: {}: SURVIVED", fault.name);
            survivors.push(fault.name);
        }
        rows.push((*fault, caught));
    }
    print(&rows, arguments.short);
    println!(
        "planted: {} of {} noticed",
        chosen.len() - survivors.len(),
        chosen.len()
    );
    let verdict = if survivors.is_empty() { "ok" } else { "failed" };
    println!(
        "result section=planted engine=all runs={} other={} verdict={verdict}",
        chosen.len(),
        survivors.len()
    );
    if !survivors.is_empty() {
        bail!("nothing notices {}", survivors.join(", "));
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Fault>> {
    for name in names {
        ensure!(
            FAULTS.iter().any(|fault| fault.name == name),
            "there is no defect {name}; they are {}",
            FAULTS
                .iter()
                .map(|fault| fault.name)
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
    let wanted = |fault: &&Fault| names.is_empty() || names.iter().any(|name| name == fault.name);
    Ok(FAULTS.iter().filter(wanted).collect())
}

fn build(short: bool) -> Result<Tests> {
    let kit = PLANTED.build(&["--package", "stead-embedded", "--tests"])?;
    let suite = if short {
        None
    } else {
        let programs = PLANTED.build(&["--package", "stead-redb", "--test", "conformance"])?;
        Some(find(&programs, "conformance")?.clone())
    };
    Ok(Tests { kit, suite })
}

impl Tests {
    fn all_green(&self) -> Result<usize> {
        let mut passed = 0;
        for program in self.kit.iter().filter(|program| has_tests(program)) {
            let run = program.run(&[], &[], HEALTHY)?;
            passed += run.demand_green(&program.name)?;
        }
        if let Some(suite) = &self.suite {
            let run = suite.run(&["redb::"], &[], HEALTHY)?;
            passed += run.demand_green("the conformance suite on redb")?;
        }
        Ok(passed)
    }

    /// Asks the chosen test, and all of the kit's where it notices nothing.
    fn ask_one(&self, fault: &Fault) -> Result<Caught> {
        let (target, test) = fault.test;
        let program = find(&self.kit, target)?;
        let run = program.run(&["--exact", test], &[("STEAD_PLANTED", fault.name)], TEST)?;
        ensure!(
            run.end != End::Green { passed: 0 },
            "there is no test {target}::{test}"
        );
        let mut caught = Caught::default();
        caught.take(&run, target);
        if !caught.is_caught() {
            self.ask_kit(fault, &mut caught)?;
        }
        Ok(caught)
    }

    /// Asks every test of the kit, the chosen one first, and the cases of the suite that ought to notice.
    fn ask_all(&self, fault: &Fault) -> Result<Caught> {
        let mut caught = self.ask_one(fault)?;
        self.ask_kit(fault, &mut caught)?;
        if let Some(suite) = &self.suite {
            for group in fault.suite {
                let filter = format!("redb::{group}::");
                let run = suite.run(&[&filter], &[("STEAD_PLANTED", fault.name)], SUITE)?;
                if let End::Red { failed } | End::Hung { failed } = run.end {
                    caught.cases.extend(failed);
                }
            }
        }
        Ok(caught)
    }

    fn ask_kit(&self, fault: &Fault, caught: &mut Caught) -> Result<()> {
        for program in self.kit.iter().filter(|program| has_tests(program)) {
            let run = program.run(&[], &[("STEAD_PLANTED", fault.name)], ILL)?;
            caught.take(&run, &program.name);
        }
        Ok(())
    }
}

/// Whether a target has tests in this flavour.
fn has_tests(program: &Program) -> bool {
    program.name != "interleavings"
}

impl Caught {
    fn take(&mut self, run: &Run, target: &str) {
        let failed = match &run.end {
            End::Green { .. } => return,
            End::Red { failed } | End::Hung { failed } => failed,
        };
        for test in failed {
            let name = format!("{target}::{test}");
            if !self.tests.contains(&name) {
                self.tests.push(name);
            }
        }
    }
}

fn print(rows: &[(&Fault, Caught)], short: bool) {
    println!();
    if short {
        println!("| defect | what it does | noticed by |\n|---|---|---|");
        for (fault, caught) in rows {
            println!("| `{}` | {} | `{}` |", fault.name, fault.what, caught.first());
        }
    } else {
        println!("| defect | what it does | noticed first by | tests of the kit | cases on redb |");
        println!("|---|---|---|---|---|");
        for (fault, caught) in rows {
            let cases = if fault.suite.is_empty() {
                "-".to_owned()
            } else {
                caught.cases.len().to_string()
            };
            println!(
                "| `{}` | {} | `{}` | {} | {cases} |",
                fault.name,
                fault.what,
                caught.first(),
                caught.tests.len()
            );
        }
    }
    println!();
}
