//! What the tests on real servers share.

use std::sync::Arc;
use std::time::Duration;

use stead_core::{BackendExt, Error, ErrorKind, Key, Partition, Read, Result, Revision};
use stead_postgres::{NetworkOptions, PostgresBackend, PostgresConfig};
use stead_servers::{PostgresOptions, PostgresServer};

/// A server that many tests share: none of them does anything to it.
pub(crate) fn server(options: PostgresOptions) -> PostgresServer {
    PostgresServer::start(options).unwrap()
}

/// Without fsync: for tests that do not end the machine.
pub(crate) fn quick() -> PostgresServer {
    server(PostgresOptions::default().without_fsync())
}

pub(crate) fn config(url: &str) -> PostgresConfig {
    PostgresConfig::from_url(&mut url.parse().unwrap()).unwrap()
}

/// Patient, for machines that are busy.
pub(crate) fn patient() -> NetworkOptions {
    NetworkOptions {
        timeout: Duration::from_secs(30),
        retry_deadline: Duration::from_secs(60),
        ..NetworkOptions::default()
    }
}

/// Fails soon, but not for a machine that is merely busy.
pub(crate) fn impatient() -> NetworkOptions {
    NetworkOptions {
        timeout: Duration::from_secs(3),
        retry_deadline: Duration::from_secs(1),
        ..NetworkOptions::default()
    }
}

pub(crate) async fn open(url: &str, options: NetworkOptions) -> Result<Arc<PostgresBackend>> {
    PostgresBackend::open(config(url), options).await
}

pub(crate) fn key(path: &str) -> Key {
    Key::new(&Partition::new("home").unwrap(), path).unwrap()
}

pub(crate) async fn put(store: &PostgresBackend, path: &str, value: &str) -> Result<Revision> {
    store.put(key(path), value.to_owned()).await
}

pub(crate) async fn value(store: &dyn Read, path: &str) -> Result<Option<String>> {
    let entry = store.get(&key(path)).await?;
    Ok(entry.map(|entry| String::from_utf8_lossy(entry.value()).into_owned()))
}

/// The error of an opening that must fail, which shows no secret.
pub(crate) async fn refused(url: &str, options: NetworkOptions) -> Error {
    let error = match open(url, options).await {
        Ok(_) => panic!("a store was opened that must be refused"),
        Err(error) => error,
    };
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(SECRET), "an error shows the password: {shown}");
    error
}

pub(crate) const SECRET: &str = "hunter2-s3cret";

pub(crate) fn assert_refusal(error: &Error, kind: ErrorKind, names: &str) {
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.to_string().contains(names), "{names} is not named: {error}");
}
