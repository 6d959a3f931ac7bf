//! One Redis server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::client::{Answer, Client};
use super::options::{RedisOptions, Transport};
use crate::directory::{Directory, write_private};
use crate::launch::{Launch, again, first_to_start, launch};
use crate::port::Port;
use crate::process::{Process, Signal, Slot};
use crate::program;
use crate::url;

/// The name of a server in errors.
const NAME: &str = "the redis server";

/// A private Redis server.
#[derive(Debug)]
pub struct RedisServer {
    // Dropped first: nothing writes to the directory any more when it is removed.
    slot: Slot,
    program: PathBuf,
    options: RedisOptions,
    /// Where clients connect; none when it is reached by its socket alone.
    port: Option<Port>,
    /// Where the nodes of a Cluster speak to each other.
    bus: Option<Port>,
    directory: Directory,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    ///
    /// There is no server program, or it ends at once: the error holds the end of what it printed.
    #[expect(clippy::needless_pass_by_value, reason = "options are made for this call")]
    pub fn start(options: RedisOptions) -> Result<RedisServer> {
        first_to_start(NAME, || RedisServer::attempt(&options, None))
    }

    /// Starts a node of a Cluster that has not been formed yet.
    pub(super) fn start_node(options: &RedisOptions) -> Result<RedisServer> {
        first_to_start(NAME, || RedisServer::attempt(options, Some(Port::reserve()?)))
    }

    fn attempt(options: &RedisOptions, bus: Option<Port>) -> Result<Option<RedisServer>> {
        let mut server = RedisServer {
            slot: Slot::default(),
            program: program::redis_server()?,
            options: options.clone(),
            port: match options.transport {
                Transport::Tcp => Some(Port::reserve()?),
                Transport::Unix => None,
            },
            bus,
            directory: Directory::make()?,
        };
        let launched = server.launch()?;
        Ok(match launched {
            Launch::Answers(process) => {
                server.slot = Slot::of(process);
                Some(server)
            }
            Launch::PortTaken => None,
        })
    }

    fn launch(&self) -> Result<Launch> {
        let configuration = self.directory.path().join("redis.conf");
        write_private(&configuration, &self.configuration(), None)?;
        let mut command = program::command(&self.program, None)?;
        command.arg(configuration);
        launch(NAME, &self.directory, command, |_| self.answers())
    }

    fn configuration(&self) -> String {
        let mut text = String::from("bind 127.0.0.1\n");
        let port = self.port.as_ref().map_or(0, Port::number);
        if self.options.tls.is_some() {
            text.push_str(&format!("port 0\ntls-port {port}\n"));
        } else {
            text.push_str(&format!("port {port}\n"));
        }
        if let Some(bus) = &self.bus {
            text.push_str(&format!("cluster-enabled yes\ncluster-port {}\n", bus.number()));
        }
        text.push_str(&self.options.configuration(self.directory.path(), &self.socket()));
        text
    }

    /// One that still reads its file answers with an error.
    fn answers(&self) -> bool {
        Client::connect(&self.socket())
            .and_then(|mut client| client.call(&["PING"]))
            .is_ok_and(|answer| answer == Answer::Line("PONG".to_owned()))
    }

    /// `redis://127.0.0.1:PORT/`, `rediss://` with TLS, or `redis+unix:///PATH`; with the user and the password that
    /// the options name (of a unix socket: `?user=U&pass=P`), percent-encoded.
    pub fn url(&self) -> String {
        let credentials = self.options.credentials();
        let Some(port) = &self.port else {
            let query = credentials.map_or(String::new(), |(user, password)| {
                let password = url::encoded(password);
                match user {
                    "" => format!("?pass={password}"),
                    user => format!("?user={}&pass={password}", url::encoded(user)),
                }
            });
            return format!("redis+unix://{}{query}", self.socket().display());
        };
        let scheme = if self.options.tls.is_some() {
            "rediss"
        } else {
            "redis"
        };
        let login = url::login(credentials);
        format!("{scheme}://{login}127.0.0.1:{}/", port.number())
    }

    /// Where it listens; none when it is reached by its unix socket alone.
    pub fn address(&self) -> Option<SocketAddr> {
        self.port
            .as_ref()
            .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port.number())))
    }

    pub(super) fn bus_port(&self) -> Option<u16> {
        self.bus.as_ref().map(Port::number)
    }

    /// Its unix socket. There is one beside the port, too.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    /// Its directory, with the append-only file, and what it printed in `server.log`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The number of its process; none when it does not run.
    pub fn pid(&self) -> Option<u32> {
        self.slot.id()
    }

    /// Whether it runs and is not paused.
    pub fn is_awake(&self) -> bool {
        self.slot.is_awake()
    }

    /// Sends a command over a connection of its own, as a user who may do everything: `CONFIG SET`, `CLIENT KILL`,
    /// `DEBUG` ...
    ///
    /// # Errors
    ///
    /// The server does not run, does not answer within ten seconds, or answers with an error.
    pub fn command(&self, words: &[&str]) -> Result<Answer> {
        Client::connect(&self.socket())?.call(words)
    }

    /// Kills it with SIGKILL. Nothing happens when it does not run.
    ///
    /// # Errors
    ///
    /// It does not go away.
    pub fn kill(&self) -> Result<()> {
        self.slot.kill()
    }

    /// Asks it to end, by SIGTERM, and waits for it: it writes and syncs what it has. Nothing happens when it does not
    /// run.
    ///
    /// # Errors
    ///
    /// It does not end.
    pub fn stop(&self) -> Result<()> {
        self.slot.end(Signal::TERM)
    }

    /// Starts it again in the same directory and on the same port, and waits until it answers. One that runs is stopped
    /// before.
    ///
    /// # Errors
    ///
    /// It does not end, or does not start: the error holds the end of what it printed.
    pub fn restart(&self) -> Result<()> {
        self.slot.restart(Signal::TERM, || again(NAME, || self.launch()))
    }

    /// Stops it with SIGSTOP: connections stay open, and nothing is answered.
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
