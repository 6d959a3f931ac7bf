//! Reads of many callers at once, which go together.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use common::{key, open, server};
use stead_core::{BackendExt, Entry, ErrorKind, Key, Partition, Read, Reply, Result};
use stead_redis::RedisBackend;
use stead_servers::{Faulty, RedisCluster, RedisServer, Way};
use tokio::task::JoinSet;

const TASKS: usize = 64;

/// How many commands of reads a server was sent.
fn reads(server: &RedisServer) -> usize {
    let stats = server.command(&["INFO", "commandstats"]).unwrap().text();
    let calls = stats
        .split_once("cmdstat_hmget:calls=")
        .map(|(_, calls)| calls.split(',').next().unwrap().parse().unwrap());
    calls.unwrap_or(0)
}

/// Has each task read each of `keys`, one behind the other, and gives what they found.
async fn read_all(store: &Arc<RedisBackend>, keys: &[Key]) -> Vec<Result<Option<Entry>>> {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (store, mut keys) = (Arc::clone(store), keys.to_vec());
        let first = task % keys.len();
        keys.rotate_left(first);
        tasks.spawn(async move {
            let mut found = Vec::new();
            for key in &keys {
                found.push((key.clone(), store.get(key).await));
            }
            found
        });
    }
    let mut all = Vec::new();
    for (key, found) in tasks.join_all().await.into_iter().flatten() {
        if let Ok(Some(entry)) = &found {
            assert_eq!(entry.value(), key.as_bytes(), "each gets its own");
        }
        all.push(found);
    }
    all
}

async fn fill(store: &RedisBackend, keys: &[Key]) {
    for key in keys {
        store.put(key.clone(), key.as_bytes().to_vec()).await.unwrap();
    }
}

fn keys() -> Vec<Key> {
    (0..20).map(|number| key(&format!("k{number}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_many_tasks_share_commands() {
    let server = server();
    let store = open(&server.url()).await;
    let keys = keys();
    fill(&store, &keys).await;
    let before = reads(&server);
    for key in &keys {
        assert!(store.get(key).await.unwrap().is_some());
    }
    assert_eq!(
        reads(&server) - before,
        keys.len(),
        "one alone is sent as it comes"
    );
    let before = reads(&server);
    let found = read_all(&store, &keys).await;
    assert!(found.iter().all(|found| found.as_ref().unwrap().is_some()));
    let commands = reads(&server) - before;
    assert!(
        commands < found.len() / 3,
        "{commands} commands for {} reads",
        found.len()
    );
    let missing = read_all(&store, &[key("none")]).await;
    assert!(missing.iter().all(|found| found.as_ref().unwrap().is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_many_shards_share_messages() {
    let cluster = RedisCluster::start().unwrap();
    let store = open(&cluster.url()).await;
    let keys: Vec<Key> = (0..20)
        .map(|number| Key::new(&Partition::new(format!("p{number}")).unwrap(), "k").unwrap())
        .collect();
    fill(&store, &keys).await;
    let found = read_all(&store, &keys).await;
    assert!(found.iter().all(|found| found.as_ref().unwrap().is_some()));
}

/// Begins five reads: the first is sent at once, the second has the others sent.
async fn begun<'a>(
    store: &'a RedisBackend,
    keys: &'a [Key],
) -> Vec<Option<Pin<Box<Reply<'a, Option<Entry>>>>>> {
    let mut replies: Vec<_> = keys[..5]
        .iter()
        .map(|key| Some(Box::pin(store.get(key))))
        .collect();
    poll_fn(|cx| {
        for reply in replies.iter_mut().flatten() {
            assert!(reply.as_mut().poll(cx).is_pending());
        }
        Poll::Ready(())
    })
    .await;
    replies
}

#[tokio::test]
async fn reads_wait_for_none_that_is_given_up_or_not_asked_for() {
    let server = server();
    let store = open(&server.url()).await;
    let keys = keys();
    fill(&store, &keys).await;
    for other in 0..5 {
        let mut replies = begun(&store, &keys).await;
        drop(replies[other].take());
        for (reply, key) in replies.into_iter().zip(&keys) {
            if let Some(reply) = reply {
                assert_eq!(reply.await.unwrap().unwrap().value(), key.as_bytes());
            }
        }
        let mut replies = begun(&store, &keys).await;
        let held = replies[other].take().unwrap();
        for (reply, key) in replies.into_iter().zip(&keys) {
            if let Some(reply) = reply {
                assert_eq!(reply.await.unwrap().unwrap().value(), key.as_bytes());
            }
        }
        assert_eq!(held.await.unwrap().unwrap().value(), keys[other].as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_went_together_go_on_over_cuts() {
    let server = server();
    let proxy = Faulty::before(server.address().unwrap()).unwrap();
    let store = open(&proxy.url(&server.url())).await;
    let keys = keys();
    fill(&store, &keys).await;
    for round in 0..20 {
        let way = if round % 2 == 0 {
            Way::ToClient
        } else {
            Way::ToServer
        };
        proxy.cut_after(way, round * 397);
        let found = read_all(&store, &keys).await;
        assert!(
            found.iter().all(|found| found.as_ref().unwrap().is_some()),
            "round {round}"
        );
        proxy.heal().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_reads_that_went_together_gets_its_error() {
    let server = server();
    let store = open(&server.url()).await;
    let keys = keys();
    fill(&store, &keys).await;
    server.command(&["FLUSHALL"]).unwrap();
    for found in read_all(&store, &keys).await {
        let error = found.unwrap_err();
        assert_eq!(
            (error.kind(), error.operation()),
            (ErrorKind::Corrupt, "get"),
            "{error}"
        );
    }
    // A new store in its place is another one.
    let anew = open(&server.url()).await;
    anew.put(keys[0].clone(), "x").await.unwrap();
    for found in read_all(&store, &keys).await {
        assert_eq!(found.unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn reads_end_where_the_runtime_of_their_store_has() {
    let server = server();
    let its_own = tokio::runtime::Runtime::new().unwrap();
    let keys = keys();
    let store = its_own.block_on(async {
        let mut options = common::options(&server.url());
        options.network.retry_deadline = std::time::Duration::from_millis(100);
        let store = stead_redis::open(options).await.unwrap();
        fill(&store, &keys).await;
        store
    });
    its_own.shutdown_background();
    let another = tokio::runtime::Runtime::new().unwrap();
    let found = another.block_on(read_all(&store, &keys[..2]));
    assert!(found.iter().all(Result::is_err));
}
