//! I/O errors: system calls that fail, writes that come out short, disks that are full.
//!
//! - *Errors*: strace answers the K-th call of a kind with `EIO` or `ENOSPC` and does not do it, for every K until a run
//!   meets none; once, and from there on.
//! - *Short writes*: a limit on the size of files (`RLIMIT_FSIZE`, its signal ignored) makes the system do a write as
//!   far as it goes and answer with the shorter length, and the next with `EFBIG`. Both are honest: what was answered is
//!   in the file. The limit moves by 512 bytes until a run meets none. Engines that give their files a length before
//!   they fill them meet it there; their short writes come from the full disk.
//! - *Disk full*: a tmpfs of many sizes from 64 KiB on, in the middle of writing and in the middle of sweeping. A write
//!   that fits in part comes out short.
//!
//! Short writes are counted by strace, and if none was seen the section says so and does not pass.

mod full;
mod inject;
mod judge;
mod limit;

use std::path::Path;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::child::{Ended, Order};
use crate::engines::{Engine, engine};
use crate::strace;
use crate::tally::Tally;

/// Let system calls fail and see that the store says so, takes no more writes, and loses nothing
#[derive(Args, Debug)]
pub(crate) struct Io {
    /// The engine
    #[arg(long)]
    engine: String,
    /// Which workload
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only about so many runs of each part, spread over all that there are
    #[arg(long)]
    points: Option<usize>,
    /// Only these parts
    #[arg(long = "part", value_enum)]
    parts: Vec<Part>,
}

/// A part of the section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Errors,
    ShortWrites,
    Full,
}

/// What the parts of the section share.
struct Campaign {
    engine: &'static Engine,
    seed: u64,
    points: Option<usize>,
    tally: Tally,
    short_writes: u64,
}

impl Campaign {
    /// Runs a worker and counts its short writes.
    fn counting(&mut self, mut order: Order<'_>, log: &Path) -> Result<Ended> {
        if strace::missing().is_none() {
            let mut under = strace::recording(strace::WRITES.iter().copied(), log);
            under.append(&mut order.under);
            order.under = under;
        }
        let ended = order.start()?.finish()?;
        let log = std::fs::read_to_string(log).unwrap_or_default();
        let short = strace::calls(&log).iter().filter(|call| call.is_short()).count();
        self.short_writes += short as u64;
        Ok(ended)
    }

    /// Every so manieth of `there` runs, so that about [`points`](Io::points) are done.
    fn stride(&self, there: usize) -> usize {
        self.points
            .map_or(1, |points| there.div_ceil(points.max(1)).max(1))
    }
}

pub(crate) fn run(arguments: &Io) -> Result<u8> {
    let engine = engine(&arguments.engine)?;
    let mut campaign = Campaign {
        engine,
        seed: arguments.seed,
        points: arguments.points,
        tally: Tally::new("io", engine.name),
        short_writes: 0,
    };
    let wanted = |part: Part| arguments.parts.is_empty() || arguments.parts.contains(&part);
    if wanted(Part::Errors) {
        inject::run(&mut campaign)?;
    }
    if wanted(Part::ShortWrites) {
        limit::run(&mut campaign)?;
    }
    if wanted(Part::Full) {
        full::run(&mut campaign)?;
    }
    if wanted(Part::ShortWrites) || wanted(Part::Full) {
        println!("io {}: {} short writes", engine.name, campaign.short_writes);
    }
    if campaign.short_writes == 0 && arguments.parts.is_empty() {
        campaign.tally.not_run("short writes: none was seen");
    }
    Ok(campaign.tally.finish())
}
