//! A private PostgreSQL starts, answers, is killed and comes back.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use stead_servers::{PgBouncer, PostgresOptions, PostgresServer, SynchronousCommit};

/// Whether the process is there and not a corpse that the system's first process has yet to bury.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, fields)| !fields.starts_with('Z'))
}

/// What `psql` makes of a URL.
fn query(url: &str, statement: &str) -> Result<String, String> {
    let output = Command::new("psql")
        .args(["-X", "-w", "-q", "-A", "-t", "-c", statement, url])
        .output()
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn a_commit_survives_a_kill_of_all_processes() {
    let server = PostgresServer::start(PostgresOptions::default()).unwrap();
    let (first, url) = (server.pid().unwrap(), server.url());
    server
        .sql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
        .unwrap();
    let checkpointer = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
    let child: u32 = server.sql(checkpointer).unwrap().parse().unwrap();
    assert!(runs(child));

    server.kill().unwrap();
    assert!(!runs(first));
    assert!(!runs(child));
    assert!(TcpStream::connect(server.address()).is_err());
    assert!(server.sql("SELECT 1").is_err());

    server.restart().unwrap();
    assert_eq!(server.url(), url);
    assert_eq!(query(&url, "SELECT n FROM kept").unwrap(), "7");

    let (second, directory) = (server.pid().unwrap(), server.directory().to_owned());
    drop(server);
    assert!(!runs(second));
    assert!(!directory.exists());
}

#[test]
fn a_killed_server_that_is_dropped_leaves_no_shared_memory() {
    let server = PostgresServer::start(PostgresOptions::default().without_fsync()).unwrap();
    let segment = |directory: PathBuf| {
        let lock = std::fs::read_to_string(directory.join("data/postmaster.pid")).unwrap();
        let id = lock.lines().nth(6).unwrap().split_whitespace().nth(1).unwrap();
        id.to_owned()
    };
    let id = segment(server.directory().to_owned());
    let is_there = |id: &str| {
        let list = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
        list.lines()
            .any(|line| line.split_whitespace().nth(1) == Some(id))
    };
    assert!(is_there(&id));
    server.kill().unwrap();
    assert!(is_there(&id), "as a real kill leaves it");
    drop(server);
    assert!(!is_there(&id));
}

#[test]
fn two_at_once_share_nothing() {
    let start =
        || thread::spawn(|| PostgresServer::start(PostgresOptions::default().without_fsync()).unwrap());
    let (one, other) = (start(), start());
    let (one, other) = (one.join().unwrap(), other.join().unwrap());
    one.sql("CREATE TABLE mine ()").unwrap();
    assert_eq!(other.sql("SELECT to_regclass('mine') IS NULL").unwrap(), "t");
    let url = other.create_database("more").unwrap();
    assert_eq!(query(&url, "SELECT current_database()").unwrap(), "more");
}

#[test]
fn options_reach_the_server() {
    let options = PostgresOptions::default()
        .without_fsync()
        .with_synchronous_commit(SynchronousCommit::Off)
        .with_setting("application_name", "it's");
    let server = PostgresServer::start(options).unwrap();
    let settings = "SELECT current_setting('fsync'), current_setting('synchronous_commit')";
    assert_eq!(server.sql(settings).unwrap(), "off|off");
    assert_eq!(
        query(&server.url(), "SHOW listen_addresses").unwrap(),
        "127.0.0.1"
    );

    server
        .sql("ALTER SYSTEM SET default_transaction_read_only = on")
        .unwrap();
    server.restart().unwrap();
    let refused = query(&server.url(), "CREATE TABLE t ()").unwrap_err();
    assert!(refused.contains("read-only"), "{refused}");
}

#[test]
fn a_paused_server_goes_on_where_it_was() {
    let server = PostgresServer::start(PostgresOptions::default().without_fsync()).unwrap();
    let url = format!("{}?connect_timeout=2", server.url());
    server.pause().unwrap();
    assert!(!server.is_awake());
    let refused = query(&url, "SELECT 1").unwrap_err();
    assert!(refused.contains("timeout"), "{refused}");
    server.resume().unwrap();
    assert_eq!(query(&server.url(), "SELECT 1").unwrap(), "1");
    server.pause().unwrap();
    server.restart().unwrap();
    assert_eq!(query(&server.url(), "SELECT 1").unwrap(), "1");
}

#[test]
fn a_password_is_asked_for_on_the_port_and_by_pgbouncer() {
    let options = PostgresOptions::default()
        .without_fsync()
        .with_password("it's @ \"secret\"");
    let server = PostgresServer::start(options).unwrap();
    let bouncer = PgBouncer::start(&server).unwrap();
    for url in [server.url(), bouncer.url()] {
        assert_eq!(query(&url, "SELECT current_user").unwrap(), "stead");
        let wrong = url.replace("secret", "guess");
        assert_ne!(url, wrong);
        let refused = query(&wrong, "SELECT 1").unwrap_err();
        assert!(
            refused.contains("password") || refused.contains("SASL"),
            "{refused}"
        );
        let none = format!("postgres://stead@{}", url.split_once('@').unwrap().1);
        assert!(query(&none, "SELECT 1").is_err());
    }
}

#[test]
fn pgbouncer_gives_each_transaction_any_connection() {
    let server = PostgresServer::start(PostgresOptions::default().without_fsync()).unwrap();
    let bouncer = PgBouncer::start_with(&server, &[("default_pool_size", "1")]).unwrap();
    let backend = "SELECT pg_backend_pid()";
    let first = query(&bouncer.url(), backend).unwrap();
    // A session that stays does not keep the only connection.
    let mut session = Command::new("psql")
        .args(["-X", "-w", "-q", "-A", "-t", &bouncer.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = session.stdin.take().unwrap();
    writeln!(input, "{backend};").unwrap();
    let mut output = BufReader::new(session.stdout.take().unwrap()).lines();
    assert_eq!(output.next().unwrap().unwrap(), first);
    assert_eq!(query(&bouncer.url(), backend).unwrap(), first);
    drop(input);
    assert!(session.wait().unwrap().success());

    let pid = bouncer.pid().unwrap();
    bouncer.kill().unwrap();
    assert!(!runs(pid));
    assert!(query(&bouncer.url(), "SELECT 1").is_err());
    bouncer.restart().unwrap();
    assert_eq!(query(&bouncer.url(), "SELECT 1").unwrap(), "1");
    let pid = bouncer.pid().unwrap();
    drop(bouncer);
    assert!(!runs(pid));
}

#[test]
fn a_server_that_does_not_start_says_why() {
    let options = PostgresOptions::default().with_setting("no_such_setting", "1");
    let error = PostgresServer::start(options).unwrap_err().to_string();
    assert!(error.contains("no_such_setting"), "{error}");
}
