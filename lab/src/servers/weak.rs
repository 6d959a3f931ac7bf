//! Settings under which an acknowledged write may be lost: the store declares it, and here it happens.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use stead_conformance::crash::{Failure, FailureKind, partition};
use stead_core::{Backend, Capabilities, Durability, Key, Outcome, Strength, SystemClock, WriteBatch};
use stead_servers::{
    AppendFsync, PostgresOptions, PostgresServer, RedisOptions, RedisServer, SynchronousCommit,
};

use super::bed::{Kind, Opening, open_at};
use crate::tally::Tally;

/// How many writes are acknowledged before the kill.
const WRITES: u64 = 40;
/// How long the disk of the everysec server takes for an fsync: the server holds writes back meanwhile, for two seconds.
const SLOW_FSYNC: &str = "inject=fdatasync:delay_enter=4000000";

/// What a store was found to lose.
struct Found {
    /// Acknowledged writes of this strength that are gone.
    lost: u64,
    declared: Strength,
}

/// Kills servers whose settings give away acknowledged writes, so often.
pub(super) async fn run(kind: Kind, kills: u64) -> Result<u8> {
    let mut tally = Tally::new("weak", kind.name());
    let mut lost = 0;
    for _ in 0..kills {
        let found = match kind {
            Kind::Redis if !can_trace() => {
                tally.not_run("an fsync is made slow by strace, which is not installed or may not trace");
                break;
            }
            Kind::Redis => everysec().await?,
            Kind::Postgres => unsynced(&mut tally).await?,
            Kind::RedisCluster => anyhow::bail!("what a Cluster gives away is the part failover"),
        };
        tally.runs += 1;
        tally.acknowledged += WRITES;
        lost += found.lost;
        if found.lost > 0 && found.declared >= Strength::ProcessCrash {
            let what = format!("{} writes declared {:?} are gone", found.lost, found.declared);
            tally.fail(&Failure::new(FailureKind::Lost, what), "");
        }
        ensure!(
            found.declared == Strength::Volatile,
            "declared {:?}",
            found.declared
        );
    }
    println!(
        "weak {}: {lost} of {} acknowledged writes that are declared Volatile are gone",
        kind.name(),
        tally.acknowledged
    );
    ensure!(
        tally.runs == 0 || lost > 0,
        "nothing was lost, so nothing was shown"
    );
    Ok(tally.finish())
}

fn opening() -> Opening {
    Opening {
        name: "weak".to_owned(),
        clock: Arc::new(SystemClock),
        timeout: Duration::from_secs(30),
        retry: Duration::from_secs(60),
        sweep: Duration::from_secs(60),
    }
}

/// A Redis server that syncs once a second, on a disk that is slow with it.
async fn everysec() -> Result<Found> {
    let options = RedisOptions::default().with_append_only(AppendFsync::EverySecond);
    let server = RedisServer::start(options)?;
    let store = open_at(&server.url(), &opening()).await?;
    let Capabilities {
        durable, buffered, ..
    } = *store.capabilities();
    ensure!(
        durable == buffered,
        "Redis knows no difference between {durable:?} and {buffered:?}"
    );
    let mut slow = Slow::make(server.pid().context("the server runs")?)?;
    // The first writes begin an fsync that takes long. What follows waits for it in the server's memory.
    write(&*store, "before", 1, Durability::Durable).await?;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    write(&*store, "before", 2, Durability::Durable).await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    for number in 0..WRITES {
        write(&*store, "n", number, Durability::Durable).await?;
    }
    server.kill()?;
    slow.end();
    server.restart()?;
    let lost = missing(&*store, "n").await?;
    store.close().await?;
    Ok(Found {
        lost,
        declared: durable,
    })
}

/// A PostgreSQL server with `synchronous_commit=off`: what was asked for as durable is, what was buffered is not.
async fn unsynced(tally: &mut Tally) -> Result<Found> {
    let options = PostgresOptions::default()
        .with_synchronous_commit(SynchronousCommit::Off)
        .with_setting("wal_writer_delay", "10s");
    let server = PostgresServer::start(options)?;
    let store = open_at(&server.url(), &opening()).await?;
    let Capabilities {
        durable, buffered, ..
    } = *store.capabilities();
    ensure!(durable == Strength::PowerLoss, "declared {durable:?}");
    for number in 0..WRITES {
        write(&*store, "durable", number, Durability::Durable).await?;
    }
    for number in 0..WRITES {
        write(&*store, "buffered", number, Durability::Buffered).await?;
    }
    server.kill()?;
    server.restart()?;
    let lost_durable = missing(&*store, "durable").await?;
    if lost_durable > 0 {
        let what = format!("{lost_durable} durable writes are gone with synchronous_commit=off");
        tally.fail(&Failure::new(FailureKind::Lost, what), "");
    }
    let lost = missing(&*store, "buffered").await?;
    store.close().await?;
    Ok(Found {
        lost,
        declared: buffered,
    })
}

fn key(family: &str, number: u64) -> stead_core::Result<Key> {
    Key::new(&partition(), format!("{family}/{number}"))
}

async fn write(store: &dyn Backend, family: &str, number: u64, durability: Durability) -> Result<()> {
    let batch = WriteBatch::new()
        .put(key(family, number)?, "x")
        .durability(durability);
    let outcome = store.apply(batch).await?;
    ensure!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    Ok(())
}

async fn missing(store: &dyn Backend, family: &str) -> Result<u64> {
    let mut missing = 0;
    for number in 0..WRITES {
        missing += u64::from(store.get(&key(family, number)?).await?.is_none());
    }
    Ok(missing)
}

/// Whether strace is there and may attach to another process.
fn can_trace() -> bool {
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    traced.is_ok_and(|output| output.status.success())
}

/// A tracer that makes the fsyncs of a process slow.
struct Slow(Child);

impl Slow {
    fn make(pid: u32) -> Result<Slow> {
        let mut tracer = Command::new("strace")
            .args([
                "-f",
                "-e",
                "trace=fdatasync",
                "-e",
                SLOW_FSYNC,
                "-p",
                &pid.to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start strace")?;
        let said = tracer.stderr.take().context("strace has an output")?;
        let mut slow = Slow(tracer);
        let mut lines = BufReader::new(said).lines();
        let attached = lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.contains("attached"));
        if !attached {
            slow.end();
            anyhow::bail!("strace cannot attach to the server");
        }
        // What it says further has to go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(slow)
    }

    fn end(&mut self) {
        // It ends with the process that it traces.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.end();
    }
}
