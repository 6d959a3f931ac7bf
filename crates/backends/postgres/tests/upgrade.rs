//! Stores of older formats.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "each test target uses its own part of the support")]

mod support;

use stead_core::{Backend, BackendExt, ErrorKind, KeyRange, Revision, WatchEvent, WatchSpec};
use stead_postgres::NetworkOptions;
use stead_servers::PostgresServer;
use support::{assert_refusal, key, open, patient, put, quick, refused, value};

/// What a store of format 1 was made of, with two entries that two batches wrote.
const FORMAT_1: &str = include_str!("fixtures/format1.sql");
const ENTRIES_1: &str = "
INSERT INTO %s.meta (product, format, lineage) VALUES ('stead', 1, '\\x000102030405060708090a0b0c0d0e0f');
INSERT INTO %s.entries VALUES ('home\\000a', 'first', 1, NULL), ('home\\000b', 'second', 2, NULL);
INSERT INTO %s.changes VALUES (1, 1, 11, ARRAY['home\\000a'::bytea], NULL), (2, 2, 23, ARRAY['home\\000b'::bytea], NULL);";

fn make(server: &PostgresServer, schema: &str) -> String {
    let text = format!("CREATE SCHEMA %s; {FORMAT_1} {ENTRIES_1}").replace("%s", schema);
    server.sql(&text).unwrap();
    format!("{}?schema={schema}", server.url())
}

#[tokio::test(flavor = "multi_thread")]
async fn store_of_format_1_is_upgraded_and_loses_nothing() {
    let server = quick();
    let url = make(&server, "old");
    let read_only = NetworkOptions {
        read_only: true,
        ..patient()
    };
    let refusal = refused(&url, read_only).await;
    assert_refusal(&refusal, ErrorKind::Invalid, "read_only");

    // Of those who open it at once, one upgrades it.
    let (store, other) = tokio::join!(open(&url, patient()), open(&url, patient()));
    let (store, other) = (store.unwrap(), other.unwrap());
    assert_eq!(store.lineage(), 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f);
    assert_eq!(other.lineage(), store.lineage());
    assert_eq!(server.sql("SELECT format FROM old.meta").unwrap(), "2");
    assert_eq!(value(&*store, "a").await.unwrap().as_deref(), Some("first"));
    assert_eq!(put(&store, "c", "third").await.unwrap(), Revision::new(3));
    assert_eq!(store.delete(key("b")).await.unwrap(), Revision::new(4));
    assert_eq!(store.check(&|_| ()).await.unwrap().entries, 2);

    let mut watcher = other
        .watch(&WatchSpec::new(KeyRange::all()).after(Revision::ZERO))
        .unwrap();
    for revision in 1..=4 {
        match watcher.next().await.unwrap() {
            WatchEvent::Changes(set) => assert_eq!(set.revision, Revision::new(revision)),
            end => panic!("the watch ended: {end:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upgraded_store_is_the_same_as_a_new_one() {
    let server = quick();
    open(&make(&server, "old"), patient()).await.unwrap();
    open(&format!("{}?schema=new", server.url()), patient())
        .await
        .unwrap();
    let described = |schema: &str| {
        let text = server
            .sql(&format!(
                "SELECT c.relname, c.relkind, c.reloptions, a.attname, a.atttypid, a.attnotnull, a.attnum
                FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
                WHERE c.relnamespace = '{schema}'::regnamespace ORDER BY 1, 7;
                SELECT proname, proargtypes, proallargtypes, proargnames, proconfig, md5(replace(prosrc, '\"{schema}\"', ''))
                FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace ORDER BY 1, 2"
            ))
            .unwrap();
        text.replace(&format!("\"{schema}\""), "")
    };
    assert_eq!(described("old"), described("new"));
}

#[tokio::test(flavor = "multi_thread")]
async fn format_that_never_was_and_a_user_who_may_not_upgrade_are_refused() {
    let server = quick();
    let url = make(&server, "old");
    server
        .sql("CREATE ROLE guest LOGIN; GRANT USAGE ON SCHEMA old TO guest; GRANT ALL ON ALL TABLES IN SCHEMA old TO guest")
        .unwrap();
    let guest = url.replace("stead@", "guest@");
    let refusal = refused(&guest, patient()).await;
    assert_refusal(&refusal, ErrorKind::Denied, "upgrade");
    assert_eq!(
        server.sql("SELECT format FROM old.meta").unwrap(),
        "1",
        "all of it or nothing"
    );
    server.sql("UPDATE old.meta SET format = 0").unwrap();
    let refusal = refused(&url, patient()).await;
    assert_refusal(&refusal, ErrorKind::Corrupt, "format");
}

/// A handle of an older Stead calls functions that are gone; so does one of this Stead when a newer one has been there.
#[tokio::test(flavor = "multi_thread")]
async fn handle_over_which_the_store_was_upgraded_is_told() {
    let server = quick();
    let url = format!("{}?schema=ours", server.url());
    let store = open(&url, patient()).await.unwrap();
    for number in 0..8 {
        put(&store, "a", &number.to_string()).await.unwrap();
    }
    server
        .sql("ALTER FUNCTION ours.commit_2 RENAME TO commit_3; UPDATE ours.meta SET format = 3")
        .unwrap();
    let error = put(&store, "a", "late").await.unwrap_err();
    assert_refusal(&error, ErrorKind::Corrupt, "open it anew");
    assert_eq!(value(&*store, "a").await.unwrap().as_deref(), Some("7"));
}
