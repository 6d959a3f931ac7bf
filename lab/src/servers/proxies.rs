//! Proxies before a server, and a hand that breaks their connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use stead_core::{Random, SeededRandom};
use stead_servers::{Faulty, Way};

use super::bed::Bed;

/// How long the nodes of a Cluster take at most to tell each other of their new addresses.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// Proxies before the server, or before the masters of a Cluster.
pub(super) struct Proxies {
    all: Vec<Faulty>,
    url: String,
}

impl Proxies {
    /// Puts them before the server. The masters of a Cluster are told to send clients there.
    pub(super) fn before(bed: &Bed) -> Result<Proxies> {
        let all = bed
            .addresses()?
            .into_iter()
            .map(Faulty::before)
            .collect::<Result<Vec<_>>>()?;
        let url = match bed {
            Bed::Cluster(_) => {
                let nodes: Vec<String> = all.iter().map(|proxy| proxy.address().to_string()).collect();
                format!("redis+cluster://{}", nodes.join(","))
            }
            Bed::Redis(_) | Bed::Postgres(_) => all.iter().fold(bed.url(), |url, proxy| proxy.url(&url)),
        };
        announce(bed, &all)?;
        Ok(Proxies { all, url })
    }

    /// The URL of the server through the proxies.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    fn heal(&self) -> Result<()> {
        self.all.iter().try_for_each(Faulty::heal)
    }

    /// Breaks connections until it is told to end.
    pub(super) fn trouble(self: &Arc<Self>, seed: u64) -> Trouble {
        let ends = Arc::new(AtomicBool::new(false));
        let (proxies, told) = (Arc::clone(self), Arc::clone(&ends));
        let hand = thread::spawn(move || {
            let dice = SeededRandom::new(seed);
            let mut done = 0;
            while !told.load(Ordering::Acquire) {
                thread::sleep(Duration::from_micros(5_000 + dice.next_u64() % 40_000));
                proxies.break_something(&dice)?;
                done += 1;
            }
            Ok(done)
        });
        Trouble {
            proxies: Arc::clone(self),
            ends,
            hand,
        }
    }

    fn break_something(&self, dice: &SeededRandom) -> Result<()> {
        let below = |end: u64| dice.next_u64() % end;
        let proxy = &self.all[usize::try_from(below(self.all.len() as u64))?];
        match below(10) {
            0..=2 => proxy.cut()?,
            3..=5 => proxy.cut_after(Way::ToClient, below(600)),
            6 | 7 => proxy.cut_after(Way::ToServer, below(600)),
            8 => {
                proxy.black_hole();
                thread::sleep(Duration::from_millis(20 + below(600)));
                if below(2) == 0 {
                    proxy.cut()?;
                }
                proxy.heal()?;
            }
            _ => {
                proxy.delay(Duration::from_millis(1 + below(4)));
                thread::sleep(Duration::from_millis(50));
                proxy.heal()?;
            }
        }
        Ok(())
    }
}

/// The nodes of a Cluster send clients to the addresses that they announce.
#[expect(clippy::disallowed_methods, reason = "a tool may wait for a server")]
fn announce(bed: &Bed, proxies: &[Faulty]) -> Result<()> {
    let Bed::Cluster(cluster) = bed else {
        return Ok(());
    };
    let ports: Vec<String> = proxies
        .iter()
        .map(|proxy| proxy.address().port().to_string())
        .collect();
    for (index, port) in ports.iter().enumerate() {
        cluster
            .node(index)
            .command(&["CONFIG", "SET", "cluster-announce-port", port])?;
    }
    let start = Instant::now();
    loop {
        let mut knows_all = true;
        for index in 0..cluster.addresses().len() {
            let nodes = cluster.node(index).command(&["CLUSTER", "NODES"])?.text();
            knows_all &= ports.iter().all(|port| nodes.contains(&format!(":{port}@")));
        }
        if knows_all {
            return Ok(());
        }
        ensure!(
            start.elapsed() < PATIENCE,
            "the nodes do not hear of the proxies before them"
        );
        thread::sleep(LOOK);
    }
}

/// The hand at work.
pub(super) struct Trouble {
    proxies: Arc<Proxies>,
    ends: Arc<AtomicBool>,
    hand: JoinHandle<Result<u64>>,
}

impl Trouble {
    /// Ends it and heals all connections. Tells how often something was broken.
    pub(super) fn end(self) -> Result<u64> {
        self.ends.store(true, Ordering::Release);
        let done = self
            .hand
            .join()
            .map_err(|_| anyhow!("the hand that breaks connections panicked"))??;
        self.proxies.heal()?;
        Ok(done)
    }
}
