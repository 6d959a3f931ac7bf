//! Redis, a Redis Cluster and PostgreSQL: their processes are killed, and connections to them broken.

mod bed;
mod crowd;
mod histories;
mod kills;
mod lane;
mod proxies;
mod weak;

use anyhow::{Result, bail};
use bed::Kind;
use clap::{Args, ValueEnum};

/// Kill real servers under load, and break the connections of concurrent clients
#[derive(Args, Debug)]
pub(crate) struct Servers {
    /// Which server
    #[arg(long, value_enum)]
    engine: Kind,
    /// Only this part; all that there are for the server without
    #[arg(long, value_enum)]
    part: Option<Part>,
    /// How often a server is killed
    #[arg(long)]
    kills: Option<u64>,
    /// How many histories are checked
    #[arg(long)]
    histories: Option<u64>,
    /// Operations in a history
    #[arg(long)]
    operations: Option<usize>,
    /// So much as fits into the tests
    #[arg(long)]
    short: bool,
    /// Which workloads and choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A server is killed and started again: nothing that was acknowledged is lost.
    Kills,
    /// A master of a Cluster is killed and its replica takes over: the loss is declared.
    Failover,
    /// Settings that give acknowledged writes away: the loss is declared.
    Weak,
    /// Concurrent histories over connections that break.
    Histories,
}

/// Runs the parts, and gives the worst of their exit codes.
pub(crate) fn run(arguments: &Servers) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()?;
    let kind = arguments.engine;
    let parts = [Part::Kills, Part::Failover, Part::Weak, Part::Histories];
    let mut worst = 0;
    for part in parts
        .into_iter()
        .filter(|part| arguments.part.is_none_or(|wanted| wanted == *part))
    {
        let amount =
            |given: Option<u64>, short, long| given.unwrap_or(if arguments.short { short } else { long });
        let seed = arguments.seed;
        let code = runtime.block_on(async {
            match (part, kind) {
                (Part::Kills, _) => kills::run(kind, amount(arguments.kills, 6, 300), false, seed).await,
                (Part::Failover, Kind::RedisCluster) => {
                    kills::run(kind, amount(arguments.kills, 1, 40), true, seed).await
                }
                (Part::Weak, Kind::Redis | Kind::Postgres) => {
                    weak::run(kind, amount(arguments.kills, 1, 10)).await
                }
                (Part::Failover | Part::Weak, _) if arguments.part.is_some() => {
                    bail!("there is no such part for {}", kind.name())
                }
                (Part::Failover | Part::Weak, _) => Ok(0),
                (Part::Histories, _) => {
                    let histories = amount(arguments.histories, 1, 200);
                    let operations =
                        arguments
                            .operations
                            .unwrap_or(if arguments.short { 400 } else { 2_000 });
                    histories::run(kind, histories, operations, seed).await
                }
            }
        })?;
        worst = worst.max(code);
    }
    Ok(worst)
}
