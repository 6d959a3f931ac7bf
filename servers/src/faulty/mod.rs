//! A proxy whose connections break on command.

mod traffic;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::port::Port;
use crate::wait;
use traffic::Traffic;
pub use traffic::Way;

/// How long a new connection may wait to be taken up.
const STEP: Duration = Duration::from_millis(2);

/// A proxy on loopback before a server. It passes everything on, until it is told otherwise.
///
/// What it is told holds for all its connections. Dropping it resets them.
///
/// ```
/// use std::io::Read;
/// use std::net::{TcpListener, TcpStream};
/// use stead_servers::Faulty;
///
/// # fn main() -> anyhow::Result<()> {
/// let server = TcpListener::bind("127.0.0.1:0")?;
/// let proxy = Faulty::before(server.local_addr()?)?;
/// let mut client = TcpStream::connect(proxy.address())?;
/// let _accepted = server.accept()?;
/// proxy.cut()?;
/// assert!(client.read(&mut [0]).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Faulty {
    server: SocketAddr,
    port: Port,
    traffic: Arc<Traffic>,
    gate: Mutex<Option<Gate>>,
}

impl Faulty {
    /// Starts one before the server at that address, which need not run yet.
    ///
    /// # Errors
    ///
    /// There is no free port.
    pub fn before(server: SocketAddr) -> Result<Faulty> {
        let proxy = Faulty {
            server,
            port: Port::reserve()?,
            traffic: Arc::new(Traffic::default()),
            gate: Mutex::new(None),
        };
        proxy.accept()?;
        Ok(proxy)
    }

    /// Where to connect instead of to the server.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number()))
    }

    /// A URL of the server, with the proxy's address in place of the server's.
    pub fn url(&self, of_server: &str) -> String {
        of_server.replace(&self.server.to_string(), &self.address().to_string())
    }

    /// How many connections are open through it.
    pub fn connections(&self) -> usize {
        self.traffic.connections()
    }

    /// Resets all connections now: both sides see an error. New ones are taken.
    ///
    /// # Errors
    ///
    /// They do not go away.
    pub fn cut(&self) -> Result<()> {
        self.traffic.reset();
        self.wait_empty()
    }

    /// Ends all connections now, as a server that shuts down does: both sides see the end of the stream. New ones are
    /// taken.
    ///
    /// # Errors
    ///
    /// They do not go away.
    pub fn close(&self) -> Result<()> {
        self.traffic.close();
        self.wait_empty()
    }

    fn wait_empty(&self) -> Result<()> {
        wait::until("the connections of the proxy to end", || {
            Ok(self.traffic.are_ended().then_some(()))
        })
    }

    /// Lets so many bytes more pass on that way, over all connections, then resets all of them, once. With
    /// `Way::ToClient` and 0 the server gets the next request and its answer is lost.
    pub fn cut_after(&self, way: Way, bytes: u64) {
        self.traffic.set(|rules| rules.limit = Some((way, bytes)));
    }

    /// Holds each piece of data for so long, on both ways.
    pub fn delay(&self, delay: Duration) {
        self.traffic.set(|rules| rules.delay = delay);
    }

    /// Lets nothing pass: connections stay open, new ones are taken, and nobody is answered. What was sent meanwhile
    /// passes when it heals, as after a broken network.
    pub fn black_hole(&self) {
        self.traffic.set(|rules| rules.black_hole = true);
    }

    /// Refuses new connections, as where no server listens. Open ones stay.
    pub fn refuse(&self) {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(gate);
    }

    /// Takes connections again.
    ///
    /// # Errors
    ///
    /// Another program has taken the port.
    pub fn accept(&self) -> Result<()> {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if gate.is_none() {
            *gate = Some(Gate::open(self.address(), self.server, &self.traffic)?);
        }
        Ok(())
    }

    /// Ends whatever it was told: everything passes at once, and new connections are taken. Those that were cut stay so.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn heal(&self) -> Result<()> {
        self.traffic.set(|rules| *rules = traffic::Rules::default());
        self.accept()
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.refuse();
        self.traffic.reset();
    }
}

/// The listener, on a thread of its own.
#[derive(Debug)]
struct Gate {
    is_closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Gate {
    fn open(address: SocketAddr, server: SocketAddr, traffic: &Arc<Traffic>) -> Result<Gate> {
        let listener = TcpListener::bind(address).context("the proxy cannot listen")?;
        listener.set_nonblocking(true)?;
        let is_closed = Arc::new(AtomicBool::new(false));
        let (closed, traffic) = (is_closed.clone(), traffic.clone());
        let thread = thread::spawn(move || {
            while !closed.load(Ordering::Acquire) {
                match listener.accept() {
                    Ok((client, _)) => take(client, server, &traffic),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(STEP),
                    // A client that was gone again before it was accepted.
                    Err(_) => {}
                }
            }
        });
        Ok(Gate {
            is_closed,
            thread: Some(thread),
        })
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // It cannot panic; and in a drop there is nobody to tell.
            let _ = thread.join();
        }
    }
}

/// Connects a client through. Where the server does not answer, the client's connection ends.
fn take(client: TcpStream, server: SocketAddr, traffic: &Arc<Traffic>) {
    let ends = traffic.ends();
    let connected = client
        .set_nonblocking(false)
        .and_then(|()| TcpStream::connect_timeout(&server, wait::LIMIT));
    if let Ok(server) = connected {
        // A connection that fails this early ends, which is what its client then sees.
        let _ = traffic.carry(client, server, ends);
    }
}
