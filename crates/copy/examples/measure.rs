//! How long a copy takes and how much memory: the figures of docs/src/copy.md.
//!
//! ```sh
//! cargo run --release -p stead-copy --example measure -- 'redb:/tmp/from?cache=32MiB' 'redb:/tmp/to?cache=32MiB' 1000000
//! cargo run --release -p stead-copy --example measure -- 'redb:/tmp/from?cache=32MiB' postgres 1000000
//! ```
//!
//! A source that is missing is made by a process of its own, with keys of 30 bytes and JSON values of 100 bytes. `postgres`
//! and `redis` as targets start private servers. Linux tells the peak of resident memory.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use stead_copy::{Copier, CopyOptions};
use stead_core::{Backend, Error, Key, Partition, Result, StoreUrl, WriteBatch};
use stead_servers::{PostgresOptions, PostgresServer, RedisOptions, RedisServer};

/// Entries of one commit.
const COMMIT: u64 = 1000;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime
        .map_err(|cause| Error::unavailable("no threads to run on").because(cause))
        .and_then(|runtime| runtime.block_on(run()));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["fill", url, entries] => fill(url, entries).await,
        [from, to, entries] => measure(from, to, entries).await,
        _ => Err(Error::invalid(
            "give the source, the target and the number of entries",
        )),
    }
}

async fn open(url: &str) -> Result<Arc<dyn Backend>> {
    let url: StoreUrl = url.parse()?;
    match url.scheme() {
        "redb" => stead_redb::open_url(url).await,
        "postgres" => stead_postgres::open_url(url).await,
        "redis" | "redis+cluster" => stead_redis::open_url(url).await,
        scheme => Err(Error::invalid("no such backend here").with("scheme", scheme)),
    }
}

async fn fill(url: &str, entries: &str) -> Result<()> {
    let entries: u64 = entries
        .parse()
        .map_err(|_| Error::invalid("not a number of entries"))?;
    let store = open(url).await?;
    for first in (0..entries).step_by(usize::try_from(COMMIT).unwrap_or(1)) {
        let mut batch = WriteBatch::new();
        for number in first..entries.min(first + COMMIT) {
            // 30 bytes: 10 of the partition, the separator, 19 of the path.
            let partition = Partition::new(format!("agent:{:04}", number % 1_000))?;
            let key = Key::new(&partition, format!("note/{number:014}"))?;
            let value = format!("{{\"n\":{number:010},\"text\":\"{:x<74}\"}}", number * 7_919);
            batch = batch.put(key, value);
        }
        store.apply(batch).await?.committed()?;
    }
    store.close().await
}

async fn measure(from: &str, to: &str, entries: &str) -> Result<()> {
    let place = from.split_once(':').map_or(from, |(_, place)| place);
    if !Path::new(place.split('?').next().unwrap_or(place)).exists() {
        let program =
            std::env::current_exe().map_err(|cause| Error::internal("no program").because(cause))?;
        let made = Command::new(program).args(["fill", from, entries]).status();
        if !made.is_ok_and(|made| made.success()) {
            return Err(Error::unavailable("the source was not made"));
        }
    }
    let started = |error| Error::unavailable(format!("no server: {error:#}"));
    let (mut postgres, mut redis) = (None, None);
    let to = match to {
        "postgres" => postgres
            .insert(PostgresServer::start(PostgresOptions::default()).map_err(started)?)
            .url(),
        "redis" => redis
            .insert(RedisServer::start(RedisOptions::default()).map_err(started)?)
            .url(),
        url => url.to_owned(),
    };
    let (source, target) = (open(from).await?, open(&to).await?);
    #[expect(clippy::disallowed_methods, reason = "it measures")]
    let begun = std::time::Instant::now();
    let copier = Copier::begin(Arc::clone(&source), Arc::clone(&target), CopyOptions::new(from)).await?;
    let report = copier.run().await?;
    let seconds = begun.elapsed().as_secs_f64();
    target.close().await?;
    source.close().await?;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or("VmHWM unknown");
    println!(
        "{} entries of {} bytes in {seconds:.1} s, {peak}",
        report.verified.entries, report.verified.bytes
    );
    Ok(())
}
