//! A private Redis starts, answers, is killed and comes back.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use stead_servers::{AppendFsync, RedisOptions, RedisServer, Transport};

fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_write_survives_a_kill_where_the_file_is_always_synced() {
    let server = RedisServer::start(RedisOptions::default().with_append_only(AppendFsync::Always)).unwrap();
    let (first, url) = (server.pid().unwrap(), server.url());
    assert_eq!(server.command(&["SET", "key", "kept"]).unwrap().text(), "OK");

    server.kill().unwrap();
    assert!(!runs(first));
    assert_eq!(server.pid(), None);
    assert!(server.command(&["PING"]).is_err());
    assert!(TcpStream::connect(server.address().unwrap()).is_err());

    server.restart().unwrap();
    assert_eq!(server.url(), url);
    assert_eq!(server.command(&["GET", "key"]).unwrap().text(), "kept");

    let (second, directory) = (server.pid().unwrap(), server.directory().to_owned());
    drop(server);
    assert!(!runs(second));
    assert!(!directory.exists());
}

#[test]
fn without_the_file_a_kill_forgets() {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    server.command(&["SET", "key", "lost"]).unwrap();
    server.kill().unwrap();
    server.restart().unwrap();
    assert_eq!(server.command(&["EXISTS", "key"]).unwrap().text(), "0");
}

#[test]
fn two_at_once_share_nothing() {
    let start = || thread::spawn(|| RedisServer::start(RedisOptions::default()).unwrap());
    let servers: Vec<RedisServer> = [start(), start(), start(), start()]
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    for (index, server) in servers.iter().enumerate() {
        server.command(&["SET", "mine", &index.to_string()]).unwrap();
    }
    for (index, server) in servers.iter().enumerate() {
        // The threads that started them have ended, and they run all the same.
        assert_eq!(
            server.command(&["GET", "mine"]).unwrap().text(),
            index.to_string()
        );
    }
}

#[test]
fn a_paused_server_keeps_its_connections_and_says_nothing() {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    let mut client = TcpStream::connect(server.address().unwrap()).unwrap();
    server.pause().unwrap();
    assert!(!server.is_awake());
    client.write_all(b"PING\r\n").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(client.read(&mut [0; 7]).is_err());

    server.resume().unwrap();
    client.set_read_timeout(None).unwrap();
    let mut answer = [0; 7];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");

    // Neither a restart nor a drop waits for one that stands still.
    server.pause().unwrap();
    server.restart().unwrap();
    assert!(server.is_awake());
    server.pause().unwrap();
}

#[test]
fn a_password_of_any_characters_is_asked_for() {
    let server = RedisServer::start(RedisOptions::default().with_password("a \"b\"#'@\\é")).unwrap();
    let port = server.address().unwrap().port();
    assert_eq!(
        server.url(),
        format!("redis://:a%20%22b%22%23%27%40%5C%C3%A9@127.0.0.1:{port}/")
    );
    let mut client = TcpStream::connect(server.address().unwrap()).unwrap();
    let mut ask = |request: &str, answer: &str| {
        client.write_all(request.as_bytes()).unwrap();
        let mut got = vec![0; answer.len()];
        client.read_exact(&mut got).unwrap();
        assert_eq!(String::from_utf8_lossy(&got), answer, "{request}");
    };
    ask("PING\r\n", "-NOAUTH Authentication required.\r\n");
    ask("*2\r\n$4\r\nAUTH\r\n$11\r\na \"b\"#'@\\é\r\n", "+OK\r\n");
    ask("PING\r\n", "+PONG\r\n");
}

#[test]
fn a_user_takes_the_place_of_the_default_one() {
    let options = RedisOptions::default().with_user("app", "p/w", "~app:* +@read");
    let server = RedisServer::start(options).unwrap();
    assert!(
        server.url().starts_with("redis://app:p%2Fw@127.0.0.1:"),
        "{}",
        server.url()
    );
    let users = server.command(&["ACL", "LIST"]).unwrap().text();
    assert!(users.contains("user default off"), "{users}");
    assert!(users.contains("user app on"), "{users}");
}

#[test]
fn options_reach_the_server() {
    let options = RedisOptions::default()
        .with_append_only(AppendFsync::EverySecond)
        .with_max_memory(64 << 20, "allkeys-lru")
        .with_transport(Transport::Unix)
        .with_setting("databases", "3");
    let server = RedisServer::start(options).unwrap();
    let expected = [
        ("appendonly", "yes"),
        ("appendfsync", "everysec"),
        ("maxmemory", "67108864"),
        ("maxmemory-policy", "allkeys-lru"),
        ("port", "0"),
        ("databases", "3"),
    ];
    for (name, value) in expected {
        let answer = server.command(&["CONFIG", "GET", name]).unwrap().text();
        assert_eq!(answer, format!("{name}\n{value}"));
    }
    assert_eq!(server.address(), None);
    assert_eq!(
        server.url(),
        format!("redis+unix://{}", server.socket().display())
    );
}

#[test]
fn a_server_that_does_not_start_says_why() {
    let options = RedisOptions::default().with_setting("no-such-setting", "1");
    let error = RedisServer::start(options).unwrap_err().to_string();
    assert!(error.contains("no-such-setting"), "{error}");
}
