//! The bare client of Redis, and a script that does the same index work as a put of Stead.

use std::hint::black_box;

use bytes::Bytes;
use redis::Script;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use stead_core::Key;

use super::side::Side;

/// A put: the next revision, the record with it, the ordered index, and a change record in a log that is trimmed.
const PUT: &str = "
local revision = redis.call('HINCRBY', KEYS[4], 'rev', 1)
if redis.call('HSET', KEYS[1], ARGV[1], struct.pack('>I8', revision) .. ARGV[2]) == 1 then
  redis.call('ZADD', KEYS[2], 0, ARGV[1])
end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 100000, revision .. '-0', 'k', ARGV[1])
return revision";

/// The same for many keys under one revision.
const PUT_MANY: &str = "
local revision = redis.call('HINCRBY', KEYS[4], 'rev', 1)
local stamp = struct.pack('>I8', revision)
local records, order, changes = {}, {}, {}
for place = 1, #ARGV, 2 do
  records[place], records[place + 1] = ARGV[place], stamp .. ARGV[place + 1]
  order[place], order[place + 1] = 0, ARGV[place]
  changes[#changes + 1] = ARGV[place]
end
redis.call('HSET', KEYS[1], unpack(records))
redis.call('ZADD', KEYS[2], unpack(order))
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 100000, revision .. '-0', 'k', table.concat(changes))
return revision";

/// A client whose calls share one connection to each server, as Stead's do.
pub(super) struct Bare<C> {
    connection: C,
    put: Script,
    put_many: Script,
    /// Whether a partition's keys have a hash tag of its own, so that partitions lie on all servers.
    tags: bool,
}

impl Bare<MultiplexedConnection> {
    pub(super) async fn open(url: &str) -> Self {
        let client = redis::Client::open(url).expect("a valid URL");
        let connection = client.get_multiplexed_async_connection().await;
        Bare {
            connection: connection.expect("it connects"),
            put: Script::new(PUT),
            put_many: Script::new(PUT_MANY),
            tags: false,
        }
    }
}

impl Bare<ClusterConnection> {
    pub(super) async fn open_cluster(nodes: Vec<String>) -> Self {
        let client = ClusterClient::new(nodes).expect("valid URLs");
        let connection = client.get_async_connection().await;
        Bare {
            connection: connection.expect("it connects"),
            put: Script::new(PUT),
            put_many: Script::new(PUT_MANY),
            tags: true,
        }
    }
}

impl<C> Bare<C> {
    /// The Redis keys that hold a partition: records, index, log and state.
    fn names(&self, key: &Key) -> [String; 4] {
        let tag = if self.tags {
            String::from_utf8_lossy(key.partition_bytes())
        } else {
            "0".into()
        };
        ["d", "i", "c", "m"].map(|name| format!("bare:{{{tag}}}:{name}"))
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Side for Bare<C> {
    async fn get(&self, _task: usize, key: &Key) -> usize {
        let [data, ..] = self.names(key);
        let mut command = redis::cmd("HGET");
        command.arg(data).arg(key.as_bytes());
        let record: Vec<u8> = command
            .query_async(&mut self.connection.clone())
            .await
            .expect("it reads");
        black_box(record).len() - 8
    }

    async fn get_many(&self, keys: &[Key]) -> usize {
        let [data, ..] = self.names(&keys[0]);
        let mut command = redis::cmd("HMGET");
        command.arg(data);
        for key in keys {
            command.arg(key.as_bytes());
        }
        let records: Vec<Option<Vec<u8>>> = command
            .query_async(&mut self.connection.clone())
            .await
            .expect("it reads");
        black_box(records).iter().flatten().count()
    }

    async fn put(&self, _task: usize, key: &Key, value: &Bytes) {
        let mut call = self.put.prepare_invoke();
        for name in self.names(key) {
            call.key(name);
        }
        let revision: u64 = call
            .arg(key.as_bytes())
            .arg(&value[..])
            .invoke_async(&mut self.connection.clone())
            .await
            .expect("it writes");
        black_box(revision);
    }

    async fn put_many(&self, keys: &[Key], values: &[Bytes]) {
        let mut call = self.put_many.prepare_invoke();
        for name in self.names(&keys[0]) {
            call.key(name);
        }
        for (key, value) in keys.iter().zip(values) {
            call.arg(key.as_bytes()).arg(&value[..]);
        }
        let revision: u64 = call
            .invoke_async(&mut self.connection.clone())
            .await
            .expect("it writes");
        black_box(revision);
    }
}
