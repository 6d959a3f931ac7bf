//! SIGKILL of a server at random instants, under writers that wait for it and writers that do not.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use stead_conformance::crash::{Failure, Load};
use stead_core::{Random, SeededRandom, Strength};
use tokio::time::sleep;

use super::bed::{Bed, Killed, Kind};
use super::crowd::{Crowd, Working};
use super::lane::{Lane, Wanted};
use crate::tally::Tally;

/// After so many kills new stores are begun: each verification reads all of them.
const KILLS_PER_STORE: u64 = 50;
/// Stores with a writer each, beside the one that several tasks share.
const LANES: u64 = 3;
/// A server that forgets is found out by the first kills that hit it at work.
const CONTROLS: u64 = 20;

/// What is counted beside the tally.
#[derive(Default)]
struct Counts {
    verified: u64,
    unacknowledged: u64,
    gone: u64,
    crowd: u64,
    unknown: u64,
    unknown_and_there: u64,
}

struct Campaign {
    bed: Arc<Bed>,
    wanted: Wanted,
    fails_over: bool,
    dice: SeededRandom,
    seed: u64,
    tally: Tally,
    counts: Counts,
}

/// Kills servers of this kind so often, and verifies after each kill. `fails_over` kills masters of a Cluster whose
/// replicas take over; otherwise what was killed is started again.
pub(super) async fn run(kind: Kind, kills: u64, fails_over: bool, seed: u64) -> Result<u8> {
    let section = if fails_over { "failover" } else { "kills" };
    let wanted = match kind {
        // The same node comes back. What the store declares, it declares for the sake of failovers.
        Kind::RedisCluster if !fails_over => Wanted::All,
        _ => Wanted::Declared,
    };
    let tally = Tally::new(section, kind.name());
    let mut campaign = Campaign::new(Bed::start(kind, fails_over)?, wanted, tally, seed);
    campaign.fails_over = fails_over;
    while campaign.tally.runs < kills && campaign.tally.failures() == 0 {
        campaign.stores(kills).await?;
    }
    let Counts {
        verified,
        unacknowledged,
        gone,
        crowd,
        unknown,
        unknown_and_there,
    } = campaign.counts;
    println!(
        "{section} {}: {verified} verifications; unanswered and there {unacknowledged}, not declared safe and gone {gone}; \
         of the tasks that went on, {crowd} acknowledged, {unknown} of unknown outcome, {unknown_and_there} of these there",
        kind.name()
    );
    ensure!(
        campaign.tally.acknowledged > 0,
        "no write was acknowledged, so nothing was shown"
    );
    if !fails_over && kind != Kind::Postgres {
        control(kind, seed).await?;
    }
    Ok(campaign.tally.finish())
}

/// Shows that a server that forgets what it acknowledged is found out.
async fn control(kind: Kind, seed: u64) -> Result<()> {
    let tally = Tally::new("control", kind.name());
    let mut campaign = Campaign::new(Bed::forgetful(kind)?, Wanted::All, tally, seed);
    let mut lanes = campaign.lanes();
    for kills in 1..=CONTROLS {
        if let Err(failure) = campaign.round(&mut lanes, None, kills).await? {
            println!("control {}: found out by kill {kills}: {failure}", kind.name());
            return Ok(());
        }
    }
    bail!("{CONTROLS} kills did not find out a server that forgets")
}

impl Campaign {
    fn new(bed: Bed, wanted: Wanted, tally: Tally, seed: u64) -> Self {
        Campaign {
            bed: Arc::new(bed),
            wanted,
            fails_over: false,
            dice: SeededRandom::new(seed),
            seed,
            tally,
            counts: Counts::default(),
        }
    }

    /// Writers on stores that do not exist yet.
    fn lanes(&self) -> Vec<Lane> {
        let begun = self.tally.runs;
        let lane = |number: u64| {
            let seed = (self.seed << 32) + (begun << 8) + number;
            Lane::new(format!("lane_{begun}_{number}"), seed)
        };
        (0..LANES).map(lane).collect()
    }

    fn below(&self, end: u64) -> u64 {
        self.dice.next_u64() % end
    }

    /// Kills the server of one set of stores until there were enough kills, or the stores are large.
    async fn stores(&mut self, kills: u64) -> Result<()> {
        let begun = self.tally.runs;
        let mut lanes = self.lanes();
        // What a failover loses is not declared safe, so nobody can say what these tasks must find.
        let mut crowd = match self.fails_over {
            true => None,
            false => Some(Crowd::open(&self.bed, format!("crowd_{begun}")).await?),
        };
        // A failover may lose what a verification has found already, so the next one begins anew.
        let most = if self.fails_over { 1 } else { KILLS_PER_STORE };
        while self.tally.runs < kills.min(begun + most) {
            let before: u64 = lanes.iter().map(Lane::committed).sum();
            let round = self.round(&mut lanes, crowd.as_mut(), kills).await?;
            let after: u64 = lanes.iter().map(Lane::committed).sum();
            self.tally.acknowledged += after - before;
            if let Err(failure) = round {
                let circumstances = format!("--seed {}, kill {}", self.seed, self.tally.runs);
                self.tally.fail(&failure, &circumstances);
                break;
            }
            if self.counts.verified.is_multiple_of(25) {
                println!("{} kills, {} s", self.tally.runs, self.tally.seconds());
            }
        }
        if let Some(crowd) = crowd {
            self.tally.acknowledged += crowd.committed;
            self.counts.crowd += crowd.committed;
            self.counts.unknown += crowd.unknown;
            self.counts.unknown_and_there += crowd.unknown_and_there;
        }
        Ok(())
    }

    /// Writers, a kill, and a verification. The outer error is one of the laboratory's.
    async fn round(
        &mut self,
        lanes: &mut [Lane],
        mut crowd: Option<&mut Crowd>,
        kills: u64,
    ) -> Result<Result<(), Failure>> {
        let working = crowd.as_mut().map(|crowd| crowd.work());
        let mut writing = Vec::new();
        for lane in &*lanes {
            let load = Load::ALL[usize::try_from(self.below(6))?];
            writing.push(lane.write(&self.bed, load));
        }
        // One in four while the stores are being opened.
        let longest = if self.below(4) == 0 { 30_000 } else { 400_000 };
        // New stores on a Cluster take a moment to be made.
        let least = if self.fails_over { 1_500_000 } else { 0 };
        sleep(Duration::from_micros(least + self.below(longest))).await;
        let killed = self.kill()?;
        if self.fails_over {
            // The replica takes over. The writers' own node comes back as its replica.
            self.bed.wait_ready()?;
        }
        for (lane, writing) in lanes.iter_mut().zip(writing) {
            if let Err(failure) = lane.take(writing).await {
                return Ok(Err(failure));
            }
        }
        self.bed.restart(&killed)?;
        // One in five is killed again while the others connect.
        if self.below(5) == 0 && self.tally.runs < kills && !self.fails_over {
            sleep(Duration::from_micros(self.below(30_000))).await;
            let killed = self.kill()?;
            self.bed.restart(&killed)?;
        }
        self.bed.wait_ready()?;
        self.verify(lanes, crowd, working).await
    }

    fn kill(&mut self) -> Result<Killed> {
        self.tally.runs += 1;
        self.bed.kill(self.bed.writers_shard()?)
    }

    async fn verify(
        &mut self,
        lanes: &mut [Lane],
        crowd: Option<&mut Crowd>,
        working: Option<Working>,
    ) -> Result<Result<(), Failure>> {
        if let (Some(crowd), Some(working)) = (crowd, working) {
            // They find the server again and go on for a moment.
            sleep(Duration::from_millis(20)).await;
            if let Err(failure) = crowd.settle(working).await {
                return Ok(Err(failure));
            }
        }
        for lane in lanes {
            let (report, strength) = match lane.verify(&self.bed, self.wanted).await {
                Ok(verified) => verified,
                Err(failure) => return Ok(Err(failure)),
            };
            if self.fails_over {
                ensure!(
                    strength == Strength::Volatile,
                    "a Cluster whose failovers may lose writes declares them {strength:?}"
                );
            }
            self.counts.gone += report.gone;
            self.counts.unacknowledged += report.unacknowledged;
        }
        self.counts.verified += 1;
        Ok(Ok(()))
    }
}
