//! The schema of a store: made, upgraded, and recognised.

use stead_core::{Error, ErrorKind, Random, Result};
use stead_network::Failure;

use crate::error;
use crate::server::{Session, Sql};

/// The format that this crate reads and writes.
const FORMAT: i32 = 1;
const FORMAT_1: &str = include_str!("format1.sql");

/// `name`, which holds no quotes, as an SQL identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// Finds the store in the schema `name`, or makes one there unless it is only read. Gives its lineage.
///
/// # Errors
///
/// - `Corrupt` for a store of a newer format;
/// - `Invalid` for a schema that holds something else, and for one without a store that is only read;
/// - `Denied` without the right to make one.
pub(crate) async fn ready(
    session: &Session,
    name: &str,
    read_only: bool,
    random: &dyn Random,
) -> Result<[u8; 16], Failure> {
    match state(session, name).await? {
        State::Store(lineage) => return Ok(lineage),
        _ if read_only => {
            return Err(Failure::Final(
                Error::invalid("there is no store in the schema, and it is opened for reading only")
                    .with("option", "schema"),
            ));
        }
        State::Missing | State::Empty => {}
    }
    session.run("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    let made = make(session, name, random).await;
    let ended = session
        .run(if made.is_ok() { "COMMIT" } else { "ROLLBACK" })
        .await;
    let lineage = made?;
    ended?;
    Ok(lineage)
}

async fn make(session: &Session, name: &str, random: &dyn Random) -> Result<[u8; 16], Failure> {
    // Two that open a new store at once: the second finds what the first made.
    let lock = Sql {
        text: "SELECT pg_advisory_xact_lock(hashtextextended('stead schema ' || $1, 0))".into(),
        types: vec![tokio_postgres::types::Type::TEXT],
    };
    session.rows(&lock, &[&name]).await?;
    let schema = quoted(name);
    match state(session, name).await? {
        State::Store(lineage) => return Ok(lineage),
        State::Missing => session
            .run(&format!("CREATE SCHEMA {schema}"))
            .await
            .map_err(not_allowed)?,
        State::Empty => {}
    }
    session
        .run(&FORMAT_1.replace("%s", &schema))
        .await
        .map_err(not_allowed)?;
    let lineage = random.next_u128().to_be_bytes();
    let begin = Sql {
        text: format!("INSERT INTO {schema}.meta (product, format, lineage) VALUES ('stead', {FORMAT}, $1)"),
        types: vec![tokio_postgres::types::Type::BYTEA],
    };
    session.rows(&begin, &[&&lineage[..]]).await?;
    Ok(lineage)
}

fn not_allowed(failure: Failure) -> Failure {
    match failure {
        Failure::Final(error) if error.kind() == ErrorKind::Denied => Failure::Final(
            Error::new(
                ErrorKind::Denied,
                "the user may not make the store's schema; GRANT CREATE ON DATABASE, or make the schema and give it to the user",
            )
            .with("option", "schema")
            .because(error),
        ),
        other => other,
    }
}

enum State {
    Missing,
    Empty,
    Store([u8; 16]),
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

async fn read_meta(session: &Session, name: &str) -> Result<[u8; 16], Failure> {
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
    lineage
        .try_into()
        .map_err(|_| Failure::Final(Error::corrupt("the store's lineage is not what was written")))
}

fn in_use() -> Failure {
    Failure::Final(
        Error::invalid("the schema holds something that is no store; give the store a schema of its own")
            .with("option", "schema"),
    )
}
