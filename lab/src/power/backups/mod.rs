//! Power loss while a repository of backups is written to.
//!
//! A [writer] makes backups in a directory and prunes them, and its system calls are recorded with what it announces. Of
//! each image, what was announced has to be [there](known), and whole; and the repository has to serve on. The second writer
//! of a recording begins on what the first one's disk held when its power went.

mod killed;
mod known;
mod writer;

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use stead_conformance::crash::Failure;

use super::dice::Dice;
use super::disk::{Disk, Syncs};
use super::log::Log;
use super::names::NamesRule;
use super::plan::{Image, Points};
use super::traced::{followed, strace, temporary};
use super::tree::Tree;
use crate::strace;
use crate::tally::Tally;
pub(crate) use killed::{BackupKill, run as run_kills};
use known::{Known, Said};
pub(crate) use writer::{Writer, write};

/// The directory of the repository, in the one that is recorded.
const REPOSITORY: &str = "repository";
/// So many images come of one recording.
const IMAGES_EACH: u64 = 50;
/// The control takes one of so many images, and at least those of one recording.
const CONTROL_OF: u64 = 10;
/// After so many findings there is no need for more.
const ENOUGH: usize = 10;
/// Steps of a writer.
const STEPS: usize = 8;

/// Take the power from a disk while backups are made and pruned, and see that each that was announced is there and whole
#[derive(Args, Debug)]
pub(crate) struct Backups {
    /// How many images
    #[arg(long, default_value_t = 200)]
    images: u64,
    /// Repeats the workloads and the choices, though not in which order threads get to write
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the section, with a control on a disk that syncs nothing.
///
/// # Errors
///
/// A failure of the laboratory.
pub(crate) fn run(arguments: &Backups) -> Result<u8> {
    let mut tally = Tally::new("backups", "directory");
    if let Some(reason) = strace::missing() {
        tally.not_run(reason);
        return Ok(tally.finish());
    }
    let runtime = writer::runtime()?;
    let mut campaign = Campaign::new(arguments.seed, Syncs::Honoured);
    runtime.block_on(campaign.run(arguments.images))?;
    for (failure, circumstances) in &campaign.findings {
        tally.fail(failure, circumstances);
    }
    tally.runs = campaign.images;
    tally.acknowledged = campaign.backups;
    let mut control = Campaign::new(arguments.seed, Syncs::Ignored);
    runtime.block_on(control.run((arguments.images / CONTROL_OF).max(IMAGES_EACH)))?;
    println!(
        "control backups: without syncs {} of {} images fail",
        control.findings.len(),
        control.images
    );
    if control.findings.is_empty() {
        tally.not_run("the control lost nothing without syncs, so nothing is proved");
    }
    Ok(tally.finish())
}

/// Images, and what came of them.
struct Campaign {
    seed: u64,
    syncs: Syncs,
    images: u64,
    /// Backups that were announced, and looked for.
    backups: u64,
    /// What was not as it has to be, and where it is kept.
    findings: Vec<(Failure, String)>,
}

/// What a writer did to a disk.
struct Recording {
    base: Tree,
    /// What was known when it began.
    known: Known,
    log: Log,
}

impl Recording {
    /// Lets a writer work on a disk that holds `base`, and takes down what it does.
    fn of(base: Tree, known: Known, seed: u64) -> Result<Self> {
        let home = temporary()?;
        // Paths are compared letter by letter with those that the tracer finds out.
        let home_path = home.path().canonicalize()?;
        let (root, lines) = (home_path.join("root"), home_path.join("trace"));
        fs::create_dir(&root)?;
        base.write_to(&root)?;
        let mut words = strace(&lines).into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).arg(std::env::current_exe()?);
        command.args([
            "backup-writer",
            "--seed",
            &seed.to_string(),
            "--steps",
            &STEPS.to_string(),
        ]);
        command.arg("--dir").arg(root.join(REPOSITORY));
        let ended = command.output().context("cannot start the writer")?;
        ensure!(
            ended.status.success(),
            "the recorded writer ended with {}: {}",
            ended.status,
            String::from_utf8_lossy(&ended.stderr)
        );
        let log = followed(&lines, &root, &base)?;
        ensure!(
            log.acknowledged(log.ops.len()).count() > 1,
            "nothing was announced"
        );
        Ok(Recording { base, known, log })
    }

    /// What is known when the power goes at a position.
    fn known(&self, position: usize) -> Result<Known> {
        let mut known = self.known.clone();
        for line in self.log.acknowledged(position) {
            known.note(line.parse::<Said>()?);
        }
        Ok(known)
    }
}

impl Campaign {
    fn new(seed: u64, syncs: Syncs) -> Self {
        Campaign {
            seed,
            syncs,
            images: 0,
            backups: 0,
            findings: Vec::new(),
        }
    }

    async fn run(&mut self, images: u64) -> Result<()> {
        let mut before = None;
        for number in 0.. {
            // Every other recording begins where the power went in the one before.
            let is_first = before.is_none();
            let (base, known) = before.take().unwrap_or_default();
            let recording = Recording::of(base, known, Dice::new(self.seed, number).number())?;
            let left = self.check(&recording, number).await?;
            before = left.filter(|_| is_first);
            println!("backups: {} of {images} images", self.images);
            if self.images >= images || self.findings.len() >= ENOUGH {
                break;
            }
        }
        Ok(())
    }

    /// Checks the images of one recording, and gives the last one of them that was as it has to be.
    async fn check(&mut self, recording: &Recording, number: u64) -> Result<Option<(Tree, Known)>> {
        let points = Points::of(&recording.base, &recording.log, 0, NamesRule::Strict, self.syncs);
        let numbers = number * IMAGES_EACH..(number + 1) * IMAGES_EACH;
        let mut images: Vec<Image> = numbers.map(|image| points.image(self.seed, image)).collect();
        images.sort_by_key(|image| image.position);
        let mut disk = Disk::new(NamesRule::Strict, self.syncs, &recording.base);
        let mut last = None;
        for mut image in images {
            disk.play(&recording.log.ops, image.position);
            let tree = image.build(&disk);
            let known = recording.known(image.position)?;
            let place = temporary()?;
            tree.write_to(place.path())?;
            self.images += 1;
            self.backups += known.backups() as u64;
            match known.look(&place.path().join(REPOSITORY)).await {
                Ok(found) => last = Some((tree, Known::of(&found))),
                Err(failure) => {
                    let circumstances = match self.syncs {
                        Syncs::Honoured => keep(&image, &tree, &recording.log)?,
                        Syncs::Ignored => String::new(),
                    };
                    self.findings.push((failure, circumstances));
                }
            }
        }
        Ok(last)
    }
}

/// Keeps an image that was not as it has to be, with the recording that it is of, and says where.
fn keep(image: &Image, tree: &Tree, log: &Log) -> Result<String> {
    let kept = temporary()?.keep();
    fs::write(kept.join("recording"), log.to_string())?;
    let path = kept.join("image");
    fs::create_dir(&path)?;
    tree.write_to(&path)?;
    Ok(format!(
        "image {} ({}, after {} of {} operations) is kept in {}",
        image.number,
        image.variant,
        image.position,
        log.ops.len(),
        path.display()
    ))
}
