//! A server does not outlive the process that started it, and the next process removes what is left.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use stead_servers::{PostgresOptions, PostgresServer, RedisOptions, RedisServer};

/// Set in the process that is to be killed.
const VICTIM: &str = "STEAD_SERVERS_VICTIM";

#[test]
fn servers_die_with_a_killed_process() {
    if std::env::var_os(VICTIM).is_some() {
        victim();
    }
    let place = tempfile::tempdir_in("/tmp").unwrap();
    // The unprivileged user of PostgreSQL passes through it.
    open(place.path());
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "servers_die_with_a_killed_process", "--nocapture"])
        .env(VICTIM, "1")
        .env("STEAD_SERVERS_DIR", place.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let started: Vec<String> = lines
        .map(Result::unwrap)
        .filter_map(|line| line.strip_prefix("started ").map(str::to_owned))
        .take(2)
        .collect();
    assert_eq!(started.len(), 2);
    for line in &started {
        let (pid, directory) = line.split_once(' ').unwrap();
        assert!(runs(pid), "{line}");
        assert!(Path::new(directory).exists());
    }

    victim.kill().unwrap();
    victim.wait().unwrap();
    for line in &started {
        let (pid, _) = line.split_once(' ').unwrap();
        while runs(pid) {
            thread::sleep(Duration::from_millis(5));
        }
    }
    assert!(left_in(place.path()) >= 2);
    // The next process, in a new one, since each sweeps once.
    let next = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_next_process_sweeps"])
        .env("STEAD_SERVERS_DIR", place.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(next.success());
    assert_eq!(left_in(place.path()), 0);
}

#[test]
fn the_next_process_sweeps() {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    assert!(server.directory().exists());
}

fn victim() -> ! {
    // From a thread that ends: it is the process whose death counts.
    let servers = thread::spawn(|| {
        let redis = RedisServer::start(RedisOptions::default()).unwrap();
        let postgres = PostgresServer::start(PostgresOptions::default().without_fsync()).unwrap();
        (redis, postgres)
    });
    let (redis, postgres) = servers.join().unwrap();
    println!(
        "\nstarted {} {}",
        redis.pid().unwrap(),
        redis.directory().display()
    );
    println!(
        "started {} {}",
        postgres.pid().unwrap(),
        postgres.directory().display()
    );
    loop {
        thread::sleep(Duration::from_secs(60));
    }
}

fn open(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn left_in(place: &Path) -> usize {
    let names = std::fs::read_dir(place).unwrap().flatten();
    names
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("stead-server-"))
        .count()
}

fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, fields)| !fields.starts_with('Z'))
}
