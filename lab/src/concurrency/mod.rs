//! Concurrency: every order of turns in the kit, and long histories on the engines.

mod histories;
mod orders;

use anyhow::Result;

/// Explores the orders in which threads can meet in the embedded kit, and checks concurrent histories on the engines
#[derive(clap::Args)]
pub(crate) struct Concurrency {
    /// So much as fits into the tests
    #[arg(long)]
    short: bool,
    /// Only on these engines; otherwise on all that are compiled in
    #[arg(long = "engine")]
    engines: Vec<String>,
    /// Executions of each scenario under each of shuttle's schedulers; none of that for 0
    #[arg(long)]
    iterations: Option<u32>,
    /// Histories on each engine, half of them of durable writes and half of buffered ones
    #[arg(long)]
    histories: Option<u32>,
    /// Operations in a history
    #[arg(long)]
    operations: Option<usize>,
    /// How often each case of the suite's concurrency, isolation and transactions groups is run on each engine, both
    /// durable and buffered
    #[arg(long)]
    rounds: Option<u32>,
    /// Which executions and histories
    #[arg(long, default_value_t = 0x5eed)]
    seed: u64,
}

/// How much is done.
struct Effort {
    /// For the explorations without a defect; those with one end with the first execution that shows it.
    iterations: u32,
    histories: u32,
    operations: usize,
    rounds: u32,
}

impl Concurrency {
    fn effort(&self) -> Effort {
        let (iterations, histories, operations, rounds) = if self.short {
            (50, 20, 200, 0)
        } else {
            (10_000, 400, 400, 5)
        };
        Effort {
            iterations: self.iterations.unwrap_or(iterations),
            histories: self.histories.unwrap_or(histories),
            operations: self.operations.unwrap_or(operations),
            rounds: self.rounds.unwrap_or(rounds),
        }
    }
}

/// Runs all of it and prints what was done.
///
/// # Errors
///
/// An execution or a history that breaks a rule, or a planted race that was not found.
pub(crate) fn run(arguments: &Concurrency) -> Result<()> {
    let effort = arguments.effort();
    let mut runs = 0;
    if effort.iterations > 0 {
        runs += orders::run(effort.iterations, arguments.short, arguments.seed)?;
    }
    runs += histories::run(&arguments.engines, &effort, arguments.seed)?;
    println!("result section=concurrency engine=all runs={runs} other=0 verdict=ok");
    Ok(())
}
