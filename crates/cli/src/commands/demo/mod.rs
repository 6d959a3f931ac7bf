//! `stead demo`.

mod contend;
mod corpus;
mod kill;
mod report;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use stead::codec::StateClass;
use stead::core::{Outcome, Random, SystemRandom, WriteBatch};
use stead::state::encode_key;
use stead::{Error, StateScope};
use tokio::task::spawn_blocking;

use self::corpus::{Corpus, Piece};
use self::report::{Report, quoted};
use super::check;
use super::set::lost;
use crate::encode::encode;
use crate::exit::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::store::{self, Purpose, Store};
use crate::value::Given;

/// Show what the store does, on a new store of its own
///
/// Stores the metadata of this workspace and the conversation of an agent, reads them back, lets eight tasks move money
/// between two accounts, lets a value expire, kills its own writer with SIGKILL while it writes, and looks at what is
/// there afterwards. Says after each step how to try it by hand. --store has no say here.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// Where the store goes: a directory that is empty or not there yet [default: a new one among the temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// At least this many values
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    entries: u32,
}

/// Entries of one commit.
const COMMIT: usize = 500;
/// How long the value that expires is there.
const LIFETIME: Duration = Duration::from_millis(400);

pub(crate) async fn run(demo: &Demo, output: Output, interrupt: Interrupt) -> Result<()> {
    let dir = directory(demo)?;
    let mut open = None;
    tokio::select! {
        result = show(demo, &dir, &mut open, output) => return result,
        () = interrupt.raised() => {}
    }
    let closed = match open {
        Some(store) => store.backend.close().await,
        None => Ok(()),
    };
    closed?;
    let note = matches!(dir.try_exists(), Ok(true)).then(|| {
        let dir = dir.display().to_string();
        format!("the store stays: remove it with rm -r {}", quoted(&dir))
    });
    Err(Failure::Interrupted(note))
}

/// Goes through the steps. The store that is `open` is the caller's to close when this is dropped.
async fn show(demo: &Demo, dir: &Path, open: &mut Option<Store>, output: Output) -> Result<()> {
    let url = format!("redb:{}", escaped(dir)?);
    let mut report = Report::new(output, &url).await?;

    let wanted = demo.entries as usize;
    let corpus = spawn_blocking(move || corpus::gather(wanted))
        .await
        .map_err(lost)??;
    let store = store::open(&url, Purpose::Make).await?;
    *open = Some(store.clone());
    let loaded = fill(&store, &corpus).await;
    let loaded = match loaded {
        Ok(()) => in_store(&store, &corpus, &mut report).await,
        Err(failure) => Err(failure),
    };
    // The writer that is to be killed needs the store to itself.
    store.backend.close().await?;
    drop(store);
    *open = None;
    loaded?;

    report.begin();
    let writer_url = url.clone();
    let killed = spawn_blocking(move || kill::run(&writer_url))
        .await
        .map_err(lost)??;
    let store = store::open(&url, Purpose::Make).await?;
    *open = Some(store.clone());
    let survived = after_the_kill(&store, &killed, &mut report).await;
    store.backend.close().await?;
    survived?;
    report.end(dir).await
}

/// Writes the corpus.
async fn fill(store: &Store, corpus: &Corpus) -> Result<()> {
    let limits = store.backend.capabilities().limits;
    for pieces in corpus.pieces.chunks(COMMIT) {
        let mut batch = WriteBatch::new();
        for piece in pieces {
            let given = Given::Json(piece.value.clone());
            let stored = encode(&given, StateClass::Standard, None, &limits)?;
            batch = batch.put(encode_key(&piece.scope, &piece.key)?, stored);
        }
        store.backend.apply(batch).await.and_then(Outcome::committed)?;
    }
    Ok(())
}

/// The steps that this process does itself.
async fn in_store(store: &Store, corpus: &Corpus, report: &mut Report) -> Result<()> {
    let entries = corpus.pieces.len();
    let scopes = corpus::scopes(&corpus.pieces);
    let commits = entries.div_ceil(COMMIT);
    report.step(
        "stored",
        &format!(
            "{entries} values in {scopes} scopes, by {commits} durable commits: {} ({} packages), and the {} messages \
             of an agent",
            corpus.source, corpus.packages, corpus.messages
        ),
        &json!({"entries": entries, "scopes": scopes, "packages": corpus.packages, "messages": corpus.messages}),
        &[
            "scopes",
            &format!("list '{}'", corpus.example),
            &format!("get {} message/0012", corpus::agent()),
        ],
    ).await?;

    report.begin();
    compare(store, &corpus.pieces).await?;
    report
        .step(
            "read back",
            &format!("{entries} values, each equal to what was written"),
            &json!({"entries": entries}),
            &[
                &format!("count {}", corpus::agent()),
                &format!("list {} --reverse --limit 3", corpus::agent()),
            ],
        )
        .await?;

    report.begin();
    let contended = contend::run(&store.state).await?;
    let (alice, bob) = contended.balances;
    report.step(
        "contended",
        &format!(
            "{} transfers by {} tasks between two accounts; {} ran again since another was faster; the sum is still {}",
            contended.transfers,
            contend::TASKS,
            contended.repeated,
            alice + bob
        ),
        &json!({"transfers": contended.transfers, "repeated": contended.repeated, "sum": alice + bob}),
        &[
            &format!("list '{}'", contend::bank()),
            &format!("set '{}' alice 500 --if-revision 1    # refused: exit code 3", contend::bank()),
        ],
    ).await?;

    report.begin();
    expire(store).await?;
    report
        .step(
            "expired",
            &format!(
                "a value with a lifetime of {} ms was there, and is not there any more",
                LIFETIME.as_millis()
            ),
            &json!({"lifetime_ms": LIFETIME.as_millis().try_into().unwrap_or(u64::MAX)}),
            &[
                "set session:demo token '{\"user\":7}' --ttl 5s",
                "get session:demo token    # within 5 s, and again later: exit code 1",
            ],
        )
        .await
}

/// Reads every piece and compares it with what was written.
async fn compare(store: &Store, pieces: &[Piece]) -> Result<()> {
    for piece in pieces {
        let found: Option<Value> = store.state.get(&piece.scope, &piece.key).await?;
        if found.as_ref() != Some(&piece.value) {
            return Err(Error::corrupt("a value is not what was written")
                .with("scope", &piece.scope)
                .with("key", &piece.key)
                .into());
        }
    }
    Ok(())
}

async fn expire(store: &Store) -> Result<()> {
    let scope = StateScope::session("demo");
    let state = &store.state;
    state.set_with_ttl(&scope, "short", "gone soon", LIFETIME).await?;
    let before = state.exists(&scope, "short").await?;
    tokio::time::sleep(LIFETIME + Duration::from_millis(20)).await;
    let after = state.exists(&scope, "short").await?;
    if !before || after {
        return Err(Error::internal("a value did not live as long as it was to").into());
    }
    Ok(())
}

async fn after_the_kill(store: &Store, killed: &kill::Killed, report: &mut Report) -> Result<()> {
    let there = kill::verify(&store.state, killed).await?;
    let checked = check::records(&store.backend).await?;
    let values = check::values(&store.backend, checked.entries).await?;
    report.step(
        "killed",
        &format!(
            "`stead apply` by SIGKILL, {} ms after its first answer: it had acknowledged {} lines, and {there} are \
             there; none is lost and none is half there; check: {values} values, {} records, all of them right",
            killed.after.as_millis(),
            killed.acknowledged,
            checked.records
        ),
        &json!({
            "acknowledged": killed.acknowledged, "there": there, "lost": 0,
            "values": values, "records": checked.records,
        }),
        &[
            &format!("get {} last", kill::scope()),
            "check",
            "stats",
            r#"yes '{"op":"incr","scope":"global","key":"n"}' | {stead} apply    # kill it with kill -9, then:"#,
            "get global n",
        ],
    ).await
}

/// The directory of the store, which does not exist yet or is empty.
fn directory(demo: &Demo) -> Result<PathBuf> {
    let Some(dir) = &demo.dir else {
        let name = format!("stead-demo-{:08x}", SystemRandom.next_u64() >> 32);
        return Ok(std::env::temp_dir().join(name));
    };
    let is_taken = match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => false,
        Err(cause) => {
            return Err(Error::invalid("cannot use the directory")
                .with("dir", dir.display())
                .with("reason", cause.kind())
                .because(cause)
                .into());
        }
    };
    if is_taken {
        return Err(
            Error::invalid("the directory is not empty; give the demo one of its own")
                .with("dir", dir.display())
                .into(),
        );
    }
    Ok(dir.clone())
}

/// The path inside a URL.
pub(super) fn escaped(dir: &Path) -> Result<String, Error> {
    let text = dir
        .to_str()
        .ok_or_else(|| Error::invalid("the path is not UTF-8").with("dir", dir.display()))?;
    Ok(text.replace('%', "%25").replace('?', "%3F"))
}
