//! Connections that break.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "each test target uses its own part of the support")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use stead_core::{
    Backend, Durability, ErrorKind, KeyRange, Outcome, Read, RequestId, Revision, WatchEvent, WatchSpec,
    WriteBatch,
};
use stead_postgres::{NetworkOptions, PostgresBackend};
use stead_servers::{Faulty, PgBouncer, PostgresOptions, PostgresServer, SynchronousCommit, Way};
use support::{config, impatient, key, open, patient, put, quick, server, value};

fn batch(path: &str, value: &str) -> WriteBatch {
    WriteBatch::new().put(key(path), value.to_owned())
}

/// Waits until the task that drives a broken connection has noticed.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_server_is_found_again_and_keeps_what_was_acknowledged() {
    let server = server(PostgresOptions::default());
    let store = open(&server.url(), patient()).await.unwrap();
    let mut last = Revision::ZERO;
    for round in 0..3 {
        let revision = put(&store, "a", &round.to_string()).await.unwrap();
        assert!(revision > last, "revisions go on after a crash");
        last = revision;
        server.kill().unwrap();
        server.restart().unwrap();
        assert_eq!(value(&*store, "a").await.unwrap(), Some(round.to_string()));
    }
    assert_eq!(store.check(&|_| ()).await.unwrap().entries, 1);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_wait_for_a_server_that_is_away_until_the_deadline() {
    let server = quick();
    let store = open(&server.url(), patient()).await.unwrap();
    put(&store, "a", "1").await.unwrap();
    let hasty = open(&server.url(), impatient()).await.unwrap();
    server.kill().unwrap();
    let error = value(&*hasty, "a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    let error = put(&hasty, "a", "2").await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Unavailable,
        "nothing was sent: {error:?}"
    );
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { value(&*store, "a").await }
    });
    a_moment().await;
    server.restart().unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().as_deref(), Some("1"));
}

/// A commit whose answer is lost, through a proxy that cuts behind the request.
async fn lose_the_answer(
    proxy: &Faulty,
    store: &PostgresBackend,
    batch: WriteBatch,
) -> stead_core::Result<Outcome> {
    // The connection is there and the statement prepared, so that the next thing to be lost is the answer.
    put(store, "before", "x").await.unwrap();
    proxy.cut_after(Way::ToClient, 0);
    store.apply(batch).await
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answer_without_an_id_is_an_unknown_outcome() {
    let server = quick();
    let proxy = Faulty::before(server.address()).unwrap();
    let store = open(&proxy.url(&server.url()), patient()).await.unwrap();
    let error = lose_the_answer(&proxy, &store, batch("a", "1"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error:?}");
    assert!(error.to_string().contains("request id"), "{error}");
    assert_eq!(
        value(&*store, "a").await.unwrap().as_deref(),
        Some("1"),
        "it had happened"
    );
    put(&store, "a", "2").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answer_with_an_id_is_asked_for_again_and_nothing_happens_twice() {
    let server = quick();
    let proxy = Faulty::before(server.address()).unwrap();
    let store = open(&proxy.url(&server.url()), patient()).await.unwrap();
    let before = store.stats().await.unwrap().revision;
    for round in 0..5_u64 {
        let id = RequestId::new(round.to_be_bytes()).unwrap();
        let outcome = lose_the_answer(&proxy, &store, batch("a", "1").request_id(id))
            .await
            .unwrap();
        let written = store.get(&key("a")).await.unwrap().unwrap().revision();
        assert_eq!(outcome, Outcome::Committed(written));
        let now = store.stats().await.unwrap().revision;
        assert_eq!(
            now.get(),
            before.get() + 2 * (round + 1),
            "each was committed once"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_that_did_not_reach_the_server_whole_is_not_done() {
    let server = quick();
    let proxy = Faulty::before(server.address()).unwrap();
    let store = open(&proxy.url(&server.url()), patient()).await.unwrap();
    put(&store, "before", "x").await.unwrap();
    proxy.cut_after(Way::ToServer, 64);
    let error = store.apply(batch("a", &"v".repeat(10_000))).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::UnknownOutcome,
        "nobody can tell from here: {error:?}"
    );
    assert_eq!(value(&*store, "a").await.unwrap(), None, "half a request is none");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_that_were_cut_are_no_ones_failure() {
    let server = quick();
    let proxy = Faulty::before(server.address()).unwrap();
    let store = open(&proxy.url(&server.url()), patient()).await.unwrap();
    for round in 0..10 {
        put(&store, "a", &round.to_string()).await.unwrap();
        assert_eq!(value(&*store, "a").await.unwrap(), Some(round.to_string()));
        if round % 2 == 0 {
            proxy.cut().unwrap();
        } else {
            proxy.close().unwrap();
        }
        a_moment().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_server_fails_in_time_and_goes_on() {
    let server = quick();
    let store = open(&server.url(), impatient()).await.unwrap();
    put(&store, "a", "1").await.unwrap();
    server.pause().unwrap();
    let error = value(&*store, "a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("timeout"), "{error}");
    let error = put(&store, "a", "2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "it was sent: {error:?}");
    server.resume().unwrap();
    let store = open(&server.url(), patient()).await.unwrap();
    // What was sent may have been done by then, but it does not come back later on.
    put(&store, "a", "3").await.unwrap();
    a_moment().await;
    assert_eq!(value(&*store, "a").await.unwrap().as_deref(), Some("3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_resumes_over_broken_connections_without_a_gap() {
    let server = quick();
    let proxy = Faulty::before(server.address()).unwrap();
    let watching = open(&proxy.url(&server.url()), patient()).await.unwrap();
    let writing = open(&server.url(), patient()).await.unwrap();
    let mut watcher = watching.watch(&WatchSpec::new(KeyRange::all())).unwrap();
    let writer = tokio::spawn(async move {
        let mut written = Vec::new();
        for round in 0..100 {
            written.push(put(&writing, &format!("k{round}"), "x").await.unwrap());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        written
    });
    let cutter = tokio::spawn(async move {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            proxy.cut().unwrap();
        }
        proxy
    });
    let mut seen = Vec::new();
    while seen.len() < 100 {
        match tokio::time::timeout(Duration::from_secs(60), watcher.next())
            .await
            .unwrap()
            .unwrap()
        {
            WatchEvent::Changes(set) => seen.push(set.revision),
            other => panic!("the watch ended: {other:?}"),
        }
    }
    assert_eq!(seen, writer.await.unwrap());
    drop(cutter.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_another_process_are_told_with_and_without_notices() {
    let server = quick();
    let bouncer = PgBouncer::start(&server).unwrap();
    for url in [server.url(), bouncer.url()] {
        let watching = open(&url, patient()).await.unwrap();
        assert_eq!(watching.is_told_of_commits(), url == server.url());
        let writing = open(&server.url(), patient()).await.unwrap();
        let mut watcher = watching.watch(&WatchSpec::new(KeyRange::all())).unwrap();
        for round in 0..3 {
            let revision = put(&writing, "a", &round.to_string()).await.unwrap();
            let event = tokio::time::timeout(Duration::from_secs(60), watcher.next())
                .await
                .unwrap()
                .unwrap();
            let WatchEvent::Changes(set) = event else {
                panic!("the watch ended: {event:?}");
            };
            assert_eq!(set.revision, revision);
        }
        watching.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_that_use_up_their_connections_starve_nobody() {
    let server = quick();
    let mut config = config(&server.url());
    config.snapshots = 2;
    let store = PostgresBackend::open(config, impatient()).await.unwrap();
    let mut held = Vec::new();
    for round in 0..2 {
        put(&store, "a", &round.to_string()).await.unwrap();
        held.push(store.snapshot().await.unwrap());
    }
    // One more of the same revision shares; one of another finds no room.
    let shared = store.snapshot().await.unwrap();
    put(&store, "a", "2").await.unwrap();
    let error = store.snapshot().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("snapshots"), "{error}");
    put(&store, "a", "3").await.unwrap();
    assert_eq!(value(&*store, "a").await.unwrap().as_deref(), Some("3"));
    assert_eq!(value(&*held[0], "a").await.unwrap().as_deref(), Some("0"));
    assert_eq!(value(&*shared, "a").await.unwrap().as_deref(), Some("1"));
    held.clear();
    drop(shared);
    let fresh = store.snapshot().await.unwrap();
    assert_eq!(value(&*fresh, "a").await.unwrap().as_deref(), Some("3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_that_lost_its_connection_says_so_and_never_shows_later_writes() {
    let server = quick();
    let proxy = Faulty::before(server.address()).unwrap();
    let store = open(&proxy.url(&server.url()), patient()).await.unwrap();
    put(&store, "a", "1").await.unwrap();
    let snapshot = store.snapshot().await.unwrap();
    proxy.cut().unwrap();
    put(&store, "a", "2").await.unwrap();
    for _ in 0..2 {
        let error = value(&*snapshot, "a").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("snapshot"), "{error}");
    }
    let fresh = store.snapshot().await.unwrap();
    assert_eq!(value(&*fresh, "a").await.unwrap().as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn server_out_of_connections_is_named() {
    let settings = PostgresOptions::default()
        .without_fsync()
        .with_setting("max_connections", "5")
        .with_setting("superuser_reserved_connections", "0")
        .with_setting("max_wal_senders", "0");
    let server = server(settings);
    let store = open(&server.url(), impatient()).await.unwrap();
    put(&store, "a", "1").await.unwrap();
    let mut held = Vec::new();
    let mut full = None;
    for round in 0..8 {
        put(&store, "a", &round.to_string()).await.unwrap();
        match store.snapshot().await {
            Ok(snapshot) => held.push(snapshot),
            Err(error) => {
                full = Some(error);
                break;
            }
        }
    }
    let error = full.unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("max_connections"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_turns_read_only_is_named_and_waited_for() {
    let server = quick();
    let store = open(&server.url(), impatient()).await.unwrap();
    put(&store, "a", "1").await.unwrap();
    server
        .sql("ALTER ROLE stead SET default_transaction_read_only = on")
        .unwrap();
    server
        .sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'stead'")
        .unwrap();
    a_moment().await;
    let error = put(&store, "a", "2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("primary"), "{error}");
    assert_eq!(value(&*store, "a").await.unwrap().as_deref(), Some("1"));
    server
        .sql("BEGIN READ WRITE; ALTER ROLE stead RESET default_transaction_read_only; COMMIT")
        .unwrap();
    server
        .sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'stead'")
        .unwrap();
    a_moment().await;
    put(&store, "a", "2").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_timeout_of_the_server_is_named() {
    let server = quick();
    let store = open(&server.url(), patient()).await.unwrap();
    put(&store, "a", "1").await.unwrap();
    server
        .sql("ALTER ROLE stead SET statement_timeout = '200ms'")
        .unwrap();
    server
        .sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'stead'")
        .unwrap();
    a_moment().await;
    // Somebody holds the store's lock for longer than that.
    let lock = "SET statement_timeout = 0; BEGIN; SELECT pg_advisory_xact_lock(1937007972, 'stead.changes'::regclass::oid::integer); SELECT pg_sleep(3); COMMIT";
    let held = tokio::task::spawn_blocking({
        let server = Arc::new(server);
        move || server.sql(lock).map(|_| server)
    });
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let error = put(&store, "a", "2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("statement_timeout"), "{error}");
    let server = held.await.unwrap().unwrap();
    assert_eq!(value(&*store, "a").await.unwrap().as_deref(), Some("1"));
    put(&store, "a", "3").await.unwrap();
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_that_is_dropped_under_a_store_is_an_error_and_nothing_missing() {
    let server = quick();
    let store = open(&server.url(), impatient()).await.unwrap();
    put(&store, "a", "1").await.unwrap();
    server.sql("DROP SCHEMA stead CASCADE").unwrap();
    assert_eq!(value(&*store, "a").await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(
        put(&store, "a", "2").await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
}

/// Writes until the server is killed, and gives how many of the acknowledged were there afterwards, and how many not.
async fn kill_under(server: &PostgresServer, durability: Durability) -> (usize, usize) {
    let options = NetworkOptions {
        durability,
        ..impatient()
    };
    let store = open(&server.url(), options).await.unwrap();
    let mut acknowledged = Vec::new();
    let mut last = Revision::ZERO;
    for round in 0..300 {
        let path = format!("k{round}");
        let Ok(revision) = put(&store, &path, "x").await else {
            break;
        };
        last = revision;
        acknowledged.push(path);
        if round == 250 {
            server.kill().unwrap();
        }
    }
    server.restart().unwrap();
    let store = open(&server.url(), patient()).await.unwrap();
    let (mut kept, mut lost) = (0, 0);
    for path in &acknowledged {
        match value(&*store, path).await.unwrap() {
            Some(_) => kept += 1,
            None => lost += 1,
        }
    }
    let next = put(&store, "next", "x").await.unwrap();
    assert!(
        next > last,
        "revision {next} comes behind {last}, which was handed out before the crash"
    );
    if durability == Durability::Durable {
        assert_eq!(next, last.next(), "where nothing can be lost, nothing is skipped");
    }
    store.check(&|_| ()).await.unwrap();
    store.close().await.unwrap();
    (kept, lost)
}

#[tokio::test(flavor = "multi_thread")]
async fn durable_batches_survive_a_killed_server_and_buffered_ones_are_not_called_durable() {
    // The background writer is told to be slow, so that there is something to lose.
    let options = PostgresOptions::default()
        .with_synchronous_commit(SynchronousCommit::Off)
        .with_setting("wal_writer_delay", "10s")
        .with_setting("wal_writer_flush_after", "1GB");
    let server = server(options);
    let (kept, lost) = kill_under(&server, Durability::Durable).await;
    assert!(kept >= 250 && lost == 0, "{kept} kept, {lost} lost");
    server.sql("DROP SCHEMA stead CASCADE").unwrap();
    let (kept, lost) = kill_under(&server, Durability::Buffered).await;
    assert!(
        lost > 0,
        "{kept} kept, {lost} lost: buffered batches are expected to be lost here"
    );
}
