//! What PostgreSQL's failures mean.

use std::error::Error as StdError;

use deadpool_postgres::{PoolError, TimeoutType};
use stead_core::{Error, ErrorKind};
use stead_network::Failure;
use tokio_postgres::error::{DbError, Severity, SqlState};

/// The code that the functions of the schema raise in a transaction that is not read committed.
const WRONG_ISOLATION: &str = "SD001";

/// A failure to connect: nothing was asked yet.
pub(crate) fn connecting(error: tokio_postgres::Error) -> Failure {
    let Some(db) = error.as_db_error() else {
        return not_connected(error);
    };
    let code = db.code();
    let known = if *code == SqlState::INVALID_PASSWORD
        || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
    {
        Error::new(
            ErrorKind::Denied,
            "the server refuses the login; check user and password in the store's URL, and pg_hba.conf",
        )
    } else if *code == SqlState::INVALID_CATALOG_NAME {
        Error::invalid("there is no such database; create it, or name another one in the store's URL")
    } else if *code == SqlState::TOO_MANY_CONNECTIONS {
        let full = Error::unavailable(
            "the server has no connection left; raise its max_connections, or lower the options connections and snapshots",
        );
        return Failure::NotDone(described(full, db));
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        Error::new(
            ErrorKind::Denied,
            "the user may not connect to the database; GRANT CONNECT on it",
        )
    } else {
        // Starting up, shutting down, recovering: the time will come.
        return Failure::NotDone(described(
            Error::unavailable("the server takes no connection now"),
            db,
        ));
    };
    Failure::Final(described(known, db))
}

fn not_connected(error: tokio_postgres::Error) -> Failure {
    let causes = causes(&error);
    if causes.contains("server does not support TLS") {
        return Failure::Final(
            Error::invalid("the server offers no TLS, and sslmode asks for it; switch it on there, or set sslmode=disable")
                .with("option", "sslmode"),
        );
    }
    if causes.contains("certificate") {
        return Failure::Final(
            Error::new(
                ErrorKind::Denied,
                "the server's certificate does not hold; check sslrootcert and the host's name",
            )
            .with("option", "sslmode")
            .because(error),
        );
    }
    if causes.contains("password missing") {
        return Failure::Final(
            Error::new(
                ErrorKind::Denied,
                "the server asks for a password; give one in the store's URL",
            )
            .because(error),
        );
    }
    Failure::NotDone(Error::unavailable("the server cannot be reached; check host and port").because(error))
}

/// No connection of the pool could be had.
pub(crate) fn pooling(error: PoolError, option: &'static str, limit: usize) -> Failure {
    match error {
        PoolError::Backend(error) => connecting(error),
        PoolError::Timeout(TimeoutType::Wait) => Failure::NotDone(
            Error::unavailable("all connections were in use until the time was up; raise their number")
                .with("option", option)
                .with("limit", limit),
        ),
        PoolError::Timeout(_) => Failure::NotDone(unanswered_connect()),
        PoolError::Closed => Failure::Final(Error::closed()),
        other => Failure::NotDone(Error::unavailable("there is no connection").because(other)),
    }
}

pub(crate) fn unanswered_connect() -> Error {
    Error::unavailable(
        "the server did not take the connection in time; check host and port, or raise the option timeout",
    )
}

/// The time for an answer was up.
pub(crate) fn timed_out() -> Failure {
    Failure::Unanswered(Error::unavailable(
        "the server did not answer in time; raise the option timeout if it is merely slow",
    ))
}

/// A statement failed that had been sent.
pub(crate) fn asking(error: tokio_postgres::Error) -> Failure {
    let Some(db) = error.as_db_error() else {
        return Failure::Unanswered(Error::unavailable("the connection to the server broke").because(error));
    };
    // What ends the session can come right behind a commit, whose answer it then takes along.
    let ends = matches!(db.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
    let code = db.code();
    if *code == SqlState::T_R_SERIALIZATION_FAILURE
        || *code == SqlState::T_R_DEADLOCK_DETECTED
        || *code == SqlState::LOCK_NOT_AVAILABLE
    {
        return Failure::NotDone(described(
            Error::unavailable("the server let other transactions go first"),
            db,
        ));
    }
    if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        return Failure::NotDone(described(read_only(), db));
    }
    let known = meaning(code);
    match known {
        Some(error) if !ends => Failure::Final(described(error, db)),
        Some(error) => Failure::Unanswered(described(error, db)),
        None => {
            let error = described(Error::unavailable("the server ended the session"), db);
            if ends {
                Failure::Unanswered(error)
            } else {
                Failure::Final(unexpected(db))
            }
        }
    }
}

fn meaning(code: &SqlState) -> Option<Error> {
    Some(if *code == SqlState::DISK_FULL {
        Error::full("the server's disk is full; make room there")
    } else if *code == SqlState::QUERY_CANCELED {
        Error::unavailable("the server cancelled the statement; raise its statement_timeout if it was that")
    } else if *code == SqlState::OUT_OF_MEMORY {
        Error::unavailable(
            "the server is out of memory; lower its work_mem or max_connections, or send smaller batches",
        )
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        Error::new(
            ErrorKind::Denied,
            "the user may not use the store's schema; let the one that made it open it, or GRANT USAGE, SELECT, INSERT, UPDATE, DELETE and EXECUTE",
        )
    } else if *code == SqlState::UNDEFINED_FUNCTION
        || *code == SqlState::UNDEFINED_TABLE
        || *code == SqlState::INVALID_SCHEMA_NAME
    {
        Error::corrupt(
            "the store's schema is not as it was when it was opened: it was dropped, or upgraded by a newer Stead; open it anew",
        )
    } else if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED {
        Error::corrupt("the server's data is damaged; restore the store from a backup")
    } else if *code == SqlState::INVALID_SQL_STATEMENT_NAME || *code == SqlState::DUPLICATE_PSTATEMENT {
        Error::invalid(
            "statements are lost between transactions: there is a proxy in between; set pooler=transaction",
        )
        .with("option", "pooler")
    } else if code.code() == WRONG_ISOLATION {
        wrong_isolation()
    } else {
        return None;
    })
}

pub(crate) fn wrong_isolation() -> Error {
    Error::invalid("transactions must be read committed; ALTER ROLE .. SET default_transaction_isolation = 'read committed'")
        .with("setting", "default_transaction_isolation")
}

pub(crate) fn read_only() -> Error {
    Error::unavailable(
        "the server takes no writes: it is a standby or read-only; name the primary, or open with read_only=true",
    )
}

fn unexpected(db: &DbError) -> Error {
    described(Error::internal("the server refuses a statement of the store"), db)
}

/// Adds the code and the server's own words. Its details may hold values and are left out.
fn described(error: Error, db: &DbError) -> Error {
    error
        .with("sqlstate", db.code().code())
        .with("server_says", db.message().escape_debug())
}

/// All messages of an error and its sources.
fn causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// The error of an attempt that is not repeated.
pub(crate) fn into_error(failure: Failure) -> Error {
    match failure {
        Failure::NotDone(error) | Failure::Unanswered(error) | Failure::Final(error) => error,
    }
}

/// The same error for one more who waits.
pub(crate) fn copy(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.message().to_owned());
    error
        .context()
        .fold(copy, |copy, (name, value)| copy.with(name, value))
}
