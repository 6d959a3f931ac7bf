//! The tables of docs/src/stores.md say what the stores declare when they are opened: with engines on files, and with real
//! servers for those that live on one.
//!
//! `cargo xtask docs` runs this with `STEAD_WRITE_DOCS` set, which writes the tables anew. Without it, a page that says
//! something else is a failure.
#![cfg(all(
    feature = "memory",
    feature = "redb",
    feature = "fjall",
    feature = "rocksdb",
    feature = "sled",
    feature = "redis",
    feature = "postgres"
))]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stead::core::{Capabilities, Durability, Extent, Strength};
use stead_servers::{AppendFsync, PostgresOptions, PostgresServer, RedisCluster, RedisOptions, RedisServer};

const BEGIN: &str = "<!-- begin: cargo xtask docs -->\n";
const END: &str = "<!-- end -->\n";

/// A store as it is opened, and what it declares then.
struct Declared {
    store: String,
    capabilities: Capabilities,
}

#[tokio::test(flavor = "multi_thread")]
async fn page_says_what_the_stores_declare() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/stores.md");
    let old = std::fs::read_to_string(&page).unwrap();
    let new = between_markers(&old, &tables(&declared().await));
    if std::env::var_os("STEAD_WRITE_DOCS").is_some() {
        std::fs::write(&page, new).unwrap();
        return;
    }
    assert_eq!(old, new, "the tables are out of date: run `cargo xtask docs`");
}

async fn declared() -> Vec<Declared> {
    let dir = tempfile::tempdir().unwrap();
    let mut all = vec![of("`memory:`", "memory:").await];
    for engine in ["redb", "fjall", "rocksdb", "sled"] {
        let path: PathBuf = dir.path().join(engine);
        all.push(of(&format!("`{engine}:`"), &format!("{engine}:{}", path.display())).await);
    }
    for (fsync, name) in [
        (AppendFsync::Always, "`redis:`, `appendfsync always`"),
        (AppendFsync::No, "`redis:`, `appendfsync no`"),
        (AppendFsync::EverySecond, "`redis:`, `appendfsync everysec`"),
    ] {
        let server = RedisServer::start(RedisOptions::default().with_append_only(fsync)).unwrap();
        all.push(of(name, &server.url()).await);
    }
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    all.push(of("`redis:`, no append-only file", &server.url()).await);
    let options = RedisOptions::default().with_append_only(AppendFsync::Always);
    let cluster = RedisCluster::start_with(options).unwrap();
    all.push(of("`redis+cluster:` with replicas", &cluster.url()).await);
    all.extend(of_postgres().await);
    all
}

async fn of_postgres() -> [Declared; 3] {
    let server = PostgresServer::start(PostgresOptions::default()).unwrap();
    let plain = of("`postgres:`", &server.url()).await;
    let unsynced = PostgresServer::start(PostgresOptions::default().without_fsync()).unwrap();
    let unsynced = of("`postgres:`, `fsync off`", &unsynced.url()).await;
    // The store is there; nothing that opening it does waits for the standby, which nobody has.
    server
        .sql("ALTER SYSTEM SET synchronous_standby_names = 'elsewhere'")
        .unwrap();
    server.reload().unwrap();
    let read_only = format!("{}?read_only=true", server.url());
    let name = "`postgres:`, synchronous standbys";
    let mut standbys = of(name, &read_only).await;
    // The server reads its settings in its own time.
    for _ in 0..500 {
        if standbys.capabilities.durable != plain.capabilities.durable {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        standbys = of(name, &read_only).await;
    }
    standbys.capabilities.writable = true;
    [plain, standbys, unsynced]
}

async fn of(store: &str, url: &str) -> Declared {
    let opened = stead::open(url).await.unwrap();
    let capabilities = opened.capabilities().clone();
    opened.close().await.unwrap();
    Declared {
        store: store.to_owned(),
        capabilities,
    }
}

fn between_markers(page: &str, tables: &str) -> String {
    let place = "the page has its markers";
    let (before, rest) = page.split_once(BEGIN).expect(place);
    let (_, after) = rest.split_once(END).expect(place);
    format!("{before}{BEGIN}\n{tables}\n{END}{after}")
}

fn tables(all: &[Declared]) -> String {
    let mut out = String::new();
    table(
        &mut out,
        all,
        &[
            ("a batch is atomic across", |it| extent(it.atomicity)),
            ("revisions and snapshots are ordered within", |it| {
                extent(it.revision_order)
            }),
            ("a `Durable` write survives", |it| strength(it.durable)),
            ("a `Buffered` write survives", |it| strength(it.buffered)),
            ("default", |it| durability(it.default_durability)),
            ("is there after a restart", |it| yes(it.persistent)),
        ],
    );
    out.push('\n');
    table(
        &mut out,
        all,
        &[
            ("deadlines", |it| yes(it.ttl)),
            ("snapshots", |it| yes(it.snapshots)),
            ("watches", |it| yes(it.watch)),
            ("range preconditions", |it| yes(it.range_preconditions)),
            ("reverse scans", |it| yes(it.reverse_scans)),
            ("request ids", |it| yes(it.request_ids)),
            ("largest value", |it| mebibytes(it.limits.value_bytes)),
            ("largest batch", |it| mebibytes(it.limits.batch_bytes)),
        ],
    );
    out
}

type Column = (&'static str, fn(&Capabilities) -> String);

fn table(out: &mut String, all: &[Declared], columns: &[Column]) {
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let _ = writeln!(out, "| store | {} |", heads.join(" | "));
    let _ = writeln!(out, "|---|{}", "---|".repeat(columns.len()));
    for Declared { store, capabilities } in all {
        let cells: Vec<String> = columns.iter().map(|(_, cell)| cell(capabilities)).collect();
        let _ = writeln!(out, "| {store} | {} |", cells.join(" | "));
    }
}

fn extent(extent: Extent) -> String {
    match extent {
        Extent::Partition => "a partition".into(),
        Extent::Store => "the store".into(),
    }
}

fn strength(strength: Strength) -> String {
    match strength {
        Strength::Volatile => "nothing".into(),
        Strength::ProcessCrash => "the end of the process".into(),
        Strength::PowerLoss => "a power failure".into(),
        Strength::Replicated => "the loss of a machine".into(),
    }
}

fn durability(durability: Durability) -> String {
    match durability {
        Durability::Buffered => "buffered".into(),
        Durability::Durable => "durable".into(),
    }
}

fn yes(holds: bool) -> String {
    if holds { "yes" } else { "no" }.into()
}

fn mebibytes(bytes: usize) -> String {
    format!("{} MiB", bytes >> 20)
}
