//! One PostgreSQL server.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::options::PostgresOptions;
use super::{shared_memory, small_disk, template};
use crate::directory::{Directory, write_private};
use crate::launch::{Launch, again, first_to_start, launch};
use crate::port::Port;
use crate::process::{Process, Signal, Slot};
use crate::program::{self, User};
use crate::url;

const NAME: &str = "the postgres server";

/// The user who may do everything, and the only one.
pub(crate) const USER: &str = "stead";
const DATABASE: &str = "postgres";
/// The place of a small file system in its directory.
const DISK: &str = "disk";

/// Makes the data of a server, for the user as whom it runs.
type Fill<'a> = &'a dyn Fn(&Path, &Path, Option<&User>) -> Result<()>;

/// A private PostgreSQL server. Its superuser is `stead`, its database `postgres`.
#[derive(Debug)]
pub struct PostgresServer {
    slot: Slot,
    programs: PathBuf,
    options: PostgresOptions,
    user: Option<User>,
    port: Port,
    data: PathBuf,
    sockets: PathBuf,
    directory: Directory,
}

impl PostgresServer {
    /// Makes a fresh database cluster, starts a server on it and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// PostgreSQL is not installed, or does not start: the error holds the end of what it printed.
    #[expect(clippy::needless_pass_by_value, reason = "options are made for this call")]
    pub fn start(options: PostgresOptions) -> Result<PostgresServer> {
        let server = PostgresServer::start_on(&options, &template::fill)?;
        if let Some(password) = &options.password {
            let password = password.replace('\'', "''");
            server.sql(&format!("ALTER ROLE {USER} PASSWORD '{password}'"))?;
        }
        Ok(server)
    }

    /// Starts a server on the data that `fill` puts in a directory, which it is told with that of the programs.
    pub(super) fn start_on(options: &PostgresOptions, fill: Fill<'_>) -> Result<PostgresServer> {
        first_to_start(NAME, || PostgresServer::attempt(options, fill))
    }

    fn attempt(options: &PostgresOptions, fill: Fill<'_>) -> Result<Option<PostgresServer>> {
        let programs = template::programs()?;
        let user = User::unprivileged()?;
        let directory = Directory::make()?;
        directory.let_in(user.as_ref())?;
        let data = directory.path().join("data");
        fill(&data, &programs, user.as_ref())?;
        let sockets = directory.folder("s")?;
        if let Some(user) = &user {
            user.own(&sockets)?;
        }
        let mut server = PostgresServer {
            slot: Slot::default(),
            programs,
            options: options.clone(),
            user,
            port: Port::reserve()?,
            data,
            sockets,
            directory,
        };
        if options.disk.is_some() {
            server.directory.folder(DISK)?;
        }
        server.configure()?;
        Ok(match server.launch()? {
            Launch::Answers(process) => {
                server.slot = Slot::of(process);
                Some(server)
            }
            Launch::PortTaken => None,
        })
    }

    fn configure(&self) -> Result<()> {
        let configuration = self.options.configuration(self.port.number(), &self.sockets);
        self.write("postgresql.conf", &configuration)?;
        self.write("pg_hba.conf", &self.options.admission())?;
        if let Some(tls) = &self.options.tls {
            let files = [
                ("server.crt", tls.certificate()),
                ("server.key", tls.key()),
                ("ca.crt", tls.ca()),
            ];
            for (name, file) in files {
                self.write(name, &fs::read_to_string(file)?)?;
            }
        }
        Ok(())
    }

    fn write(&self, name: &str, content: &str) -> Result<()> {
        write_private(&self.data.join(name), content, self.user.as_ref())
    }

    fn launch(&self) -> Result<Launch> {
        let mut command = program::command(&self.programs.join("postgres"), self.user.as_ref())?;
        command.arg("-D").arg(&self.data);
        if let Some(bytes) = self.options.disk {
            command = small_disk::mounted(&command, &self.disk(), bytes, self.user.as_ref());
        }
        launch(NAME, &self.directory, command, |id| self.is_ready(id))
    }

    /// What `pg_ctl` looks at, too: the eighth line of the server's lock file says what it is about.
    fn is_ready(&self, id: u32) -> bool {
        let lock = fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        let lines: Vec<&str> = lock.lines().map(str::trim).collect();
        lines.first() == Some(&id.to_string().as_str()) && lines.get(7) == Some(&"ready")
    }

    /// `postgres://stead@127.0.0.1:PORT/postgres`, with the password if the options name one, percent-encoded, and with
    /// `?sslmode=require` where it takes TLS alone.
    pub fn url(&self) -> String {
        self.url_of(DATABASE)
    }

    fn url_of(&self, database: &str) -> String {
        let query = if self.options.tls.is_some() {
            "?sslmode=require"
        } else {
            ""
        };
        let login = self.login();
        format!(
            "postgres://{login}127.0.0.1:{}/{database}{query}",
            self.port.number()
        )
    }

    pub(crate) fn login(&self) -> String {
        match &self.options.password {
            Some(password) => url::login(Some((USER, password))),
            None => format!("{USER}@"),
        }
    }

    pub(crate) fn password(&self) -> Option<&str> {
        self.options.password.as_deref()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number()))
    }

    /// The directory of its unix socket, `.s.PGSQL.PORT`.
    pub fn socket_directory(&self) -> &Path {
        &self.sockets
    }

    /// Its directory, with the data in `data` and what it printed in `server.log`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where its small file system is, if the options ask for one. Only the server sees what is on it.
    pub fn disk(&self) -> PathBuf {
        self.directory.path().join(DISK)
    }

    /// The number of its first process; none when it does not run.
    pub fn pid(&self) -> Option<u32> {
        self.slot.id()
    }

    /// Whether it runs and is not paused.
    pub fn is_awake(&self) -> bool {
        self.slot.is_awake()
    }

    /// Runs SQL over the unix socket as the superuser, by `psql`. Gives the rows, a line each, fields separated by `|`.
    ///
    /// # Errors
    ///
    /// The server does not run or refuses it; there is no `psql`.
    pub fn sql(&self, statement: &str) -> Result<String> {
        let host = self.sockets.to_string_lossy();
        psql(&self.programs, &host, self.port.number(), None, statement)
    }

    pub(super) fn options(&self) -> &PostgresOptions {
        &self.options
    }

    pub(crate) fn programs(&self) -> &Path {
        &self.programs
    }

    /// Makes an empty database and gives its URL.
    ///
    /// # Errors
    ///
    /// As [`sql`](Self::sql): it is there already, or the name needs quotes.
    pub fn create_database(&self, name: &str) -> Result<String> {
        self.sql(&format!("CREATE DATABASE {name}"))?;
        Ok(self.url_of(name))
    }

    /// Lets it read its settings again, after `ALTER SYSTEM`.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn reload(&self) -> Result<()> {
        self.slot.with(NAME, |process| process.signal(Signal::HUP))
    }

    /// Kills it and all its processes with SIGKILL, and returns when none runs any more. Nothing happens when none does.
    ///
    /// # Errors
    ///
    /// They do not go away.
    pub fn kill(&self) -> Result<()> {
        self.slot.kill()
    }

    /// Asks it to end without waiting for its clients (SIGINT, a fast shutdown) and waits for it. Nothing happens when it
    /// does not run.
    ///
    /// # Errors
    ///
    /// It does not end.
    pub fn stop(&self) -> Result<()> {
        self.slot.end(Signal::INT)
    }

    /// Starts it again on the same data and the same port, and waits until it takes connections, so that a recovery is
    /// over. One that runs is stopped before.
    ///
    /// # Errors
    ///
    /// It does not end, or does not start: the error holds the end of what it printed.
    pub fn restart(&self) -> Result<()> {
        self.slot.restart(Signal::INT, || again(NAME, || self.launch()))
    }

    /// Stops it and all its processes with SIGSTOP: connections stay open, and nothing is answered.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn pause(&self) -> Result<()> {
        self.slot.with(NAME, Process::pause)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn resume(&self) -> Result<()> {
        self.slot.with(NAME, Process::resume)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // One that is killed leaves less time for other tests to wait than one that shuts down.
        let _ = self.slot.kill();
        shared_memory::remove(self.directory.path());
    }
}

/// Runs SQL by `psql` without any of the user's own settings.
pub(crate) fn psql(
    programs: &Path,
    host: &str,
    port: u16,
    password: Option<&str>,
    statement: &str,
) -> Result<String> {
    let mut command = Command::new(programs.join("psql"));
    command
        .env_remove("PGSERVICE")
        .env("PGCONNECT_TIMEOUT", "10")
        .args([
            "--no-psqlrc",
            "--no-password",
            "--quiet",
            "--tuples-only",
            "--no-align",
        ])
        .args([
            "--set",
            "ON_ERROR_STOP=1",
            "--username",
            USER,
            "--dbname",
            DATABASE,
        ])
        .args([
            "--host",
            host,
            "--port",
            &port.to_string(),
            "--command",
            statement,
        ]);
    if let Some(password) = password {
        command.env("PGPASSWORD", password);
    }
    let output = command.output().context("cannot run psql")?;
    if !output.status.success() {
        bail!("psql failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
