//! Ports of the loopback address that nobody else takes.

use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, bail};

use crate::directory::base;

/// The lowest port that is given away.
const LOWEST: u16 = 12_000;
/// Where the system usually begins to give ports to outgoing connections.
const USUAL_EPHEMERAL: u16 = 32_768;
const ATTEMPTS: u32 = 1_000;

/// A port that is this one's as long as it lives, also while no server listens on it.
///
/// It lies below the range of outgoing connections: a client that keeps knocking at a port of that range while its
/// server is down is one day given the very port as its own, is connected to itself, and the server cannot return.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// Keeps other processes from choosing the same while the server of this one is down.
    _lock: File,
}

impl Port {
    pub(crate) fn reserve() -> Result<Port> {
        let locks = base()?.join("stead-ports");
        fs::create_dir_all(&locks).with_context(|| format!("cannot make {}", locks.display()))?;
        let highest = ephemeral().max(LOWEST + 1_000);
        for _ in 0..ATTEMPTS {
            let number = LOWEST + u16::try_from(random() % u64::from(highest - LOWEST))?;
            // One that another user's process holds cannot be opened, or not be locked: the next.
            let Ok(lock) = File::create(locks.join(number.to_string())) else {
                continue;
            };
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Port { number, _lock: lock });
            }
        }
        bail!("found no free port between {LOWEST} and {highest}")
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

/// The first port of outgoing connections.
fn ephemeral() -> u16 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .unwrap_or(USUAL_EPHEMERAL)
}

/// Every `RandomState` has other keys.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
