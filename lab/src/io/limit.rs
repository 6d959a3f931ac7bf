//! Short writes from a limit on the size of files.

use anyhow::Result;
use stead_conformance::crash::{Journal, Load, Work};

use super::Campaign;
use super::judge::{Met, judge};
use crate::child::Order;

/// `ulimit` counts in blocks of this size.
const BLOCK_BYTES: u64 = 512;

/// The largest file of a store of the section, in blocks; a run that meets no limit below it ends the part.
const MOST_BLOCKS: u64 = 256 << 11;

pub(super) fn run(campaign: &mut Campaign) -> Result<()> {
    let Some(enough) = enough(campaign)? else {
        campaign.tally.not_run(format!(
            "short writes: a file grows beyond {MOST_BLOCKS} blocks of {BLOCK_BYTES} bytes"
        ));
        return Ok(());
    };
    let all: Vec<u64> = (1..=enough).collect();
    // Not every block of a large file is another run.
    let least = usize::try_from(enough / 400).unwrap_or(1).max(1);
    let stride = campaign.stride(all.len()).max(least);
    let mut met = [0_u64; 4];
    for blocks in all.into_iter().step_by(stride) {
        let Some(one) = limited(campaign, blocks)? else {
            return Ok(());
        };
        met[one as usize] += 1;
    }
    println!(
        "io {}: short writes, a limit of 1 to {enough} blocks of {BLOCK_BYTES} bytes: unopened {}, stopped {}, unclosed {}, \
         not met {}",
        campaign.engine.name, met[0], met[1], met[2], met[3]
    );
    Ok(())
}

/// The smallest power of two blocks that a run does not come to.
fn enough(campaign: &mut Campaign) -> Result<Option<u64>> {
    let mut blocks = 16;
    while blocks <= MOST_BLOCKS {
        match limited(campaign, blocks)? {
            Some(Met::Nothing) => return Ok(Some(blocks)),
            Some(_) => blocks *= 2,
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// Runs a worker that may make files of so many blocks. `None` after a failure.
fn limited(campaign: &mut Campaign, blocks: u64) -> Result<Option<Met>> {
    let home = tempfile::tempdir()?;
    let dir = home.path().join("store");
    let mut journal = Journal::new(campaign.seed);
    let work = Work {
        load: Load::Put,
        seed: campaign.seed,
        from: journal.next(),
        count: 1_000,
        window: 16,
    };
    let mut order = Order::new(campaign.engine.name, &dir, work);
    // The signal is ignored, so that the process lives to see the short write and the error behind it.
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    order.under = ["sh", "-c", &script, "sh"].map(Into::into).to_vec();
    let ended = campaign.counting(order, &home.path().join("strace.log"))?;
    campaign.tally.runs += 1;
    match judge(campaign, &ended, &dir, &mut journal, Load::Put) {
        Ok(met) => Ok(Some(met)),
        Err(failure) => {
            let kept = home.keep();
            let circumstances = format!(
                "--seed {}, files of at most {blocks} blocks, kept in {}; the worker said {:?} and {}",
                campaign.seed,
                kept.display(),
                ended.lines.last(),
                ended.stderr
            );
            campaign.tally.fail(&failure, &circumstances);
            Ok(None)
        }
    }
}
