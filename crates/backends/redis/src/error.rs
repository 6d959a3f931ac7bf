//! What the server's answers mean.

use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};
use stead_core::{Error, ErrorKind as Kind};
use stead_network::Failure;

/// What an answer to a command, or the lack of one, means for whether it was done.
pub(crate) fn of_answer(error: RedisError, host: &str) -> Failure {
    let away = |message: &'static str| {
        Failure::NotDone(
            Error::unavailable(message)
                .with("server", host)
                .with("code", code(&error)),
        )
    };
    match error.kind() {
        ErrorKind::Server(kind) => match kind {
            ServerErrorKind::BusyLoading => away("the server is still loading its data"),
            ServerErrorKind::ClusterDown => {
                away("the Cluster is down: a part of its slots has no master; see CLUSTER INFO")
            }
            ServerErrorKind::MasterDown => away("the master of this replica is away"),
            ServerErrorKind::ReadOnly => {
                away("the server is a replica and takes no writes; connect to the master")
            }
            ServerErrorKind::TryAgain => away("the slot is being moved to another node"),
            ServerErrorKind::Moved | ServerErrorKind::Ask => {
                away("the slot has moved; connect to the Cluster by redis+cluster://")
            }
            ServerErrorKind::NoPerm => Failure::Final(
                denied("the user may not do this on the server; see its ACL")
                    .with("server", host)
                    .with("code", "NOPERM"),
            ),
            _ => Failure::Final(told(&error, host)),
        },
        ErrorKind::Extension => of_code(&error, host),
        // Nothing was heard, or nothing that can be understood.
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::ClusterConnectionNotFound => Failure::Unanswered(
            Error::unavailable("the connection to the server broke before it answered")
                .with("server", host)
                .because(error),
        ),
        _ => Failure::Final(
            Error::internal("the client of Redis refused the command")
                .with("server", host)
                .with("category", error.category()),
        ),
    }
}

/// Answers that the client library does not know by name.
fn of_code(error: &RedisError, host: &str) -> Failure {
    let with = |error: Error, code: &str| error.with("server", host).with("code", code);
    match code(error) {
        "OOM" => Failure::Final(with(
            Error::full("the server is out of memory; raise maxmemory or delete entries"),
            "OOM",
        )),
        "MISCONF" => Failure::Final(with(
            Error::unavailable(
                "the server takes no writes because it could not write its data to disk; see its log and \
                 stop-writes-on-bgsave-error",
            ),
            "MISCONF",
        )),
        "NOREPLICAS" => Failure::NotDone(with(
            Error::unavailable("too few replicas are connected; see min-replicas-to-write"),
            "NOREPLICAS",
        )),
        "BUSY" => Failure::NotDone(with(
            Error::unavailable("the server is busy with a script"),
            "BUSY",
        )),
        "WRONGTYPE" => Failure::Final(with(
            Error::corrupt("a key of the store holds something else; is its prefix used by another program?"),
            "WRONGTYPE",
        )),
        "NOAUTH" | "WRONGPASS" => Failure::Final(login(host)),
        "UNBLOCKED" => Failure::NotDone(with(
            Error::unavailable("the server gave up its role while it was asked"),
            "UNBLOCKED",
        )),
        _ => Failure::Final(told(error, host)),
    }
}

/// What went wrong while connecting, by TLS or without.
pub(crate) fn of_connecting(error: RedisError, host: &str, tls: bool) -> Failure {
    let detail = error.detail().unwrap_or_default().to_owned();
    match error.kind() {
        ErrorKind::AuthenticationFailed => Failure::Final(login(host)),
        ErrorKind::RESP3NotSupported => Failure::Final(too_old("before 6", host)),
        ErrorKind::Server(ServerErrorKind::NoPerm) => Failure::Final(
            denied("the user may not connect as it must; see the ACL of the server").with("server", host),
        ),
        ErrorKind::Server(ServerErrorKind::BusyLoading) => {
            Failure::NotDone(Error::unavailable("the server is still loading its data").with("server", host))
        }
        _ if matches!(code(&error), "NOAUTH" | "WRONGPASS") => Failure::Final(login(host)),
        _ if detail.contains("DB index") || detail.contains("SELECT is not allowed") => Failure::Final(
            Error::invalid("the server has no database of this number; see its setting databases")
                .with("server", host),
        ),
        _ if detail.contains("max number of clients") => Failure::NotDone(
            Error::unavailable("the server takes no more connections; see its setting maxclients")
                .with("server", host),
        ),
        ErrorKind::Parse => Failure::Final(
            Error::invalid("what answers is no Redis server, or one that wants TLS; write rediss:// for that")
                .with("server", host),
        ),
        ErrorKind::Io if is_tls(&error) => Failure::Final(
            Error::invalid(
                "no TLS with the server comes about; name the authority of its certificate by the option ca, and \
                 write redis:// if it speaks no TLS",
            )
            .with("server", host)
            .because(error),
        ),
        // A server without TLS takes the greeting for a command that has not ended yet.
        _ if tls && error.is_timeout() => Failure::NotDone(
            Error::unavailable(
                "the server does not answer by TLS; write redis:// if it speaks none, else check that it runs",
            )
            .with("server", host)
            .because(error),
        ),
        _ => Failure::NotDone(
            Error::unavailable("cannot connect to the server; check the host and the port, and that it runs")
                .with("server", host)
                .because(error),
        ),
    }
}

pub(crate) fn too_old(version: &str, host: &str) -> Error {
    Error::unsupported("the server is too old; Redis 7.0 or later, or Valkey, is needed")
        .with("server", host)
        .with("version", version)
}

/// The lineage in the store's record is not the one that was opened, or there is no record any more.
pub(crate) fn lost(host: &str) -> Error {
    Error::corrupt(
        "the server no longer holds the store that was opened: it was flushed, or replaced by another",
    )
    .with("server", host)
}

fn denied(message: &'static str) -> Error {
    Error::new(Kind::Denied, message)
}

fn login(host: &str) -> Error {
    denied("the server refuses the user or the password of the URL").with("server", host)
}

fn code(error: &RedisError) -> &str {
    error.code().unwrap_or("")
}

/// Rustls reports what it refuses as an error of input and output, which the client library shares as its cause.
fn is_tls(error: &RedisError) -> bool {
    let cause = std::error::Error::source(error);
    let shared = cause.and_then(|cause| cause.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>());
    let told = shared.and_then(|shared| shared.downcast_ref::<std::io::Error>());
    told.and_then(std::io::Error::get_ref)
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
}

/// An answer that was not expected. Its text may repeat what was sent, so only what a script says of itself is shown.
fn told(error: &RedisError, host: &str) -> Error {
    let shown = Error::internal("the server refused a command")
        .with("server", host)
        .with("code", code(error));
    match error
        .detail()
        .and_then(|detail| detail.split_once("user_script:"))
    {
        Some((_, place)) => {
            let place: String = place.chars().take(120).collect();
            shown.with("script", place)
        }
        None => shown,
    }
}
