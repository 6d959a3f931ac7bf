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
/// The size of the disk that is filled before a sweep.
const BALLAST_KIB: u64 = 24 << 10;
/// What a tmpfs hands out, in KiB.
const PAGE_KIB: u64 = 4;
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
    while_writing(campaign)?;
    if campaign.tally.failures() == 0 {
        while_sweeping(campaign)?;
    }
    Ok(())
}

/// Writes until the disk is full, on disks of many sizes: where that is in the middle of a write moves from page to page.
fn while_writing(campaign: &mut Campaign) -> Result<()> {
    let mut met = [0_u64; 4];
    let stride = campaign.stride(SIZES_KIB.len()).min(3);
    let mut sizes: VecDeque<u64> = SIZES_KIB.into_iter().step_by(stride).collect();
    let mut fine = false;
    while let Some(size_kib) = sizes.pop_front() {
        let Some(run) = fill(campaign, Load::Put, 4_000, false, size_kib)? else {
            return Ok(());
        };
        met[run.met as usize] += 1;
        if run.met == Met::Stopped && !fine {
            fine = true;
            let pages = campaign.points.map_or(48, |points| points.min(48) as u64 / 8);
            sizes.extend((1..=pages).map(|page| size_kib + PAGE_KIB * page));
        }
    }
    println!(
        "io {}: disk full while writing: unopened {}, stopped {}, unclosed {}, room enough {}",
        campaign.engine.name, met[0], met[1], met[2], met[3]
    );
    if met[1] == 0 {
        campaign
            .tally
            .not_run("disk full while writing: no disk was full in the middle");
    }
    Ok(())
}

/// Fills the disk once all is written, and lets the store sweep then. A store that has room in its files may well do so.
fn while_sweeping(campaign: &mut Campaign) -> Result<()> {
    let mut met = [0_u64; 4];
    let mut swept = 0_u64;
    for count in 1..=campaign.points.map_or(24, |_| 4) {
        let Some(run) = fill(campaign, Load::Expire, count * 25, true, BALLAST_KIB)? else {
            return Ok(());
        };
        met[run.met as usize] += 1;
        swept += u64::from(run.swept);
    }
    println!(
        "io {}: disk full while sweeping: {swept} sweeps, stopped {}, unclosed {}, found room in the files {}",
        campaign.engine.name, met[1], met[2], met[3]
    );
    if swept == 0 {
        campaign.tally.not_run("disk full while sweeping: none began");
    }
    Ok(())
}

/// How a run on a small disk ended.
struct Filled {
    met: Met,
    /// Whether all was written and the sweep had begun.
    swept: bool,
}

/// Runs a worker on a disk of this size, and verifies what is there once there is room. `None` after a failure.
fn fill(
    campaign: &mut Campaign,
    load: Load,
    count: u64,
    sweep: bool,
    size_kib: u64,
) -> Result<Option<Filled>> {
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
        ballast: sweep,
        ..Order::new(campaign.engine.name, &dir, work)
    };
    let log = tempfile::NamedTempFile::new()?;
    let ended = campaign.counting(order, log.path())?;
    disk.grow()?;
    campaign.tally.runs += 1;
    match judge(campaign, &ended, &dir, &mut journal, load) {
        Ok(met) => Ok(Some(Filled {
            met,
            swept: ended.said("passed").is_some(),
        })),
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
