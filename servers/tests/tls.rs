//! Servers that take TLS alone, with certificates made for the test.
#![cfg(feature = "tls")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;

use stead_servers::{PostgresOptions, PostgresServer, RedisCluster, RedisOptions, RedisServer, TlsFiles};

fn ping(server: &RedisServer, trusted: &Path) -> String {
    let output = Command::new("redis-cli")
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &server.address().unwrap().port().to_string(),
        ])
        .args(["--tls", "--cacert"])
        .arg(trusted)
        .arg("PING")
        .output()
        .unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
        .trim()
        .to_owned()
}

#[test]
fn redis_is_trusted_by_its_own_authority_alone() {
    let (files, others) = (TlsFiles::make().unwrap(), TlsFiles::make().unwrap());
    let server = RedisServer::start(RedisOptions::default().with_tls(&files)).unwrap();
    assert!(server.url().starts_with("rediss://127.0.0.1:"));
    assert_eq!(ping(&server, &files.ca()), "PONG");
    let refused = ping(&server, &others.ca());
    assert!(refused.contains("certificate verify failed"), "{refused}");
}

#[test]
fn the_nodes_of_a_cluster_speak_tls_to_each_other() {
    let files = TlsFiles::make().unwrap();
    let cluster = RedisCluster::start_with(RedisOptions::default().with_tls(&files)).unwrap();
    assert!(cluster.url().starts_with("rediss+cluster://"));
    assert_eq!(ping(cluster.node(5), &files.ca()), "PONG");
}

#[test]
fn postgres_takes_tls_alone_and_names_matter() {
    let connect = |server: &PostgresServer, query: &str| {
        let url = server.url().replace("?sslmode=require", query);
        let output = Command::new("psql")
            .args([
                "-X",
                "-w",
                "-A",
                "-t",
                "-c",
                "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
            ])
            .arg(url)
            .output()
            .unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
            .trim()
            .to_owned()
    };
    let start = |files: &TlsFiles| {
        PostgresServer::start(PostgresOptions::default().without_fsync().with_tls(files)).unwrap()
    };
    let verify = |files: &TlsFiles| format!("?sslmode=verify-full&sslrootcert={}", files.ca().display());

    let files = TlsFiles::make().unwrap();
    let server = start(&files);
    assert_eq!(connect(&server, "?sslmode=require"), "t");
    assert_eq!(connect(&server, &verify(&files)), "t");
    let refused = connect(&server, "?sslmode=disable");
    assert!(refused.contains("no encryption"), "{refused}");

    let elsewhere = TlsFiles::make_for(&["elsewhere.example"]).unwrap();
    let refused = connect(&start(&elsewhere), &verify(&elsewhere));
    assert!(refused.contains("does not match"), "{refused}");
}
