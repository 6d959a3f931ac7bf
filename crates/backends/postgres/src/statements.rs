//! The statements of a store, with the name of its schema.

use tokio_postgres::types::Type;

use crate::schema::{FORMAT, quoted};
use crate::server::Sql;

/// What ends a page early: values are large here and there, and a page is held in memory.
const PAGE_BYTES: i64 = 8 << 20;

/// Every statement that a store sends again and again.
pub(crate) struct Statements {
    pub(crate) get: Sql,
    pub(crate) get_many: Sql,
    pub(crate) page: Sql,
    pub(crate) page_back: Sql,
    pub(crate) keys: Sql,
    pub(crate) keys_back: Sql,
    pub(crate) commit: Sql,
    pub(crate) put_alone: Sql,
    pub(crate) judge: Sql,
    pub(crate) sync: Sql,
    pub(crate) newest: Sql,
    pub(crate) changes: Sql,
    pub(crate) listening: Sql,
    pub(crate) channel: Sql,
    pub(crate) overdue: Sql,
    pub(crate) sweep: Sql,
    pub(crate) forget: Sql,
    pub(crate) forget_aged: Sql,
    pub(crate) stats: Sql,
    pub(crate) check_entries: Sql,
    pub(crate) check_deadlines: Sql,
    pub(crate) check_changes: Sql,
    pub(crate) check_requests: Sql,
}

impl Statements {
    /// For sessions that are ours, or for such as are shared and cannot be told how to plan.
    pub(crate) fn new(schema: &str, sessions: bool) -> Self {
        let s = &quoted(schema)[..];
        let plain = |text: &str, types: Vec<Type>| Sql {
            text: text.replace("%s", s),
            types,
        };
        let pooled = if sessions { "" } else { "pooled_" };
        let of_page = || vec![Type::BYTEA, Type::BYTEA, Type::INT8, Type::INT8];
        Statements {
            get: plain(GET, vec![Type::BYTEA]),
            get_many: plain(GET_MANY, vec![Type::BYTEA_ARRAY]),
            page: plain(&page(""), of_page()),
            page_back: plain(&page(" DESC"), of_page()),
            keys: plain(&keys(""), of_page()),
            keys_back: plain(&keys(" DESC"), of_page()),
            commit: commit(s, pooled),
            put_alone: plain(
                &put_alone(),
                vec![
                    Type::BYTEA,
                    Type::BYTEA,
                    Type::INT8,
                    Type::INT8,
                    Type::INT8,
                    Type::INT8,
                    Type::INT8,
                ],
            ),
            judge: plain(&judge(pooled), [vec![Type::INT8], checks()].concat()),
            sync: plain(SYNC, vec![Type::TEXT]),
            newest: plain(NEWEST, Vec::new()),
            changes: plain(&changes(), vec![Type::INT8, Type::INT8]),
            listening: plain(LISTENING, Vec::new()),
            channel: plain("SELECT 'stead_' || '%s.changes'::regclass::oid", Vec::new()),
            overdue: plain(OVERDUE, vec![Type::INT8]),
            sweep: plain(
                &format!("SELECT r_last, r_swept FROM %s.sweep_{FORMAT}($1, $2)"),
                vec![Type::INT8, Type::INT4],
            ),
            forget: plain(FORGET, vec![Type::INT8]),
            forget_aged: plain(FORGET_AGED, vec![Type::INT8]),
            stats: plain(STATS, Vec::new()),
            check_entries: plain(CHECK_ENTRIES, vec![Type::BYTEA, Type::INT8]),
            check_deadlines: plain(CHECK_DEADLINES, Vec::new()),
            check_changes: plain(CHECK_CHANGES, vec![Type::INT8, Type::INT8]),
            check_requests: plain(CHECK_REQUESTS, vec![Type::INT8, Type::INT8]),
        }
    }
}

const GET: &str = "SELECT value, revision, deadline FROM %s.entries WHERE key = $1";

const GET_MANY: &str = "SELECT key, value, revision, deadline FROM %s.entries WHERE key = ANY ($1)";

const SYNC: &str = "UPDATE %s.meta SET syncs = syncs + 1
    WHERE set_config('synchronous_commit', $1, true) IS NOT NULL";

const NEWEST: &str = "SELECT (SELECT revision FROM %s.changes ORDER BY revision DESC LIMIT 1),
    (SELECT floor FROM %s.meta WHERE one)";

const LISTENING: &str = "UPDATE %s.meta SET listening = clock_timestamp() + interval '30 seconds'
    WHERE listening IS NULL OR listening < clock_timestamp() + interval '15 seconds'";

const OVERDUE: &str = "SELECT EXISTS (SELECT FROM %s.entries WHERE deadline <= $1)";

const FORGET: &str = "DELETE FROM %s.requests WHERE number <=
    (SELECT number FROM %s.requests ORDER BY number DESC LIMIT 1 OFFSET $1)";

const FORGET_AGED: &str = "DELETE FROM %s.requests WHERE time < $1 AND number = ANY (ARRAY(
    SELECT number FROM %s.requests ORDER BY number LIMIT 4096))";

const STATS: &str = "SELECT c.revision, c.entries, c.bytes, m.floor,
        pg_total_relation_size('%s.entries') + pg_total_relation_size('%s.changes')
            + pg_total_relation_size('%s.requests') + pg_total_relation_size('%s.meta')
    FROM %s.changes c, %s.meta m WHERE m.one ORDER BY c.revision DESC LIMIT 1";

/// Joined to nothing, so that a value that is stored elsewhere is read from there.
const CHECK_ENTRIES: &str = "SELECT key, octet_length(value || ''::bytea), revision, deadline
    FROM %s.entries WHERE key > $1 ORDER BY key LIMIT $2";

const CHECK_DEADLINES: &str = "SELECT count(*) FROM %s.entries WHERE deadline IS NOT NULL";

const CHECK_CHANGES: &str = "SELECT revision, cardinality(keys), octet_length(kinds) FROM %s.changes
    WHERE revision > $1 ORDER BY revision LIMIT $2";

const CHECK_REQUESTS: &str =
    "SELECT number, octet_length(id), octet_length(fingerprint), outcome, revision, place
    FROM %s.requests WHERE number > $1 ORDER BY number LIMIT $2";

const VISIBLE: &str = "(deadline IS NULL OR deadline > $3)";

/// The sizes are known without reading the values; only what is given is read.
fn page(order: &str) -> String {
    format!(
        "SELECT key, value, revision, deadline FROM (
            SELECT *, sum(octet_length(value)) OVER (ORDER BY key{order} ROWS UNBOUNDED PRECEDING)
                - octet_length(value) AS before
            FROM (SELECT key, value, revision, deadline FROM %s.entries
                WHERE key >= $1 AND key < $2 AND {VISIBLE} ORDER BY key{order} LIMIT $4) page
        ) sized WHERE before < {PAGE_BYTES} ORDER BY key{order}"
    )
}

fn keys(order: &str) -> String {
    format!(
        "SELECT key FROM %s.entries WHERE key >= $1 AND key < $2 AND {VISIBLE} ORDER BY key{order} LIMIT $4"
    )
}

fn judge(pooled: &str) -> String {
    format!(
        "SELECT (SELECT revision FROM %s.changes ORDER BY revision DESC LIMIT 1), j.place, j.found
        FROM (SELECT 1) one LEFT JOIN %s.judge_{pooled}{FORMAT}($1, $2, $3, $4, $5, $6, $7) j ON true"
    )
}

/// A put of `$1` and `$2` with the deadline `$3`, at the revision `$4` behind a head with the totals `$5` and `$6`. Gives the
/// totals after it, and no row where nothing was done. What overwrites an entry past its deadline is left to the function,
/// which counts it. See [`single`](crate::single).
fn put_alone() -> String {
    format!(
        "WITH logged AS (
            INSERT INTO %s.changes AS c (revision, entries, bytes, keys)
            SELECT $4,
                CASE WHEN o.key IS NULL THEN $5 + 1 ELSE $5 END,
                CASE WHEN o.key IS NULL THEN $6 + octet_length($1) + octet_length($2)
                    ELSE $6 + octet_length($2) - octet_length(o.value) END,
                ARRAY[$1]
            FROM %s.meta m LEFT JOIN %s.entries o ON o.key = $1
            WHERE m.format = {FORMAT} AND m.floor < $4
                AND (o.deadline IS NULL OR o.deadline > $7)
                AND pg_try_advisory_xact_lock(1937007972, '%s.changes'::regclass::oid::integer)
                AND (m.listening IS NULL OR m.listening < clock_timestamp()
                    OR pg_notify('stead_' || '%s.changes'::regclass::oid, '') IS NULL)
            FOR SHARE OF m
            ON CONFLICT DO NOTHING
            RETURNING c.revision, c.entries, c.bytes
        ), written AS (
            INSERT INTO %s.entries (key, value, revision, deadline)
            SELECT $1, $2, l.revision, $3 FROM logged l
            ON CONFLICT (key) DO UPDATE
            SET value = excluded.value, revision = excluded.revision, deadline = excluded.deadline
        )
        SELECT entries, bytes FROM logged"
    )
}

/// What a watch reads, with the ends of the log as they are in the same instant.
fn changes() -> String {
    format!(
        "SELECT m.floor, (SELECT revision FROM %s.changes ORDER BY revision DESC LIMIT 1),
            c.revision, c.keys, c.kinds
        FROM %s.meta m LEFT JOIN LATERAL (
            SELECT *, sum(pg_column_size(keys)) OVER (ORDER BY revision ROWS UNBOUNDED PRECEDING)
                - pg_column_size(keys) AS before
            FROM (SELECT revision, keys, kinds FROM %s.changes
                WHERE revision > $1 ORDER BY revision LIMIT $2) page
        ) c ON c.before < {PAGE_BYTES} WHERE m.one ORDER BY c.revision"
    )
}

fn checks() -> Vec<Type> {
    vec![
        Type::INT4_ARRAY,
        Type::INT4_ARRAY,
        Type::INT2_ARRAY,
        Type::BYTEA_ARRAY,
        Type::BYTEA_ARRAY,
        Type::INT8_ARRAY,
    ]
}

fn commit(s: &str, pooled: &str) -> Sql {
    let batches = vec![
        Type::INT8,
        Type::TEXT,
        Type::INT8,
        Type::INT8,
        Type::INT4,
        Type::BOOL_ARRAY,
        Type::BYTEA_ARRAY,
        Type::BYTEA_ARRAY,
    ];
    let puts = vec![
        Type::INT4_ARRAY,
        Type::BYTEA_ARRAY,
        Type::BYTEA_ARRAY,
        Type::INT8_ARRAY,
    ];
    let others = vec![
        Type::INT4_ARRAY,
        Type::BYTEA_ARRAY,
        Type::BYTEA_ARRAY,
        Type::INT2_ARRAY,
        Type::INT8_ARRAY,
        Type::INT2_ARRAY,
        Type::INT8_ARRAY,
    ];
    let types = [batches, checks(), puts, others].concat();
    let places: Vec<_> = (1..=types.len()).map(|place| format!("${place}")).collect();
    Sql {
        text: format!(
            "SELECT r_last, r_expired, r_outcome, r_revision, r_place, r_found, r_entries, r_bytes
            FROM {s}.commit_{pooled}{FORMAT}({})",
            places.join(", ")
        ),
        types,
    }
}
