//! Callers that go away, behind a proxy that gives the server's sessions to everybody.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "each test target uses its own part of the support")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stead_core::{BackendExt, Key, Read};
use stead_postgres::PostgresBackend;
use stead_servers::PgBouncer;
use support::{key, open, patient, quick};

/// Keys whose names fill several of the proxy's buffers.
fn long_keys(first: usize) -> Vec<Key> {
    (first..first + 200)
        .map(|number| key(&format!("{number:04}{}", "k".repeat(400))))
        .collect()
}

/// Writes and reads back until it is told to end.
async fn write_and_read(store: Arc<PostgresBackend>, name: &str, end: Arc<AtomicBool>) -> u64 {
    let mut round = 0_u64;
    while !end.load(Ordering::Relaxed) {
        round += 1;
        let value = format!("{name} {round}");
        store.put(key(name), value.clone()).await.unwrap();
        let read = store.get(&key(name)).await.unwrap().unwrap();
        assert_eq!(read.value(), value.as_bytes());
    }
    round
}

/// Lets other tasks go first so many times.
async fn turns(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_away_leaves_no_torn_statement() {
    let server = quick();
    let bouncer = PgBouncer::start_with(&server, &[("default_pool_size", "1")]).unwrap();
    let one_reader = format!("{}?connections=2", bouncer.url());
    let leaver = open(&one_reader, patient()).await.unwrap();
    let other = open(&bouncer.url(), patient()).await.unwrap();
    for key in long_keys(0) {
        let value = key.path()[..4].to_vec();
        leaver.put(key, value).await.unwrap();
    }
    let end = Arc::new(AtomicBool::new(false));
    let beside = tokio::spawn(write_and_read(other, "beside", Arc::clone(&end)));
    let keys = long_keys(0);
    for round in 0..500 {
        tokio::select! {
            biased;
            _ = leaver.get_many(&keys) => {}
            () = turns(round * 37 % 4000) => {}
        }
        for (key, entry) in keys.iter().zip(leaver.get_many(&keys).await.unwrap()) {
            assert_eq!(entry.unwrap().value(), &key.path()[..4], "round {round}");
        }
    }
    end.store(true, Ordering::Relaxed);
    assert!(beside.await.unwrap() > 0);
}
