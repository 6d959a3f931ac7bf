//! What opening refuses, and what it finds out.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "each test target uses its own part of the support")]

mod support;

use stead_core::{Backend, Durability, ErrorKind, Limits, Strength};
use stead_postgres::{NetworkOptions, TlsMode};
use stead_servers::{PgBouncer, PostgresOptions, SynchronousCommit, TlsFiles};
use support::{SECRET, assert_refusal, config, impatient, open, patient, put, quick, refused, server, value};

#[tokio::test(flavor = "multi_thread")]
async fn logins_databases_and_hosts_are_refused_by_name() {
    let server = server(PostgresOptions::default().without_fsync().with_password("right"));
    let at = server.address();
    let url =
        |user: &str, password: &str, database: &str| format!("postgres://{user}:{password}@{at}/{database}");
    let database = config(&server.url()).database;

    let wrong = refused(&url("stead", SECRET, &database), patient()).await;
    assert_refusal(&wrong, ErrorKind::Denied, "password");
    let none = refused(&format!("postgres://stead@{at}/{database}"), patient()).await;
    assert_refusal(&none, ErrorKind::Denied, "password");
    let nobody = refused(&url("nobody", SECRET, &database), patient()).await;
    assert_refusal(&nobody, ErrorKind::Denied, "user");
    let nowhere = refused(&url("stead", "right", "nowhere"), patient()).await;
    assert_refusal(&nowhere, ErrorKind::Invalid, "database");
    let unknown = format!("postgres://stead:{SECRET}@no-such-host.invalid/x");
    let unknown = refused(&unknown, impatient()).await;
    assert_refusal(
        &unknown,
        ErrorKind::Unavailable,
        "server=no-such-host.invalid:5432",
    );

    let store = open(&url("stead", "right", &database), patient()).await.unwrap();
    put(&store, "a", "1").await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_verified_as_it_was_asked_for() {
    let files = TlsFiles::make().unwrap();
    let server = server(PostgresOptions::default().without_fsync().with_tls(&files));
    let database = config(&server.url()).database;
    let port = server.address().port();
    let url = |host: &str, query: &str| format!("postgres://stead@{host}:{port}/{database}?{query}");
    let ca = format!("sslrootcert={}", files.ca().display());

    let plain = refused(&url("localhost", "sslmode=disable"), impatient()).await;
    assert_refusal(&plain, ErrorKind::Denied, "pg_hba");
    let strangers = TlsFiles::make().unwrap();
    let other = format!("sslmode=verify-full&sslrootcert={}", strangers.ca().display());
    let untrusted = refused(&url("localhost", &other), impatient()).await;
    assert_refusal(&untrusted, ErrorKind::Denied, "sslmode");
    let missing = refused(
        &url("localhost", "sslmode=verify-full&sslrootcert=/nowhere.pem"),
        impatient(),
    )
    .await;
    assert_refusal(&missing, ErrorKind::Invalid, "sslrootcert");

    for query in [
        "sslmode=prefer",
        "sslmode=require",
        &format!("sslmode=verify-full&{ca}"),
    ] {
        let store = open(&url("localhost", query), patient()).await.unwrap();
        put(&store, "a", query).await.unwrap();
        assert_eq!(value(&*store, "a").await.unwrap().as_deref(), Some(query));
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_that_the_server_does_not_offer_is_refused() {
    let server = quick();
    let url = format!("{}?sslmode=require", server.url());
    let mut config = config(&url);
    assert_eq!(config.tls, TlsMode::Require);
    config.tls = TlsMode::Require;
    let error = refused(&url, impatient()).await;
    assert_refusal(&error, ErrorKind::Invalid, "sslmode");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_of_another_name_is_refused() {
    let files = TlsFiles::make_for(&["db.example"]).unwrap();
    let server = server(PostgresOptions::default().without_fsync().with_tls(&files));
    let database = config(&server.url()).database;
    let port = server.address().port();
    let ca = files.ca();
    let url = format!(
        "postgres://stead@localhost:{port}/{database}?sslmode=verify-full&sslrootcert={}",
        ca.display()
    );
    let error = refused(&url, impatient()).await;
    assert_refusal(&error, ErrorKind::Denied, "sslrootcert");
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_of_something_else_or_of_a_newer_stead_is_refused() {
    let server = quick();
    let url = |schema: &str| format!("{}?schema={schema}", server.url());
    server
        .sql("CREATE SCHEMA theirs; CREATE TABLE theirs.orders (id integer)")
        .unwrap();
    let theirs = refused(&url("theirs"), patient()).await;
    assert_refusal(&theirs, ErrorKind::Invalid, "schema");
    server.sql("CREATE SCHEMA alike; CREATE TABLE alike.meta (product text, format integer, lineage bytea); INSERT INTO alike.meta VALUES ('other', 1, '')").unwrap();
    let alike = refused(&url("alike"), patient()).await;
    assert_refusal(&alike, ErrorKind::Invalid, "schema");

    let store = open(&url("ours"), patient()).await.unwrap();
    put(&store, "a", "1").await.unwrap();
    store.close().await.unwrap();
    server.sql("UPDATE ours.meta SET format = format + 1").unwrap();
    let newer = refused(&url("ours"), patient()).await;
    assert_refusal(&newer, ErrorKind::Corrupt, "newer");
    server.sql("UPDATE ours.meta SET format = format - 1").unwrap();
    let again = open(&url("ours"), patient()).await.unwrap();
    assert_eq!(value(&*again, "a").await.unwrap().as_deref(), Some("1"));
    assert_eq!(again.lineage(), store.lineage());

    // Made beforehand by somebody who may, and empty.
    server.sql("CREATE SCHEMA empty").unwrap();
    assert!(open(&url("empty"), patient()).await.is_ok());
    let read_only = NetworkOptions {
        read_only: true,
        ..patient()
    };
    let missing = refused(&url("missing"), read_only).await;
    assert_refusal(&missing, ErrorKind::Invalid, "schema");
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_is_not_made_without_the_right() {
    let server = quick();
    let database = config(&server.url()).database;
    server.sql("CREATE ROLE guest LOGIN").unwrap();
    let url = format!("postgres://guest@{}/{database}", server.address());
    let error = refused(&url, patient()).await;
    assert_refusal(&error, ErrorKind::Denied, "GRANT CREATE");
    // With a schema of its own it may.
    server.sql("CREATE SCHEMA stead AUTHORIZATION guest").unwrap();
    let store = open(&url, patient()).await.unwrap();
    put(&store, "a", "1").await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_open_a_new_store_at_once_open_the_same() {
    let server = quick();
    let opened = (0..8).map(|_| {
        let url = server.url();
        tokio::spawn(async move { open(&url, patient()).await.unwrap().lineage() })
    });
    let mut lineages = Vec::new();
    for one in opened.collect::<Vec<_>>() {
        lineages.push(one.await.unwrap());
    }
    assert!(lineages.windows(2).all(|two| two[0] == two[1]), "{lineages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn durability_is_what_the_settings_give() {
    let cases = [
        (PostgresOptions::default(), Strength::PowerLoss),
        (PostgresOptions::default().without_fsync(), Strength::ProcessCrash),
        (
            PostgresOptions::default().with_setting("full_page_writes", "off"),
            Strength::ProcessCrash,
        ),
        // A batch asks for it where the server does not do it unasked.
        (
            PostgresOptions::default().with_synchronous_commit(SynchronousCommit::Off),
            Strength::PowerLoss,
        ),
    ];
    for (options, durable) in cases {
        let server = server(options.clone());
        let store = open(&server.url(), patient()).await.unwrap();
        let capabilities = store.capabilities();
        assert_eq!(capabilities.durable, durable, "{options:?}");
        assert_eq!(capabilities.buffered, Strength::Volatile, "{options:?}");
        assert_eq!(capabilities.default_durability, Durability::Durable);
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn standbys_that_commits_wait_for_are_declared() {
    let server = quick();
    server.sql("ALTER SYSTEM SET fsync = on").unwrap();
    server
        .sql("ALTER SYSTEM SET synchronous_commit = 'local'")
        .unwrap();
    server
        .sql("ALTER SYSTEM SET synchronous_standby_names = 'elsewhere'")
        .unwrap();
    server.reload().unwrap();
    let fresh = || async {
        let store = open(&server.url(), patient()).await.unwrap();
        let durable = store.capabilities().durable;
        store.close().await.unwrap();
        durable
    };
    let mut durable = fresh().await;
    // The server reads its settings in its own time.
    for _ in 0..200 {
        if durable == Strength::PowerLoss {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        durable = fresh().await;
    }
    assert_eq!(durable, Strength::PowerLoss, "commits wait for this server alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn isolation_that_breaks_revisions_is_refused_or_overruled() {
    let server = quick();
    server
        .sql("ALTER ROLE stead SET default_transaction_isolation = 'serializable'")
        .unwrap();
    // A session of ours says what it wants.
    let store = open(&server.url(), patient()).await.unwrap();
    put(&store, "a", "1").await.unwrap();
    store.close().await.unwrap();
    // One that is shared cannot.
    let bouncer = PgBouncer::start(&server).unwrap();
    let error = refused(&bouncer.url(), patient()).await;
    assert_refusal(&error, ErrorKind::Invalid, "default_transaction_isolation");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_takes_no_writes_is_refused_unless_only_read() {
    let server = quick();
    let store = open(&server.url(), patient()).await.unwrap();
    put(&store, "a", "1").await.unwrap();
    store.close().await.unwrap();
    server
        .sql("ALTER ROLE stead SET default_transaction_read_only = on")
        .unwrap();
    let error = refused(&server.url(), impatient()).await;
    assert_refusal(&error, ErrorKind::Unavailable, "read_only");
    let read_only = NetworkOptions {
        read_only: true,
        ..patient()
    };
    let store = open(&server.url(), read_only).await.unwrap();
    assert_eq!(value(&*store, "a").await.unwrap().as_deref(), Some("1"));
    let error = put(&store, "a", "2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_beyond_the_server_and_unknown_options_are_refused() {
    let server = quick();
    let options = NetworkOptions {
        limits: Limits {
            batch_bytes: 1 << 30,
            ..Limits::default()
        },
        ..patient()
    };
    let error = refused(&server.url(), options).await;
    assert_refusal(&error, ErrorKind::Invalid, "batch_bytes");
    let url = format!("{}?shcema=x", server.url()).parse().unwrap();
    let error = stead_postgres::open_url(url).await.err().unwrap();
    assert_refusal(&error, ErrorKind::Invalid, "did_you_mean=schema");
}

#[test]
fn no_runtime_is_an_error_and_no_panic() {
    let mut opening = Box::pin(open("postgres://stead@localhost/x", patient()));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(error)) = opening.as_mut().poll(&mut cx) else {
        panic!("opened without a runtime");
    };
    assert_refusal(&error, ErrorKind::Invalid, "tokio");
}
