//! The bare client of PostgreSQL, and a statement that does the same index work as a put of Stead.

use std::hint::black_box;

use bytes::Bytes;
use stead_core::Key;
use tokio_postgres::{Client, NoTls, Statement};

use super::side::Side;

const TABLES: &str = "
CREATE SCHEMA bare;
CREATE TABLE bare.entries (key bytea PRIMARY KEY, value bytea NOT NULL, revision bigint NOT NULL);
CREATE TABLE bare.changes (revision bigint PRIMARY KEY, key bytea NOT NULL);
CREATE SEQUENCE bare.revisions;
CREATE TABLE bare.counter (revision bigint NOT NULL);
INSERT INTO bare.counter VALUES (1000000000)";

const GET: &str = "SELECT value, revision FROM bare.entries WHERE key = $1";

const GET_MANY: &str = "SELECT key, value, revision FROM bare.entries WHERE key = ANY ($1)";

/// The next revision, the entry with it, and a change record. The sequence costs less than what Stead promises: nobody who
/// reads it knows that what comes before is visible already.
const PUT: &str = "
WITH next AS (SELECT nextval('bare.revisions') AS revision),
logged AS (INSERT INTO bare.changes SELECT revision, $1 FROM next)
INSERT INTO bare.entries SELECT $1, $2, revision FROM next
ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision";

/// The same with a revision that promises what Stead's does: it is counted in a row, which stays locked until the commit, so
/// that revisions come in the order of commits.
const PUT_IN_ORDER: &str = "
WITH next AS (UPDATE bare.counter SET revision = revision + 1 RETURNING revision),
logged AS (INSERT INTO bare.changes SELECT revision, $1 FROM next)
INSERT INTO bare.entries SELECT $1, $2, revision FROM next
ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision";

const PUT_MANY: &str = "
WITH new AS (SELECT nextval('bare.revisions') AS revision, u.* FROM unnest($1::bytea[], $2::bytea[]) AS u(key, value)),
logged AS (INSERT INTO bare.changes SELECT revision, key FROM new)
INSERT INTO bare.entries SELECT key, value, revision FROM new
ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision";

/// A connection with its prepared statements.
struct Session {
    client: Client,
    get: Statement,
    get_many: Statement,
    put: Statement,
    put_many: Statement,
}

impl Session {
    async fn open(url: &str) -> Self {
        let client = connect(url).await;
        let prepare = async |text| client.prepare(text).await.expect("it prepares");
        Session {
            get: prepare(GET).await,
            get_many: prepare(GET_MANY).await,
            put: prepare(PUT).await,
            put_many: prepare(PUT_MANY).await,
            client,
        }
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("it connects");
    tokio::spawn(async move { connection.await.expect("the server stays") });
    client
}

/// A client with a connection for each task, and tables of its own.
pub(super) struct Bare {
    sessions: Vec<Session>,
}

impl Bare {
    pub(super) async fn open(url: &str, tasks: usize) -> Self {
        let made = connect(url).await.batch_execute(TABLES).await;
        made.expect("the tables are made");
        let mut sessions = Vec::new();
        for _ in 0..tasks {
            sessions.push(Session::open(url).await);
        }
        Bare { sessions }
    }

    /// The same client, whose puts have revisions in the order of commits.
    pub(super) async fn in_order(mut self) -> Self {
        for session in &mut self.sessions {
            let put = session.client.prepare(PUT_IN_ORDER).await;
            session.put = put.expect("it prepares");
        }
        self
    }
}

impl Side for Bare {
    async fn get(&self, task: usize, key: &Key) -> usize {
        let session = &self.sessions[task];
        let row = session.client.query_one(&session.get, &[&key.as_bytes()]).await;
        let row = row.expect("it reads");
        black_box(row.get::<_, i64>(1));
        black_box(row.get::<_, Vec<u8>>(0)).len()
    }

    async fn get_many(&self, keys: &[Key]) -> usize {
        let session = &self.sessions[0];
        let keys: Vec<&[u8]> = keys.iter().map(Key::as_bytes).collect();
        let rows = session.client.query(&session.get_many, &[&keys]).await;
        let rows = rows.expect("it reads");
        let values: Vec<Vec<u8>> = rows.iter().map(|row| row.get(1)).collect();
        black_box(values).len()
    }

    async fn put(&self, task: usize, key: &Key, value: &Bytes) {
        let session = &self.sessions[task];
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&key.as_bytes(), &&value[..]];
        let written = session.client.execute(&session.put, &params).await;
        assert_eq!(written.expect("it writes"), 1);
    }

    async fn put_many(&self, keys: &[Key], values: &[Bytes]) {
        let session = &self.sessions[0];
        let keys: Vec<&[u8]> = keys.iter().map(Key::as_bytes).collect();
        let values: Vec<&[u8]> = values.iter().map(|value| &value[..]).collect();
        let written = session.client.execute(&session.put_many, &[&keys, &values]).await;
        assert_eq!(written.expect("it writes"), keys.len() as u64);
    }
}
