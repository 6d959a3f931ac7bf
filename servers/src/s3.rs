//! A server that speaks S3.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::directory::Directory;
use crate::launch::{Launch, first_to_start, launch};
use crate::port::Port;
use crate::process::Slot;
use crate::program;

/// The name of the server in errors.
const NAME: &str = "the S3 server";

/// The packages of Python that it is made of, as `pip install` takes them.
pub const S3_PACKAGES: &[&str] = &["moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];

/// Where they are installed below the cache of this repository. The name changes with the packages.
pub const S3_ENVIRONMENT: &str = "moto-5.2.5";

/// Requests are answered one at a time: whether an object is there and that it is written is one step then, as S3
/// promises it for conditional writes, and the server by itself does not.
const PROGRAM: &str = r#"
import sys, threading
from werkzeug.serving import run_simple
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app

application, turn = DomainDispatcherApplication(create_backend_app), threading.Lock()

def one_at_a_time(environ, start_response):
    with turn:
        return application(environ, start_response)

port = int(sys.argv[1])
run_simple("127.0.0.1", port, one_at_a_time, threaded=True, request_handler=MotoRequestHandler)
"#;

const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// A private server that speaks S3, conditional writes included (moto). What it stores is in its memory, and it takes any
/// credentials.
#[derive(Debug)]
pub struct S3Server {
    // Dropped first: nothing writes to the directory any more when it is removed.
    slot: Slot,
    port: Port,
    _directory: Directory,
}

impl S3Server {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    ///
    /// It is not installed, or it ends at once: the error holds the end of what it printed.
    pub fn start() -> Result<S3Server> {
        let python = s3_python().context(
            "there is no server that speaks S3: run `cargo xtask servers install`, or name a Python that has moto, flask \
             and flask-cors in STEAD_S3_PYTHON",
        )?;
        first_to_start(NAME, || {
            let (port, directory) = (Port::reserve()?, Directory::make()?);
            let mut command = program::command(&python, None)?;
            command.args(["-c", PROGRAM, &port.number().to_string()]);
            // Its own store of credentials is not asked.
            command
                .env("AWS_ACCESS_KEY_ID", "test")
                .env("AWS_SECRET_ACCESS_KEY", "test");
            let launched = launch(NAME, &directory, command, |_| {
                request(&port, "GET", "/").is_ok_and(|status| status == 200)
            })?;
            Ok(match launched {
                Launch::Answers(process) => Some(S3Server {
                    slot: Slot::of(process),
                    port,
                    _directory: directory,
                }),
                Launch::PortTaken => None,
            })
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", address(&self.port))
    }

    /// Makes a bucket.
    ///
    /// # Errors
    ///
    /// The server does not run, or does not like the name.
    pub fn make_bucket(&self, name: &str) -> Result<()> {
        match request(&self.port, "PUT", &format!("/{name}"))? {
            200 => Ok(()),
            status => bail!("{NAME} answers with status {status} to a new bucket"),
        }
    }

    /// Kills it with SIGKILL, and what it stored is gone. Nothing happens when it does not run.
    ///
    /// # Errors
    ///
    /// It does not go away.
    pub fn kill(&self) -> Result<()> {
        self.slot.kill()
    }
}

/// The Python that has the packages of [`S3Server`]; none when they are not installed. `STEAD_S3_PYTHON` names another.
pub fn s3_python() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("STEAD_S3_PYTHON") {
        return Some(PathBuf::from(named));
    }
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    let python = cache.join("stead").join(S3_ENVIRONMENT).join("bin/python");
    python.is_file().then_some(python)
}

fn address(port: &Port) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()))
}

/// Sends a request without a body and gives the status of the answer.
fn request(port: &Port, method: &str, path: &str) -> Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address(port), ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(64).read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.context("the S3 server answers with something else than HTTP")
}
