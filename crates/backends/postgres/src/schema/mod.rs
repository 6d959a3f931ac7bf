//! The schema of a store: made, upgraded, and recognised.

use stead_core::{Error, ErrorKind, Random, Result};
use stead_network::Failure;

use crate::error;
use crate::server::{Session, Sql};

/// The format that this crate reads and writes.
pub(crate) const FORMAT: i32 = 2;
const TABLES: &str = include_str!("tables.sql");
const FUNCTIONS: &str = include_str!("functions.sql");
/// What makes each older format the one after it, from the first on. The functions of the newest come last.
const UPGRADES: [&str; 1] = [include_str!("from1.sql")];
/// The lock that a transaction holds which commits to the store.
const STORE_LOCK: &str = "SELECT pg_advisory_xact_lock(1937007972, '%s.changes'::regclass::oid::integer)";

/// `name`, which holds no quotes, as an SQL identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// Finds the store in the schema `name`, or makes one there unless it is only read. One of an older format is upgraded.
/// Gives its lineage.
///
/// # Errors
///
/// - `Corrupt` for a store of a newer format;
/// - `Invalid` for a schema that holds something else, and for one that is only read and holds no store, or an older one;
/// - `Denied` without the right to make one.
pub(crate) async fn ready(
    session: &Session,
    name: &str,
    read_only: bool,
    random: &dyn Random,
) -> Result<[u8; 16], Failure> {
    match state(session, name).await? {
        State::Store(found) if found.format == FORMAT => return Ok(found.lineage),
        State::Store(found) if read_only => {
            return Err(Failure::Final(
                Error::invalid(
                    "the store is of an older format; open it once for writing, which upgrades it",
                )
                .with("option", "read_only")
                .with("format", found.format)
                .with("known_format", FORMAT),
            ));
        }
        _ if read_only => {
            return Err(Failure::Final(
                Error::invalid("there is no store in the schema, and it is opened for reading only")
                    .with("option", "schema"),
            ));
        }
        State::Store(_) | State::Missing | State::Empty => {}
    }
    session.run("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    let made = make_or_upgrade(session, name, random).await;
    let ended = session
        .run(if made.is_ok() { "COMMIT" } else { "ROLLBACK" })
        .await;
    let lineage = made?;
    ended?;
    Ok(lineage)
}

async fn make_or_upgrade(session: &Session, name: &str, random: &dyn Random) -> Result<[u8; 16], Failure> {
    // Two that open a new store at once: the second finds what the first made.
    let lock = Sql {
        text: "SELECT pg_advisory_xact_lock(hashtextextended('stead schema ' || $1, 0))".into(),
        types: vec![tokio_postgres::types::Type::TEXT],
    };
    session.rows(&lock, &[&name]).await?;
    let schema = quoted(name);
    match state(session, name).await? {
        State::Store(found) => {
            upgrade(session, &schema, found.format).await?;
            return Ok(found.lineage);
        }
        State::Missing => session
            .run(&format!("CREATE SCHEMA {schema}"))
            .await
            .map_err(not_allowed)?,
        State::Empty => {}
    }
    for part in [TABLES, FUNCTIONS] {
        session
            .run(&part.replace("%s", &schema))
            .await
            .map_err(not_allowed)?;
    }
    let lineage = random.next_u128().to_be_bytes();
    let begin = Sql {
        text: format!("INSERT INTO {schema}.meta (product, format, lineage) VALUES ('stead', {FORMAT}, $1)"),
        types: vec![tokio_postgres::types::Type::BYTEA],
    };
    session.rows(&begin, &[&&lineage[..]]).await?;
    Ok(lineage)
}

/// Makes a store of the format `from` one of this format, in the transaction that the session is in. Nobody commits to the
/// store meanwhile.
async fn upgrade(session: &Session, schema: &str, from: i32) -> Result<(), Failure> {
    let steps = usize::try_from(from)
        .ok()
        .and_then(|from| UPGRADES.get(from.checked_sub(1)?..));
    let Some(steps) = steps else {
        return Err(Failure::Final(
            Error::corrupt("the store names a format that never was; restore it from a backup")
                .with("format", from),
        ));
    };
    if steps.is_empty() {
        return Ok(());
    }
    let newest = format!("UPDATE %s.meta SET format = {FORMAT}");
    let steps = steps.iter().copied();
    for part in [STORE_LOCK].into_iter().chain(steps).chain([FUNCTIONS, &newest]) {
        session
            .run(&part.replace("%s", schema))
            .await
            .map_err(not_owner)?;
    }
    Ok(())
}

fn not_allowed(failure: Failure) -> Failure {
    denied(
        failure,
        "the user may not make the store's schema; GRANT CREATE ON DATABASE, or make the schema and give it to the user",
    )
}

fn not_owner(failure: Failure) -> Failure {
    denied(
        failure,
        "the store is of an older format, and the user may not upgrade it; let the one that made it open it once",
    )
}

fn denied(failure: Failure, message: &'static str) -> Failure {
    match failure {
        Failure::Final(error) if error.kind() == ErrorKind::Denied => Failure::Final(
            Error::new(ErrorKind::Denied, message)
                .with("option", "schema")
                .because(error),
        ),
        other => other,
    }
}

enum State {
    Missing,
    Empty,
    Store(Store),
}

struct Store {
    lineage: [u8; 16],
    format: i32,
}

async fn state(session: &Session, name: &str) -> Result<State, Failure> {
    let look = Sql {
        text: "SELECT n.oid IS NOT NULL,
                EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid)
                    OR EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid)
                    OR EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.typnamespace = n.oid),
                (SELECT count(*) FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
                    WHERE c.relnamespace = n.oid AND c.relname = 'meta' AND c.relkind = 'r'
                    AND a.attname IN ('product', 'format', 'lineage') AND NOT a.attisdropped) = 3
            FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1"
            .into(),
        types: vec![tokio_postgres::types::Type::TEXT],
    };
    let row = session.row(&look, &[&name]).await?;
    let get = |column| row.try_get::<_, bool>(column).map_err(error::asking);
    let (exists, used, ours) = (get(0)?, get(1)?, get(2)?);
    if !exists {
        return Ok(State::Missing);
    }
    if !used {
        return Ok(State::Empty);
    }
    if !ours {
        return Err(in_use());
    }
    read_meta(session, name).await.map(State::Store)
}

async fn read_meta(session: &Session, name: &str) -> Result<Store, Failure> {
    let schema = quoted(name);
    let read = Sql {
        text: format!("SELECT product::text, format::integer, lineage FROM {schema}.meta"),
        types: Vec::new(),
    };
    let row = session.row(&read, &[]).await?;
    let product: String = row.try_get(0).map_err(error::asking)?;
    if product != "stead" {
        return Err(in_use());
    }
    let format: i32 = row.try_get(1).map_err(error::asking)?;
    if format > FORMAT {
        return Err(Failure::Final(
            Error::corrupt("the store was written by a newer Stead; upgrade this one")
                .with("format", format)
                .with("known_format", FORMAT),
        ));
    }
    let lineage: Vec<u8> = row.try_get(2).map_err(error::asking)?;
    let lineage = lineage
        .try_into()
        .map_err(|_| Failure::Final(Error::corrupt("the store's lineage is not what was written")))?;
    Ok(Store { lineage, format })
}

fn in_use() -> Failure {
    Failure::Final(
        Error::invalid("the schema holds something that is no store; give the store a schema of its own")
            .with("option", "schema"),
    )
}
