//! Short ways to say what the tests say often.
#![allow(dead_code, reason = "each test file takes what it needs")]

use std::sync::Arc;
use std::time::Duration;

use stead_core::{Backend, Key, Partition, Result};
use stead_redis::{RedisBackend, RedisOptions};
use stead_servers::RedisServer;

/// A volatile server.
pub(crate) fn server() -> RedisServer {
    RedisServer::start(stead_servers::RedisOptions::default()).unwrap()
}

/// The options of a URL, with short times: tests break what they wait for.
pub(crate) fn options(url: &str) -> RedisOptions {
    let mut options = RedisOptions::from_url(url.parse().unwrap()).unwrap();
    options.network.timeout = Duration::from_secs(2);
    options.network.retry_deadline = Duration::from_secs(30);
    options
}

pub(crate) async fn open(url: &str) -> Arc<RedisBackend> {
    stead_redis::open(options(url)).await.unwrap()
}

/// The error of opening the store at `url`.
pub(crate) async fn refusal(url: &str) -> stead_core::Error {
    let opened: Result<_> = async {
        let mut options = RedisOptions::from_url(url.parse()?)?;
        options.network.retry_deadline = Duration::from_secs(2);
        stead_redis::open(options).await
    }
    .await;
    opened.map(|store| drop::<Arc<dyn Backend>>(store)).unwrap_err()
}

pub(crate) fn key(path: &str) -> Key {
    Key::new(&Partition::new("p").unwrap(), path).unwrap()
}
