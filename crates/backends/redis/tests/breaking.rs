//! Servers that are killed, paused, full or read-only, and connections that are cut.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::time::Duration;

use common::{key, open, options, server};
use stead_core::{
    Backend, BackendExt, ErrorKind, Expect, KeyRange, Partition, Read, ReadExt, RequestId, Revision, Scan,
    WatchEvent, WatchSpec, WriteBatch,
};
use stead_servers::{AppendFsync, Faulty, RedisServer, Way};

#[tokio::test(flavor = "multi_thread")]
async fn store_goes_on_when_its_server_was_killed() {
    let options = stead_servers::RedisOptions::default().with_append_only(AppendFsync::Always);
    let server = RedisServer::start(options).unwrap();
    let store = open(&server.url()).await;
    let mut last = Revision::ZERO;
    for round in 0..5 {
        let revision = store.put(key("a"), round.to_string()).await.unwrap();
        assert!(revision > last, "revisions go on over a kill");
        last = revision;
        server.kill().unwrap();
        server.restart().unwrap();
        // The scripts are gone with the server, and are loaded again.
        let entry = store.get(&key("a")).await.unwrap().unwrap();
        assert_eq!(
            (entry.value(), entry.revision()),
            (round.to_string().as_bytes(), revision)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_do_not_come_again_when_a_server_lost_everything_but_an_old_file() {
    let server = server();
    let store = open(&server.url()).await;
    store.put(key("a"), "old").await.unwrap();
    server.command(&["SAVE"]).unwrap();
    let lost = store.put(key("a"), "lost").await.unwrap();
    server.kill().unwrap();
    server.restart().unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap().unwrap().value(), b"old");
    let next = store.put(key("a"), "new").await.unwrap();
    assert!(next > lost, "{next} after {lost}, which was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_server_leaves_reads_unavailable_and_writes_unknown() {
    let server = server();
    let mut options = options(&server.url());
    options.network.timeout = Duration::from_millis(300);
    options.network.retry_deadline = Duration::from_secs(1);
    let store = stead_redis::open(options).await.unwrap();
    store.put(key("a"), "1").await.unwrap();
    server.pause().unwrap();
    let error = store.get(&key("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    server.resume().unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap().unwrap().value(), b"1");
    // On a connection that is open: the write is on its way when the server stops.
    server.pause().unwrap();
    let error = store.put(key("a"), "2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
    server.resume().unwrap();
    store.put(key("a"), "3").await.unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap().unwrap().value(), b"3");
}

#[tokio::test(flavor = "multi_thread")]
async fn full_server_says_so_and_lets_reads_and_deletes_pass() {
    let server = server();
    let store = open(&server.url()).await;
    store.put(key("a"), vec![0; 100_000]).await.unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let error = store.put(key("b"), "1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert!(error.to_string().contains("maxmemory"), "{error}");
    assert!(
        store.get(&key("b")).await.unwrap().is_none(),
        "nothing of it was written"
    );
    assert!(store.get(&key("a")).await.unwrap().is_some());
    assert_eq!(store.count(&KeyRange::all()).await.unwrap(), 1);
    store.delete(key("a")).await.unwrap();
    assert!(store.get(&key("a")).await.unwrap().is_none());
    server.command(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    store.put(key("b"), "1").await.unwrap();
    store.check(&|_| ()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_takes_no_writes_and_says_what_it_is() {
    let (server, master) = (server(), server());
    let mut options = options(&server.url());
    options.network.retry_deadline = Duration::from_millis(500);
    let store = stead_redis::open(options).await.unwrap();
    let port = master.address().unwrap().port().to_string();
    server.command(&["REPLICAOF", "127.0.0.1", &port]).unwrap();
    let error = store.put(key("a"), "1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("replica"), "{error}");
    server.command(&["REPLICAOF", "NO", "ONE"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answer_is_an_unknown_outcome_without_a_request_id() {
    let server = server();
    let proxy = Faulty::before(server.address().unwrap()).unwrap();
    let store = open(&proxy.url(&server.url())).await;
    store.put(key("a"), "1").await.unwrap();
    proxy.cut_after(Way::ToClient, 0);
    let error = store.put(key("a"), "2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
    proxy.heal().unwrap();
    assert_eq!(
        store.get(&key("a")).await.unwrap().unwrap().value(),
        b"2",
        "it was done"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answer_is_asked_for_again_with_a_request_id() {
    let server = server();
    let proxy = Faulty::before(server.address().unwrap()).unwrap();
    let store = open(&proxy.url(&server.url())).await;
    for round in 0..20 {
        let before = store.put(key("n"), round.to_string()).await.unwrap();
        proxy.cut_after(Way::ToClient, round % 5);
        let batch = WriteBatch::new()
            .expect(key("n"), Expect::At(before))
            .put(key("n"), "next")
            .request_id(RequestId::new(round.to_string()).unwrap());
        let revision = store.apply(batch).await.unwrap().committed().unwrap();
        assert_eq!(
            store.get(&key("n")).await.unwrap().unwrap().revision(),
            revision,
            "done once"
        );
        proxy.heal().unwrap();
    }
    assert_eq!(store.stats().await.unwrap().entries, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_go_on_over_cuts() {
    let server = server();
    let proxy = Faulty::before(server.address().unwrap()).unwrap();
    let store = open(&proxy.url(&server.url())).await;
    let batch = (0..200).fold(WriteBatch::new(), |batch, number| {
        batch.put(key(&format!("k{number:03}")), "x")
    });
    store.apply(batch).await.unwrap().committed().unwrap();
    for round in 0..20 {
        proxy.cut_after(Way::ToClient, round * 37);
        let found = store
            .collect(&Scan::new(KeyRange::all()).page_size(50))
            .await
            .unwrap();
        assert_eq!(found.len(), 200, "round {round}");
        proxy.heal().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_while_idle_harms_no_write() {
    let server = server();
    let proxy = Faulty::before(server.address().unwrap()).unwrap();
    let store = open(&proxy.url(&server.url())).await;
    for round in 0..10 {
        store.put(key("a"), round.to_string()).await.unwrap();
        proxy.cut().unwrap();
        // The store hears of the end of its connection before it is asked again.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    store.put(key("a"), "last").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_goes_on_over_cuts_without_a_gap() {
    let server = server();
    let proxy = Faulty::before(server.address().unwrap()).unwrap();
    let watched = open(&proxy.url(&server.url())).await;
    let writer = open(&server.url()).await;
    let partition = KeyRange::partition(&Partition::new("p").unwrap());
    let mut watcher = watched.watch(&WatchSpec::new(partition)).unwrap();
    let writing = tokio::spawn(async move {
        let mut written = Vec::new();
        for round in 0..300 {
            written.push(writer.put(key("a"), round.to_string()).await.unwrap());
        }
        written
    });
    let mut seen = Vec::new();
    while seen.len() < 300 {
        match watcher.next().await.unwrap() {
            WatchEvent::Changes(set) => seen.push(set.revision),
            other => panic!("the watch ended: {other:?}"),
        }
        if seen.len() % 60 == 30 {
            proxy.cut().unwrap();
        }
    }
    assert_eq!(seen, writing.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn flushed_store_is_not_taken_for_an_empty_one() {
    let server = server();
    let store = open(&server.url()).await;
    store.put(key("a"), "1").await.unwrap();
    server.command(&["FLUSHALL"]).unwrap();
    let error = store.put(key("a"), "2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(store.count(&KeyRange::all()).await.is_err());
    let error = store.get(&key("a")).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Corrupt,
        "what was lost is not missing: {error}"
    );
    assert!(store.get_many(&[key("a")]).await.is_err());
    let anew = open(&server.url()).await;
    anew.put(key("a"), "3").await.unwrap();
    let error = store.put(key("a"), "2").await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Corrupt,
        "another store is not written to: {error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_whose_lease_ran_out_gives_an_error_and_nothing_else() {
    let server = server();
    let store = open(&server.url()).await;
    store.put(key("a"), "1").await.unwrap();
    let snapshot = store.snapshot().await.unwrap();
    store.put(key("a"), "2").await.unwrap();
    assert_eq!(snapshot.get(&key("a")).await.unwrap().unwrap().value(), b"1");
    server.command(&["DEL", "stead:{0}:s"]).unwrap();
    let error = snapshot.get(&key("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(snapshot.collect(&Scan::new(KeyRange::all())).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_leave_nothing_behind() {
    let server = server();
    let mut options = options(&server.url());
    options.network.sweep_interval = Duration::from_millis(10);
    let store = stead_redis::open(options).await.unwrap();
    for round in 0..10 {
        store.put(key("a"), "1").await.unwrap();
        let snapshot = store.snapshot().await.unwrap();
        store.put(key("a"), "2").await.unwrap();
        store.delete(key("a")).await.unwrap();
        assert!(snapshot.get(&key("a")).await.unwrap().is_some(), "round {round}");
    }
    let names = ["stead:{0}:s", "stead:{0}:o", "stead:{0}:v", "stead:{0}:g"];
    let mut words = vec!["EXISTS"];
    words.extend(names);
    for _ in 0..1_000 {
        if server.command(&words).unwrap().text() == "0" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("something of the snapshots is left");
}
