//! A machine that runs out of memory kills one process of the server, and the server ends all others and begins anew.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "each test target uses its own part of the support")]

mod support;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use stead_core::{
    Backend, ErrorKind, KeyRange, RequestId, Revision, WatchEvent, WatchSpec, Watcher, WriteBatch,
};
use stead_postgres::PostgresBackend;
use stead_servers::{PostgresOptions, PostgresServer};
use support::{key, open, patient, put, server, value};

const KILLS: usize = 3;

/// How often a process of the server was killed, as its log tells.
fn crashes(server: &PostgresServer) -> usize {
    let log = std::fs::read_to_string(server.directory().join("server.log")).unwrap();
    log.matches("was terminated by signal 9").count()
}

/// Kills one of the server's processes that serve a store, and waits until the server has noticed.
async fn kill_a_backend(server: &PostgresServer) {
    let asked = "SELECT pid FROM pg_stat_activity WHERE application_name = 'stead' AND pid <> pg_backend_pid() LIMIT 1";
    let before = crashes(server);
    // Right after the last time the server may not answer yet, or nobody may have come back to it.
    let pid: u32 = soon(|| server.sql(asked).ok()?.trim().parse().ok()).await;
    let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
    assert!(killed.unwrap().success());
    soon(|| (crashes(server) > before).then_some(())).await;
}

/// What `look` finds within a minute.
async fn soon<T>(look: impl Fn() -> Option<T>) -> T {
    for _ in 0..1200 {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not come about")
}

/// Puts `prefix/0`, `prefix/1` and so on, and gives what was acknowledged, and how many were not.
///
/// With request ids all of them are. Without, the store says of one that it may have been done, or that it was not.
async fn write(store: Arc<PostgresBackend>, prefix: &'static str, count: usize) -> (Vec<Revision>, usize) {
    let (mut acknowledged, mut unknown) = (Vec::new(), 0);
    for number in 0..count {
        let path = format!("{prefix}/{number}");
        let mut batch = WriteBatch::new().put(key(&path), "x");
        if prefix == "repeated" {
            batch = batch.request_id(RequestId::new(path).unwrap());
        }
        match store.apply(batch).await {
            Ok(outcome) => acknowledged.push(outcome.committed().unwrap()),
            Err(error) => {
                assert_eq!(prefix, "once", "{error:?}");
                assert!(
                    matches!(error.kind(), ErrorKind::UnknownOutcome | ErrorKind::Unavailable),
                    "{error:?}"
                );
                unknown += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    (acknowledged, unknown)
}

/// The revisions that the watch tells, up to `end`.
async fn follow(watcher: &mut dyn Watcher, end: Revision) -> Vec<Revision> {
    let mut told = Vec::new();
    loop {
        match watcher.next().await.unwrap() {
            WatchEvent::Changes(set) if set.revision == end => return told,
            WatchEvent::Changes(set) => told.push(set.revision),
            other => panic!("the watch ended: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_process_of_the_server_costs_no_acknowledged_write_and_no_watch() {
    let server = server(PostgresOptions::default());
    let store = open(&server.url(), patient()).await.unwrap();
    let watching = open(&server.url(), patient()).await.unwrap();
    let mut watcher = watching.watch(&WatchSpec::new(KeyRange::all())).unwrap();
    let writers = ["repeated", "once"].map(|prefix| tokio::spawn(write(Arc::clone(&store), prefix, 300)));
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(100)).await;
        kill_a_backend(&server).await;
        // Reads wait for the server to be back.
        assert_eq!(value(&*store, "nothing").await.unwrap(), None);
    }
    let mut acknowledged = Vec::new();
    for writer in writers {
        let (revisions, unknown) = writer.await.unwrap();
        assert_eq!(revisions.len() + unknown, 300);
        acknowledged.extend(revisions);
    }
    acknowledged.sort_unstable();
    let end = put(&store, "end", "x").await.unwrap();
    let told = follow(&mut *watcher, end).await;
    assert!(told.is_sorted_by(|one, next| one < next), "in order, and once");
    let missing = acknowledged
        .iter()
        .find(|revision| told.binary_search(revision).is_err());
    assert_eq!(missing, None, "the watch skipped it");
    for number in 0..300 {
        let path = format!("repeated/{number}");
        assert_eq!(
            value(&*store, &path).await.unwrap().as_deref(),
            Some("x"),
            "{path}"
        );
    }
    let entries = store.check(&|_| ()).await.unwrap().entries;
    assert_eq!(entries, told.len() as u64 + 1, "each change is there");
    assert!(crashes(&server) >= KILLS);
    watching.close().await.unwrap();
    store.close().await.unwrap();
}
