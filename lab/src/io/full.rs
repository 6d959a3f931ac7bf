//! A disk that is full, in the middle of writing and in the middle of sweeping.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use stead_conformance::crash::{Journal, Load, Work};

use super::Campaign;
use super::judge::{Met, judge};
use crate::child::Order;

/// Sizes of the disk in KiB: the first do not hold an empty store of every engine.
const SIZES_KIB: [u64; 15] = [
    64, 128, 256, 384, 512, 768, 1_024, 1_536, 2_048, 3_072, 4_096, 6_144, 8_192, 12_288, 16_384,
];
/// The size that lets the store be opened again.
const ROOM_KIB: u64 = 512 << 10;

/// A tmpfs, which goes with its owner.
struct Disk {
    home: tempfile::TempDir,
}

impl Disk {
    fn new(size_kib: u64) -> Result<Self> {
        let home = tempfile::tempdir()?;
        mount(
            &["-t", "tmpfs", "-o", &format!("size={size_kib}k"), "stead-lab"],
            home.path(),
        )?;
        Ok(Disk { home })
    }

    /// Makes room.
    fn grow(&self) -> Result<()> {
        mount(&["-o", &format!("remount,size={ROOM_KIB}k")], self.home.path())
    }

    fn path(&self) -> &Path {
        self.home.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What stays mounted is seen by whoever looks at the mounts; there is nothing else to be done about it.
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

fn mount(arguments: &[&str], at: &Path) -> Result<()> {
    let output = Command::new("mount")
        .args(arguments)
        .arg(at)
        .output()
        .context("mount cannot be started")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok(())
}

pub(super) fn run(campaign: &mut Campaign) -> Result<()> {
    if let Err(reason) = Disk::new(64) {
        campaign.tally.not_run(format!(
            "disk full: a tmpfs cannot be mounted, which takes the rights of root: {reason}"
        ));
        return Ok(());
    }
    for (what, load, sweep) in [("writing", Load::Put, false), ("sweeping", Load::Expire, true)] {
        let mut met = [0_u64; 4];
        let stride = campaign.stride(SIZES_KIB.len()).min(3);
        let mut sizes: VecDeque<u64> = SIZES_KIB.into_iter().step_by(stride).collect();
        let mut fine = false;
        while let Some(size_kib) = sizes.pop_front() {
            for count in counts(campaign, sweep) {
                let Some(one) = fill(campaign, load, count, sweep, size_kib)? else {
                    return Ok(());
                };
                met[one as usize] += 1;
                if one == Met::Stopped && !fine && !sweep {
                    // Where the disk is full in the middle of a write moves from page to page.
                    fine = true;
                    let pages = campaign.points.map_or(48, |points| points.min(48) as u64 / 8);
                    sizes.extend((1..=pages).map(|page| size_kib + 4 * page));
                }
            }
        }
        println!(
            "io {}: disk full while {what}: unopened {}, stopped {}, unclosed {}, room enough {}",
            campaign.engine.name, met[0], met[1], met[2], met[3]
        );
        if met[1] == 0 {
            campaign
                .tally
                .not_run(format!("disk full while {what}: no disk was full in the middle"));
        }
    }
    Ok(())
}

/// How many writes go before: whatever fits, or so many that some disks are all but full when the sweep begins.
fn counts(campaign: &Campaign, sweep: bool) -> Vec<u64> {
    match (sweep, campaign.points) {
        (false, _) => vec![4_000],
        (true, Some(_)) => vec![200],
        (true, None) => (1..=12).map(|one| one * 25).collect(),
    }
}

/// Runs a worker on a disk of this size, and verifies what is there once there is room. `None` after a failure.
fn fill(campaign: &mut Campaign, load: Load, count: u64, sweep: bool, size_kib: u64) -> Result<Option<Met>> {
    let disk = Disk::new(size_kib)?;
    let dir = disk.path().join("store");
    let mut journal = Journal::new(campaign.seed);
    let work = Work {
        load,
        seed: campaign.seed,
        from: journal.next(),
        count,
        window: 4,
    };
    let order = Order {
        sweep,
        ..Order::new(campaign.engine.name, &dir, work)
    };
    let log = tempfile::NamedTempFile::new()?;
    let ended = campaign.counting(order, log.path())?;
    disk.grow()?;
    campaign.tally.runs += 1;
    match judge(campaign, &ended, &dir, &mut journal, load) {
        Ok(met) => Ok(Some(met)),
        Err(failure) => {
            let circumstances = format!(
                "--seed {}, {count} writes of load {load} on a disk of {size_kib} KiB; the worker said {:?} and {}",
                campaign.seed,
                ended.lines.last(),
                ended.stderr
            );
            campaign.tally.fail(&failure, &circumstances);
            Ok(None)
        }
    }
}
