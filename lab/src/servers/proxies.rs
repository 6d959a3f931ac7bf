//! Proxies before a server, and a hand that breaks their connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use stead_core::{Random, SeededRandom};
use stead_servers::{Faulty, Way};

use super::bed::Bed;

/// How long the nodes of a Cluster take at most to tell each other of their new addresses.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// So many questions and answers lie between two breaks, and up to so many more. A history of 2,000 operations has over 4,000,
/// and so some 80 breaks.
const LEAST_TICKS: u64 = 16;
const MORE_TICKS: u64 = 80;
/// How often the hand looks how far the history is.
const GLANCE: Duration = Duration::from_micros(200);

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

    /// Breaks connections until it is told to end, at the pace of the history whose clock `time` is.
    ///
    /// One kind of server takes far longer for a connection than another. Broken at the pace of a clock on the wall, those of
    /// the one would hardly carry a call between two breaks, and those of the other most of the history.
    pub(super) fn trouble(self: &Arc<Self>, seed: u64, time: &Arc<AtomicU64>) -> Trouble {
        let ends = Arc::new(AtomicBool::new(false));
        let pace = Pace {
            dice: SeededRandom::new(seed),
            time: Arc::clone(time),
            ends: Arc::clone(&ends),
        };
        let proxies = Arc::clone(self);
        let hand = thread::spawn(move || {
            let mut done = 0;
            while pace.is_time() {
                proxies.break_something(&pace.dice)?;
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

/// When the next connections are to break.
struct Pace {
    dice: SeededRandom,
    time: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
}

impl Pace {
    /// Waits for the next break; false if there is to be none.
    ///
    /// Most times some calls have to be answered since the one before. Every fourth comes soon behind it, when connections
    /// are still being made.
    fn is_time(&self) -> bool {
        let below = |end: u64| self.dice.next_u64() % end;
        if below(4) == 0 {
            thread::sleep(Duration::from_micros(below(20_000)));
            return !self.is_over();
        }
        let until = self.time.load(Ordering::Relaxed) + LEAST_TICKS + below(MORE_TICKS);
        while self.time.load(Ordering::Relaxed) < until && !self.is_over() {
            thread::sleep(GLANCE);
        }
        // Somewhere in the middle of what is under way then.
        thread::sleep(Duration::from_micros(below(1_000)));
        !self.is_over()
    }

    fn is_over(&self) -> bool {
        self.ends.load(Ordering::Acquire)
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
