//! PgBouncer before a PostgreSQL server.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;

use crate::directory::{Directory, write_private};
use crate::launch::{Launch, again, first_to_start, launch};
use crate::port::Port;
use crate::postgres::{PostgresServer, USER, psql};
use crate::process::{Signal, Slot};
use crate::program::{self, User};

const NAME: &str = "pgbouncer";

/// A private PgBouncer that pools by transaction: two transactions of one client may run on two connections of the
/// server, and nothing that belongs to a session holds.
#[derive(Debug)]
pub struct PgBouncer {
    slot: Slot,
    user: Option<User>,
    port: Port,
    /// User and password, as in the URL of the server.
    login: String,
    directory: Directory,
}

impl PgBouncer {
    /// Starts one before a server, with 20 connections to each of its databases, and waits until a query passes.
    ///
    /// # Errors
    ///
    /// There is no PgBouncer, or it does not start: the error holds the end of what it printed. The server takes TLS
    /// connections alone only on its port, so that makes no difference.
    pub fn start(server: &PostgresServer) -> Result<PgBouncer> {
        PgBouncer::start_with(server, &[])
    }

    /// As [`start`](Self::start), with further settings of the section `[pgbouncer]`, which win: for example
    /// `("default_pool_size", "2")`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(server: &PostgresServer, settings: &[(&str, &str)]) -> Result<PgBouncer> {
        first_to_start(NAME, || PgBouncer::attempt(server, settings))
    }

    fn attempt(server: &PostgresServer, settings: &[(&str, &str)]) -> Result<Option<PgBouncer>> {
        let user = User::unprivileged()?;
        let directory = Directory::make()?;
        directory.let_in(user.as_ref())?;
        let mut bouncer = PgBouncer {
            slot: Slot::default(),
            user,
            port: Port::reserve()?,
            login: server.login(),
            directory,
        };
        bouncer.configure(server, settings)?;
        Ok(match bouncer.launch()? {
            Launch::Answers(process) => {
                bouncer.slot = Slot::of(process);
                psql(
                    server.programs(),
                    "127.0.0.1",
                    bouncer.port.number(),
                    server.password(),
                    "SELECT 1",
                )?;
                Some(bouncer)
            }
            Launch::PortTaken => None,
        })
    }

    fn configure(&self, server: &PostgresServer, settings: &[(&str, &str)]) -> Result<()> {
        let path = |name: &str| self.directory.path().join(name);
        let method = if server.password().is_some() {
            "scram-sha-256"
        } else {
            "trust"
        };
        let mut text = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\n\
             unix_socket_dir =\npool_mode = transaction\ndefault_pool_size = 20\nmax_client_conn = 500\n\
             auth_type = {method}\nauth_file = {}\nadmin_users = {USER}\n",
            server.socket_directory().display(),
            server.address().port(),
            self.port.number(),
            path("users.txt").display(),
        );
        for (name, value) in settings {
            text.push_str(&format!("{name} = {value}\n"));
        }
        write_private(&path("pgbouncer.ini"), &text, self.user.as_ref())?;
        let password = server.password().unwrap_or_default().replace('"', "\"\"");
        let users = format!("\"{USER}\" \"{password}\"\n");
        write_private(&path("users.txt"), &users, self.user.as_ref())
    }

    fn launch(&self) -> Result<Launch> {
        let mut command = program::command(&program::pgbouncer()?, self.user.as_ref())?;
        command.arg(self.directory.path().join("pgbouncer.ini"));
        let printed = self.directory.log_length();
        launch(NAME, &self.directory, command, |_| {
            self.directory.log_says(printed, "process up:")
        })
    }

    /// `postgres://stead@127.0.0.1:PORT/postgres`, with the password of the server.
    pub fn url(&self) -> String {
        format!(
            "postgres://{}127.0.0.1:{}/postgres",
            self.login,
            self.port.number()
        )
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number()))
    }

    /// The number of its process; none when it does not run.
    pub fn pid(&self) -> Option<u32> {
        self.slot.id()
    }

    /// Kills it with SIGKILL. Nothing happens when it does not run.
    ///
    /// # Errors
    ///
    /// It does not go away.
    pub fn kill(&self) -> Result<()> {
        self.slot.kill()
    }

    /// Starts it again on the same port. One that runs is stopped before.
    ///
    /// # Errors
    ///
    /// It does not end, or does not start.
    pub fn restart(&self) -> Result<()> {
        self.slot.restart(Signal::TERM, || again(NAME, || self.launch()))
    }
}
