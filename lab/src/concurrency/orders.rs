//! The scenarios of `crates/backends/embedded/tests/interleavings` under shuttle, first as the kit is and then with a
//! race planted in it, which they must find.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::flavour::{End, Flavour, find};

/// The kit with shuttle's locks, and with its defects at hand.
const SHUTTLE: Flavour = Flavour {
    dir: "shuttle",
    cfgs: &["stead_shuttle", "stead_planted"],
    profile: "dev",
};

/// How many schedulers each scenario is run under: `explore` of its `support.rs` names them.
const SCHEDULERS: usize = 4;

/// What must be found, and what it does. The first three need an unlucky order; no other test sees them.
const RACES: &[(&str, &str)] = &[
    (
        "taken-unlocked",
        "the committer takes work from the queue before it has the lock of the writers",
    ),
    (
        "sleep-unlooked",
        "the committer goes to sleep without looking at the queue again",
    ),
    (
        "wake-up-lost",
        "a watcher goes to sleep without looking at the counter of commits again",
    ),
    (
        "queue-overtaken",
        "a buffered write overtakes what waits in the queue",
    ),
    ("publish-early", "watchers are told before the commit is durable"),
    (
        "acknowledged-early",
        "those who wait are answered before the commit",
    ),
    (
        "repeat-unsynced",
        "a durable repeat of a buffered request is answered without a sync",
    ),
    (
        "poison-forgotten",
        "a failed write leaves the store open for writing",
    ),
    ("close-drops-queue", "a close refuses what still waits"),
];

/// Executions for a planted race: each of these was found within a tenth of it.
const BITE: &str = "200";

/// Far more than it takes in health: with a thousand executions a second.
const LIMIT: Duration = Duration::from_secs(4 * 60 * 60);

pub(super) fn run(iterations: u32, seed: u64) -> Result<()> {
    let programs = SHUTTLE.build(&["--package", "stead-embedded", "--test", "interleavings"])?;
    let program = find(&programs, "interleavings")?;
    let seed = seed.to_string();
    let count = iterations.to_string();
    let variables = [
        ("STEAD_SHUTTLE_ITERATIONS", count.as_str()),
        ("STEAD_SHUTTLE_SEED", &seed),
        ("RUST_BACKTRACE", "0"),
    ];
    let run = program.run(&[], &variables, LIMIT)?;
    let scenarios = run.demand_green("the scenarios under shuttle")?;
    println!(
        "concurrency: {scenarios} scenarios, {} executions, none breaks a rule",
        scenarios as u64 * SCHEDULERS as u64 * u64::from(iterations)
    );
    let mut unseen = Vec::new();
    println!("\n| race | what it does | scenarios that find it | one of them |\n|---|---|---|---|");
    for (name, what) in RACES {
        let variables = [
            ("STEAD_SHUTTLE_ITERATIONS", BITE),
            ("STEAD_SHUTTLE_SEED", seed.as_str()),
            ("RUST_BACKTRACE", "0"),
            ("STEAD_PLANTED", name),
        ];
        let run = program.run(&[], &variables, LIMIT)?;
        match run.end {
            End::Red { mut failed } if !failed.is_empty() => {
                failed.sort_unstable();
                println!(
                    "| `{name}` | {what} | {} | `{}` |",
                    failed.len(),
                    failed[failed.len() - 1]
                );
            }
            _ => {
                println!("| `{name}` | {what} | none | - |");
                unseen.push(*name);
            }
        }
    }
    println!();
    if !unseen.is_empty() {
        bail!("shuttle does not find {}", unseen.join(", "));
    }
    println!(
        "concurrency: {} of {} planted races found",
        RACES.len(),
        RACES.len()
    );
    Ok(())
}
