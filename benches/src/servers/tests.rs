//! Both sides do what is measured of them, and a read of a hundred keys is one round trip.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use stead_servers::RedisCluster;

use super::data::{BATCH, Data};
use super::side::{Side, Stead};
use super::start::{SERVERS, Server, runtime};
use super::{postgres, redis};

/// What was put and loaded through a side is read through it.
async fn holds_what_it_was_given(side: &impl Side) {
    let data = Data::new(2 * BATCH);
    for batch in data.keys.chunks(BATCH) {
        side.put_many(batch, data.values(BATCH)).await;
    }
    side.put(0, &data.keys[7], &"short".into()).await;
    assert_eq!(side.get(0, &data.keys[7]).await, "short".len());
    assert_eq!(side.get(1, &data.keys[BATCH]).await, 100);
    for place in 0..20 {
        assert_eq!(side.get_many(data.hundred(place)).await, 100);
    }
}

#[test]
fn sides_hold_what_they_were_given() {
    let runtime = runtime();
    for name in SERVERS {
        let server = Server::start(name);
        runtime.block_on(async {
            let stead = Stead(server.open("").await);
            holds_what_it_was_given(&stead).await;
            match &server {
                Server::Redis(server) => {
                    holds_what_it_was_given(&redis::Bare::open(&server.url()).await).await;
                }
                Server::Cluster(cluster) => {
                    let nodes = cluster.addresses();
                    let nodes = nodes.iter().map(|node| format!("redis://{node}")).collect();
                    holds_what_it_was_given(&redis::Bare::open_cluster(nodes).await).await;
                }
                Server::Postgres(server) => {
                    holds_what_it_was_given(&postgres::Bare::open(&server.url(), 2).await).await;
                }
            }
            stead.0.close().await.expect("it closes");
        });
    }
}

/// The bare script does the index work that it is measured for.
#[test]
fn bare_put_keeps_record_index_log_and_revision() {
    let server = Server::start("redis");
    let Server::Redis(redis) = &server else {
        unreachable!("it is a Redis")
    };
    runtime().block_on(async {
        let bare = redis::Bare::open(&redis.url()).await;
        let data = Data::new(BATCH);
        for key in &data.keys[..3] {
            bare.put(0, key, data.value(0)).await;
        }
        bare.put(0, &data.keys[0], data.value(1)).await;
    });
    let ask = |words: &[&str]| redis.command(words).expect("it answers").text();
    assert_eq!(ask(&["HLEN", "bare:{0}:d"]), "3");
    assert_eq!(ask(&["ZCARD", "bare:{0}:i"]), "3");
    assert_eq!(ask(&["XLEN", "bare:{0}:c"]), "4");
    assert_eq!(ask(&["HGET", "bare:{0}:m", "rev"]), "4");
}

/// Between a client and a server, it counts how often the client had to wait for the server: what the client sent without
/// an answer in between is one turn.
struct Turns {
    address: SocketAddr,
    count: Arc<AtomicUsize>,
}

impl Turns {
    fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        // Ends with the process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(server).expect("the server listens");
                let answered = Arc::new(AtomicBool::new(true));
                let (count, was) = (Arc::clone(&counted), Arc::clone(&answered));
                pass(&client, &server, move || {
                    if was.swap(false, Ordering::SeqCst) {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                });
                pass(&server, &client, move || answered.store(true, Ordering::SeqCst));
            }
        });
        Turns { address, count }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

fn pass(from: &TcpStream, to: &TcpStream, before: impl Fn() + Send + 'static) {
    let mut from = from.try_clone().expect("a second handle");
    let mut to = to.try_clone().expect("a second handle");
    std::thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        while let Ok(length) = from.read(&mut buffer) {
            before();
            if length == 0 || to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Both));
    });
}

/// The turns of the cheapest of some calls: the store's own looks at the server may come between.
async fn fewest_turns(turns: &Turns, store: &Stead, data: &Data) -> usize {
    let mut fewest = usize::MAX;
    for place in 0..20 {
        let before = turns.count();
        assert_eq!(store.get_many(data.hundred(place)).await, 100);
        fewest = fewest.min(turns.count() - before);
    }
    fewest
}

#[test]
fn hundred_keys_are_one_round_trip() {
    let runtime = runtime();
    for name in ["redis", "postgres"] {
        let server = Server::start(name);
        let (address, url) = match &server {
            Server::Redis(server) => (server.address().expect("it has a port"), server.url()),
            Server::Postgres(server) => (server.address(), server.url()),
            Server::Cluster(_) => unreachable!("it is another test's"),
        };
        let turns = Turns::before(address);
        let url = url.replace(
            &format!(":{}", address.port()),
            &format!(":{}", turns.address.port()),
        );
        runtime.block_on(async {
            let store = Stead(server.open_at(&url, "").await);
            let data = Data::new(BATCH);
            store.put_many(&data.keys, data.values(BATCH)).await;
            assert!(turns.count() > 0, "{name}: the proxy sees the traffic");
            assert_eq!(fewest_turns(&turns, &store, &data).await, 1, "{name}");
            store.0.close().await.expect("it closes");
        });
    }
}

/// How often the masters were called by `command`.
fn calls(cluster: &RedisCluster, command: &str) -> usize {
    let of = |node: usize| {
        let info = cluster
            .node(node)
            .command(&["INFO", "commandstats"])
            .expect("it answers")
            .text();
        let start = format!("cmdstat_{command}:calls=");
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix(&*start))
            .map(str::to_owned);
        line.and_then(|line| line.split(',').next()?.parse::<usize>().ok())
            .unwrap_or(0)
    };
    (0..3).map(of).sum()
}

#[test]
fn hundred_keys_of_a_partition_are_one_command_on_a_cluster() {
    let server = Server::start("redis-cluster");
    let Server::Cluster(cluster) = &server else {
        unreachable!("it is a Cluster")
    };
    let data = Data::new(BATCH);
    let runtime = runtime();
    let store = Stead(runtime.block_on(server.open("")));
    runtime.block_on(store.put_many(&data.keys, data.values(BATCH)));
    let before = [calls(cluster, "hmget"), calls(cluster, "hget")];
    assert_eq!(runtime.block_on(store.get_many(data.hundred(3))), 100);
    let after = [calls(cluster, "hmget"), calls(cluster, "hget")];
    assert_eq!([after[0] - before[0], after[1] - before[1]], [1, 0]);
    runtime.block_on(store.0.close()).expect("it closes");
}
