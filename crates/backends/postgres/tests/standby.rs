//! A server with a standby, and what becomes of a store when the standby takes over.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "each test target uses its own part of the support")]

mod support;

use std::time::Duration;

use stead_core::{
    Backend, ErrorKind, KeyRange, Outcome, Revision, Strength, WatchEvent, WatchSpec, WriteBatch,
};
use stead_servers::{PostgresOptions, PostgresServer};
use support::{config, impatient, key, open, patient, put, server, value};

async fn until(server: &PostgresServer, question: &str, answer: &str) {
    for _ in 0..3_000 {
        if server.sql(question).is_ok_and(|answered| answered == answer) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{question} is not {answer}");
}

/// A server whose commits wait for a standby, and that standby.
async fn synchronous_pair() -> (PostgresServer, PostgresServer) {
    let primary = server(PostgresOptions::default());
    let standby = primary.standby("second").unwrap();
    primary
        .sql("ALTER SYSTEM SET synchronous_standby_names = 'second'")
        .unwrap();
    primary.reload().unwrap();
    until(&primary, "SELECT sync_state FROM pg_stat_replication", "sync").await;
    (primary, standby)
}

fn promote(standby: &PostgresServer) {
    assert_eq!(standby.sql("SELECT pg_promote()").unwrap(), "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn synchronous_standby_has_all_that_was_acknowledged() {
    let (primary, standby) = synchronous_pair().await;
    let database = config(&primary.url()).database;
    let both = format!(
        "postgres://stead@{},{}/{database}",
        primary.address(),
        standby.address()
    );
    let store = open(&both, patient()).await.unwrap();
    assert_eq!(store.capabilities().durable, Strength::Replicated);
    let mut last = Revision::ZERO;
    for number in 0..50 {
        last = put(&store, &format!("{number}"), "x").await.unwrap();
    }
    primary.kill().unwrap();
    promote(&standby);
    for number in 0..50 {
        assert!(value(&*store, &format!("{number}")).await.unwrap().is_some());
    }
    // The same handle goes on there: revisions as well.
    let next = put(&store, "next", "x").await.unwrap();
    assert_eq!(next, Revision::new(last.get() + 1));
    assert_eq!(store.check(&|_| ()).await.unwrap().entries, 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_that_no_standby_confirms_is_of_unknown_outcome() {
    let (primary, standby) = synchronous_pair().await;
    let store = open(&primary.url(), impatient()).await.unwrap();
    put(&store, "a", "1").await.unwrap();
    standby.pause().unwrap();
    let error = put(&store, "a", "2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error:?}");
    standby.resume().unwrap();
    until(&primary, "SELECT sync_state FROM pg_stat_replication", "sync").await;
    let store = open(&primary.url(), patient()).await.unwrap();
    put(&store, "a", "3").await.unwrap();
    assert_eq!(value(&*store, "a").await.unwrap().as_deref(), Some("3"));
}

/// What docs/src/servers.md says of a standby that nobody waited for, and of the way out.
#[tokio::test(flavor = "multi_thread")]
async fn promoted_asynchronous_standby_is_raised_above_what_was_lost() {
    let primary = server(PostgresOptions::default());
    let standby = primary.standby("second").unwrap();
    let store = open(&primary.url(), patient()).await.unwrap();
    assert_eq!(store.capabilities().durable, Strength::PowerLoss);
    put(&store, "kept", "x").await.unwrap();
    let written = primary.sql("SELECT pg_current_wal_lsn()").unwrap();
    until(
        &standby,
        &format!("SELECT pg_last_wal_replay_lsn() >= '{written}'"),
        "t",
    )
    .await;
    standby.stop().unwrap();
    let mut lost = Revision::ZERO;
    for _ in 0..5 {
        lost = put(&store, "lost", "x").await.unwrap();
    }
    primary.kill().unwrap();
    standby.restart().unwrap();
    promote(&standby);

    let store = open(&standby.url(), patient()).await.unwrap();
    assert_eq!(value(&*store, "lost").await.unwrap(), None);
    assert!(
        store.stats().await.unwrap().revision < lost,
        "revisions would come again"
    );
    let raised = WriteBatch::new().put(key("back"), "x").raise_to(lost);
    let outcome = store.apply(raised).await.unwrap();
    assert_eq!(outcome, Outcome::Committed(Revision::new(lost.get() + 1)));
    let mut watcher = store
        .watch(&WatchSpec::new(KeyRange::all()).after(Revision::new(lost.get() - 2)))
        .unwrap();
    let told = watcher.next().await.unwrap();
    assert!(matches!(told, WatchEvent::Compacted { .. }), "{told:?}");
}
