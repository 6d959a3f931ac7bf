//! What passes through the proxy.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

/// A thread that waits for a peer to take data looks this often whether the connection was cut.
const STEP: Duration = Duration::from_millis(20);

/// A way through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server: requests.
    ToServer,
    /// From the server to the client: answers.
    ToClient,
}

/// What holds for all connections.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) delay: Duration,
    pub(super) black_hole: bool,
    /// How many bytes more pass on one way before everything is reset.
    pub(super) limit: Option<(Way, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Traffic {
    rules: Mutex<Rules>,
    /// The rules have changed, or connections were cut.
    changed: Condvar,
    connections: Mutex<Vec<Weak<Connection>>>,
    /// How often all connections were ended.
    ends: AtomicU64,
}

/// Both sockets of a connection. Its two threads own it, and the sockets close with the second to end.
#[derive(Debug)]
struct Connection {
    client: TcpStream,
    server: TcpStream,
    is_cut: AtomicBool,
}

impl Connection {
    fn ends(&self, way: Way) -> (&TcpStream, &TcpStream) {
        match way {
            Way::ToServer => (&self.client, &self.server),
            Way::ToClient => (&self.server, &self.client),
        }
    }

    fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }
}

impl Traffic {
    pub(super) fn set(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.rules());
        self.changed.notify_all();
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> MutexGuard<'_, Vec<Weak<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn connections(&self) -> usize {
        let open = |one: &Weak<Connection>| one.upgrade().is_some_and(|one| !one.is_cut());
        self.all().iter().filter(|one| open(one)).count()
    }

    /// Whether those that were cut are closed.
    pub(super) fn are_ended(&self) -> bool {
        !self
            .all()
            .iter()
            .any(|one| one.upgrade().is_some_and(|one| one.is_cut()))
    }

    /// With no time to linger, closing a socket sends a reset. Its writing side stays open till then, since a shutdown
    /// would tell the peer of an orderly end before.
    pub(super) fn reset(&self) {
        self.end(|socket| {
            set_socket_linger(socket, Some(Duration::ZERO))?;
            socket.shutdown(Shutdown::Read)
        });
    }

    pub(super) fn close(&self) {
        self.end(|socket| socket.shutdown(Shutdown::Both));
    }

    fn end(&self, end: impl Fn(&TcpStream) -> io::Result<()>) {
        let mut connections = self.all();
        self.ends.fetch_add(1, Ordering::Relaxed);
        connections.retain(|one| one.strong_count() > 0);
        for connection in connections.iter().filter_map(Weak::upgrade) {
            connection.is_cut.store(true, Ordering::Release);
            for socket in [&connection.client, &connection.server] {
                // The peer was quicker.
                let _ = end(socket);
            }
        }
        drop(connections);
        // Behind the lock: who looked at its connection before it was cut, waits by now.
        drop(self.rules());
        self.changed.notify_all();
    }

    /// How often all connections were ended: to be asked before the server is connected to.
    pub(super) fn ends(&self) -> u64 {
        self.ends.load(Ordering::Relaxed)
    }

    /// Passes data on between two sockets until one ends. If all connections were ended since there were so many `ends`, this
    /// one is reset as well: its client has it since before.
    pub(super) fn carry(self: &Arc<Self>, client: TcpStream, server: TcpStream, ends: u64) -> io::Result<()> {
        for socket in [&client, &server] {
            socket.set_nodelay(true)?;
            socket.set_write_timeout(Some(STEP))?;
        }
        let connection = Arc::new(Connection {
            client,
            server,
            is_cut: AtomicBool::new(false),
        });
        let mut all = self.all();
        if self.ends() != ends {
            for socket in [&connection.client, &connection.server] {
                set_socket_linger(socket, Some(Duration::ZERO))?;
            }
            return Ok(());
        }
        all.push(Arc::downgrade(&connection));
        drop(all);
        for way in [Way::ToServer, Way::ToClient] {
            let (traffic, connection) = (self.clone(), connection.clone());
            thread::spawn(move || traffic.pump(&connection, way));
        }
        Ok(())
    }

    fn pump(&self, connection: &Connection, way: Way) {
        let (mut from, to) = connection.ends(way);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = from.read(&mut buffer).unwrap_or(0);
            if connection.is_cut() {
                return;
            }
            if length == 0 {
                // The other way may go on.
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            let allowed = self.admit(connection, way, length);
            let is_sent = send(connection, to, &buffer[..allowed]);
            if allowed < length {
                self.reset();
                return;
            }
            if !is_sent {
                let _ = from.shutdown(Shutdown::Read);
                return;
            }
        }
    }

    /// Waits as long as the rules say, and gives how much may pass; if that is not all, everything is to be reset.
    fn admit(&self, connection: &Connection, way: Way, length: usize) -> usize {
        let mut rules = self.rules();
        while rules.black_hole && !connection.is_cut() {
            rules = self.changed.wait(rules).unwrap_or_else(PoisonError::into_inner);
        }
        let delay = rules.delay;
        let allowed = match &mut rules.limit {
            Some((limited, left)) if *limited == way => {
                let allowed = usize::try_from(*left).unwrap_or(length).min(length);
                *left -= allowed as u64;
                allowed
            }
            _ => length,
        };
        if allowed < length {
            rules.limit = None;
        }
        drop(rules);
        thread::sleep(delay);
        allowed
    }
}

/// Writes all of it, unless the connection is cut or ends.
fn send(connection: &Connection, mut to: &TcpStream, mut data: &[u8]) -> bool {
    while !data.is_empty() && !connection.is_cut() {
        match to.write(data) {
            Ok(0) => return false,
            Ok(written) => data = &data[written..],
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    data.is_empty()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_was_connecting_when_all_were_cut_is_cut_too() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let pair = || -> io::Result<(TcpStream, TcpStream)> {
            let near = TcpStream::connect(listener.local_addr()?)?;
            Ok((near, listener.accept()?.0))
        };
        let ((mut client, of_client), (of_server, _server)) = (pair()?, pair()?);
        let traffic = Arc::new(Traffic::default());
        let ends = traffic.ends();
        traffic.reset();
        traffic.carry(of_client, of_server, ends)?;
        client.set_read_timeout(Some(Duration::from_secs(60)))?;
        let read = client.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(read, Err(ErrorKind::ConnectionReset));
        Ok(())
    }
}
