//! The section of the command line.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use parking_lot::Mutex;

use super::campaign::{Campaign, Finding, IMAGES_EACH, Tally as Counts};
use super::disk::Syncs;
use super::names::NamesRule;
use super::recording::{Recording, Source};
use super::traced::Traced;
use crate::engines::{Engine, engine};
use crate::strace;
use crate::tally::Tally;

/// Take the power from a disk at recorded moments and see that every acknowledged durable write is there
#[derive(Args, Debug)]
pub(crate) struct Power {
    /// The engine
    #[arg(long)]
    engine: String,
    /// How many images
    #[arg(long, default_value_t = 300)]
    images: u64,
    /// Repeats the workloads and the choices, though not in which order threads get to write
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only as if no sync had ever happened, which has to lose something
    #[arg(long)]
    control: bool,
    /// Only this image
    #[arg(long)]
    image: Option<u64>,
    /// Of this recording, which a failure left behind
    #[arg(long, requires = "image")]
    recording: Option<PathBuf>,
    /// Which changes of names a sync makes safe
    #[arg(long, value_enum, default_value_t = Rule::Strict)]
    names: Rule,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rule {
    /// Those of a directory that is synced, as POSIX has it
    Strict,
    /// All before it, as ext4 and XFS have it
    Journal,
}

/// After so many findings there is no need for more.
const ENOUGH: u64 = 10;
/// The control takes one of so many images, and at least those of one recording of each load.
const CONTROL_OF: u64 = 10;
/// One of so many recordings of redb is of its system calls; the others are made in memory, which is much quicker.
const TRACED_OF: u64 = 10;

pub(crate) fn run(arguments: &Power) -> Result<u8> {
    let engine = engine(&arguments.engine)?;
    let mut tally = Tally::new("power", engine.name);
    let missing = strace::missing();
    let sources = Sources {
        engine,
        traces: missing.is_none(),
    };
    if let Some(reason) = missing {
        tally.not_run(reason);
        if sources.of(0).is_none() {
            return Ok(tally.finish());
        }
    }
    // Engines panic over what is no store of theirs, which the control makes plenty of. What came of it is told.
    std::panic::set_hook(Box::new(|_| {}));
    if !arguments.control {
        honoured(arguments, &sources, &mut tally)?;
    }
    if arguments.control || arguments.image.is_none() {
        control(arguments, &sources, &mut tally)?;
    }
    Ok(tally.finish())
}

/// Where the recordings of an engine come from.
struct Sources {
    engine: &'static Engine,
    /// Whether system calls can be recorded here.
    traces: bool,
}

impl Sources {
    /// Where a recording comes from, if there is such a place.
    fn of(&self, recording: u64) -> Option<Arc<dyn Source>> {
        #[cfg(feature = "redb")]
        if self.engine.name == "redb" && !(self.traces && recording % TRACED_OF == 1) {
            return Some(Arc::new(super::redb::RedbInMemory));
        }
        #[cfg(not(feature = "redb"))]
        let _ = (recording, TRACED_OF);
        let engine = self.engine;
        self.traces
            .then(|| Arc::new(Traced { engine }) as Arc<dyn Source>)
    }

    fn wanted(&self, recording: u64) -> Result<Arc<dyn Source>> {
        self.of(recording)
            .context("nothing can be recorded without strace")
    }
}

impl Power {
    fn campaign(&self, syncs: Syncs) -> Campaign {
        Campaign {
            seed: self.seed,
            images: match self.image {
                Some(image) => image..image + 1,
                None => 0..self.images,
            },
            rule: match self.names {
                Rule::Strict => NamesRule::Strict,
                Rule::Journal => NamesRule::Journal,
            },
            syncs,
        }
    }

    fn run_campaign(
        &self,
        sources: &Sources,
        campaign: &Campaign,
        what: &str,
        found: &(dyn Fn(Finding) -> Result<bool> + Sync),
    ) -> Result<Counts> {
        if let Some(path) = &self.recording {
            let source = sources.wanted(campaign.images.start / IMAGES_EACH)?;
            let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let recording = Recording::from_text(&text, source.base())?;
            let (counts, _) = campaign.check(&*source, &recording, campaign.images.clone(), found)?;
            return Ok(counts);
        }
        let all = campaign.images.end - campaign.images.start;
        let progress = |images| println!("{what} {}: {images} of {all} images", sources.engine.name);
        campaign.run(&|recording| sources.wanted(recording), found, &progress)
    }
}

/// Images of a disk that does as it is told: each has to hold what was acknowledged.
fn honoured(arguments: &Power, sources: &Sources, tally: &mut Tally) -> Result<()> {
    let name = sources.engine.name;
    let campaign = arguments.campaign(Syncs::Honoured);
    let findings = Mutex::new(Vec::new());
    let found = |finding: Finding| {
        let circumstances = finding.keep(name, arguments.seed)?;
        let mut findings = findings.lock();
        findings.push((finding.failure, circumstances));
        Ok((findings.len() as u64) < ENOUGH)
    };
    let counts = arguments.run_campaign(sources, &campaign, "power", &found)?;
    for (failure, circumstances) in findings.into_inner() {
        tally.fail(&failure, &circumstances);
    }
    tally.runs += counts.images;
    tally.acknowledged += counts.acknowledged;
    println!(
        "power {}: {} images of {} recordings, {} of them lost the power once more while they were opened; unanswered \
         and there {}, buffered and gone {}",
        name, counts.images, counts.recordings, counts.again, counts.unacknowledged, counts.gone
    );
    Ok(())
}

/// Images of a disk that syncs nothing: if the laboratory finds nothing wrong there, it finds nothing anywhere.
fn control(arguments: &Power, sources: &Sources, tally: &mut Tally) -> Result<()> {
    let mut campaign = arguments.campaign(Syncs::Ignored);
    if !arguments.control {
        let enough = (campaign.images.end / CONTROL_OF).max(IMAGES_EACH / 2);
        campaign.images.end = campaign.images.end.min(enough);
    }
    let counts = arguments.run_campaign(sources, &campaign, "control", &|_| Ok(true))?;
    let kinds: Vec<String> = counts
        .kinds
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    let variants: Vec<String> = counts
        .failed
        .iter()
        .map(|(variant, count)| format!("{variant} {count}"))
        .collect();
    println!(
        "control {}: without syncs {} of {} images fail ({}; {})",
        sources.engine.name,
        counts.failures(),
        counts.images,
        kinds.join(", "),
        variants.join(", "),
    );
    if counts.failures() == 0 {
        tally.not_run("the control lost nothing without syncs, so nothing is proved");
    }
    if arguments.control {
        tally.runs += counts.images;
    }
    Ok(())
}
