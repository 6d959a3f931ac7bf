//! The scenarios of `crates/backends/embedded/tests/interleavings` under shuttle, first as the kit is and then with a
//! race planted in it, which they must find.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::flavour::{End, Flavour, Program, find};

/// The kit with shuttle's locks, and with its defects at hand.
const SHUTTLE: Flavour = Flavour {
    dir: "shuttle",
    cfgs: &["stead_shuttle", "stead_planted"],
    profile: "dev",
};

/// How many schedulers each scenario is run under: `explore` of its `support.rs` names them.
const SCHEDULERS: u64 = 4;

/// A race that must be found.
struct Race {
    name: &'static str,
    what: &'static str,
    /// A scenario that finds it, the one that the short form asks.
    scenario: &'static str,
}

const fn race(name: &'static str, what: &'static str, scenario: &'static str) -> Race {
    Race { name, what, scenario }
}

/// The first three need an unlucky order; no other test sees them.
const RACES: &[Race] = &[
    race(
        "taken-unlocked",
        "the committer takes work from the queue before it has the lock of the writers",
        "writing::buffered_write_never_overtakes_a_durable_one",
    ),
    race(
        "sleep-unlooked",
        "the committer goes to sleep without looking at the queue again",
        "writing::writers_share_commits_and_lose_nothing",
    ),
    race(
        "wake-up-lost",
        "a watcher goes to sleep without looking at the counter of commits again",
        "watching::several_watchers_are_all_woken",
    ),
    race(
        "queue-overtaken",
        "a buffered write overtakes what waits in the queue",
        "writing::buffered_write_never_overtakes_a_durable_one",
    ),
    race(
        "publish-early",
        "watchers are told before the commit is durable",
        "watching::watcher_follows_every_commit",
    ),
    race(
        "acknowledged-early",
        "those who wait are answered before the commit",
        "failing::nobody_is_acknowledged_after_the_first_sync_failed",
    ),
    race(
        "repeat-unsynced",
        "a durable repeat of a buffered request is answered without a sync",
        "writing::one_request_writes_once_whoever_repeats_it",
    ),
    race(
        "poison-forgotten",
        "a failed write leaves the store open for writing",
        "failing::nobody_is_acknowledged_after_the_first_sync_failed",
    ),
    race(
        "close-drops-queue",
        "a close refuses what still waits",
        "watching::watcher_gets_all_that_was_committed_before_the_close",
    ),
];

/// Executions for a planted race, under each scheduler. Most are found within ten, the lost wake-up within a hundred.
const BITE: &str = "200";

/// Far more than it takes in health: with a thousand executions a second.
const LIMIT: Duration = Duration::from_secs(4 * 60 * 60);

/// Explores the kit as it is, then with each race: by all scenarios, or by one each in the short form.
/// Tells how many executions of the kit as it is there were.
pub(super) fn run(iterations: u32, short: bool, seed: u64) -> Result<u64> {
    let programs = SHUTTLE.build(&["--package", "stead-embedded", "--test", "interleavings"])?;
    let program = find(&programs, "interleavings")?;
    let (seed, count) = (seed.to_string(), iterations.to_string());
    let variables = [
        ("STEAD_SHUTTLE_ITERATIONS", count.as_str()),
        ("STEAD_SHUTTLE_SEED", &seed),
        ("RUST_BACKTRACE", "0"),
    ];
    let run = program.run(&[], &variables, LIMIT)?;
    let scenarios = run.demand_green("the scenarios under shuttle")?;
    let executions = scenarios as u64 * SCHEDULERS * u64::from(iterations);
    println!("concurrency: {scenarios} scenarios, {executions} executions, none breaks a rule");
    let mut unseen = Vec::new();
    println!("\n| race | what it does | found by | scenarios that find it |\n|---|---|---|---|");
    for race in RACES {
        let failed = plant(program, race, short, &seed)?;
        if failed.iter().any(|name| name == race.scenario) {
            let number = if short {
                "1 of 1".to_owned()
            } else {
                format!("{} of {scenarios}", failed.len())
            };
            println!(
                "| `{}` | {} | `{}` | {number} |",
                race.name, race.what, race.scenario
            );
        } else {
            println!("| `{}` | {} | - | {} |", race.name, race.what, failed.len());
            unseen.push(race.name);
        }
    }
    println!();
    if !unseen.is_empty() {
        bail!("the scenario that should does not find {}", unseen.join(", "));
    }
    println!(
        "concurrency: {} of {} planted races found",
        RACES.len(),
        RACES.len()
    );
    Ok(executions)
}

/// The scenarios that find a race.
fn plant(program: &Program, race: &Race, short: bool, seed: &str) -> Result<Vec<String>> {
    let variables = [
        ("STEAD_SHUTTLE_ITERATIONS", BITE),
        ("STEAD_SHUTTLE_SEED", seed),
        ("RUST_BACKTRACE", "0"),
        ("STEAD_PLANTED", race.name),
    ];
    let arguments: &[&str] = if short { &["--exact", race.scenario] } else { &[] };
    Ok(match program.run(arguments, &variables, LIMIT)?.end {
        End::Red { failed } => failed,
        End::Green { .. } | End::Hung { .. } => Vec::new(),
    })
}
