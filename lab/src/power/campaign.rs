//! Recording, building images, opening and verifying them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::{Context as _, Result, bail};
use futures_executor::block_on;
use parking_lot::Mutex;
use stead_conformance::crash::{Crash, Demands, Failure, FailureKind, Journal, time_of, verify};
use stead_core::ManualClock;

use super::disk::{Disk, Syncs};
use super::names::NamesRule;
use super::plan::{Image, Points};
use super::recording::{Recording, Source, work};
use super::tree::Tree;
use super::variant::Variant;
use crate::engines::RETENTION;

/// So many images come of one recording.
pub(crate) const IMAGES_EACH: u64 = 100;
/// One of so many images loses its power once more while it is opened.
const AGAIN_EVERY: u64 = 5;

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) struct Campaign {
    pub(crate) seed: u64,
    pub(crate) images: Range<u64>,
    pub(crate) rule: NamesRule,
    pub(crate) syncs: Syncs,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) images: u64,
    pub(crate) recordings: u64,
    /// Images that lost their power once more while they were opened.
    pub(crate) again: u64,
    /// Acknowledged durable writes that were looked for.
    pub(crate) acknowledged: u64,
    /// Buffered writes that were gone, as they may be.
    pub(crate) gone: u64,
    /// Writes without an acknowledgement that were there.
    pub(crate) unacknowledged: u64,
    pub(crate) failed: BTreeMap<Variant, u64>,
    pub(crate) kinds: BTreeMap<FailureKind, u64>,
}

impl Tally {
    pub(crate) fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    fn add(&mut self, other: &Tally) {
        self.images += other.images;
        self.recordings += other.recordings;
        self.again += other.again;
        self.acknowledged += other.acknowledged;
        self.gone += other.gone;
        self.unacknowledged += other.unacknowledged;
        for (variant, count) in &other.failed {
            *self.failed.entry(*variant).or_default() += count;
        }
        for (kind, count) in &other.kinds {
            *self.kinds.entry(*kind).or_default() += count;
        }
    }
}

/// An image that was not as it must be.
pub(crate) struct Finding {
    pub(crate) image: u64,
    pub(crate) variant: Variant,
    pub(crate) position: usize,
    pub(crate) failure: Failure,
    pub(crate) recording: Recording,
    pub(crate) tree: Tree,
}

impl Campaign {
    /// Builds and checks all images. `found` is handed each that is not as it must be, and says whether to go on.
    ///
    /// # Errors
    ///
    /// A failure of the laboratory.
    pub(crate) fn run(
        &self,
        sources: &(dyn Fn(u64) -> Result<Arc<dyn Source>> + Sync),
        found: &(dyn Fn(Finding) -> Result<bool> + Sync),
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Tally> {
        let next = AtomicU64::new(self.images.start / IMAGES_EACH);
        let stopped = AtomicBool::new(false);
        let total = Mutex::new(Tally::default());
        let worker = || -> Result<()> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let from = self.images.start.max(number * IMAGES_EACH);
                let images = from..self.images.end.min((number + 1) * IMAGES_EACH);
                if images.is_empty() || stopped.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let source = sources(number)?;
                let recording = source
                    .record(&work(self.seed, number))
                    .with_context(|| format!("recording {number} of {}", source.name()))?;
                let (tally, go_on) = self.check(&*source, &recording, images, found)?;
                stopped.fetch_or(!go_on, Ordering::Relaxed);
                let mut total = total.lock();
                total.add(&tally);
                progress(total.images);
            }
        };
        let workers = thread::available_parallelism().map_or(1, usize::from).min(4);
        thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
            threads.into_iter().try_for_each(|thread| {
                let ended = thread.join();
                let ended = ended.unwrap_or_else(|_| bail!("a thread of the laboratory panicked"));
                stopped.fetch_or(ended.is_err(), Ordering::Relaxed);
                ended
            })
        })?;
        Ok(total.into_inner())
    }

    /// Checks the images of one recording, in the order of their positions.
    ///
    /// # Errors
    ///
    /// As [`run`](Campaign::run).
    pub(crate) fn check(
        &self,
        source: &dyn Source,
        recording: &Recording,
        numbers: Range<u64>,
        found: &(dyn Fn(Finding) -> Result<bool> + Sync),
    ) -> Result<(Tally, bool)> {
        let mut tally = Tally {
            recordings: 1,
            ..Tally::default()
        };
        let Recording { base, log, first, .. } = recording;
        let points = Points::of(base, log, *first, self.rule, self.syncs);
        let mut images: Vec<Image> = numbers.map(|number| points.image(self.seed, number)).collect();
        images.sort_by_key(|image| image.position);
        let mut disk = Disk::new(self.rule, self.syncs, &recording.base);
        for mut image in images {
            disk.play(&recording.log.ops, image.position);
            let mut tree = image.build(&disk);
            let journal = recording.journal(image.position)?;
            tally.images += 1;
            let mut looked = None;
            if image.number % AGAIN_EVERY == AGAIN_EVERY - 1 {
                match self.lose_again(source, &journal, &mut image, &tree) {
                    Ok(second) => tree = second,
                    Err(error) => looked = Some(Err(unusable(&error))),
                }
                tally.again += 1;
            }
            let outcome = looked.unwrap_or_else(|| look(source, &tree, journal, &mut tally));
            if let Err(failure) = outcome {
                *tally.failed.entry(image.variant).or_default() += 1;
                *tally.kinds.entry(failure.kind).or_default() += 1;
                let finding = Finding {
                    image: image.number,
                    variant: image.variant,
                    position: image.position,
                    failure,
                    recording: recording.clone(),
                    tree,
                };
                if !found(finding)? {
                    return Ok((tally, false));
                }
            }
        }
        Ok((tally, true))
    }

    /// Opens and closes the store over an image, and takes its power at some position of that.
    fn lose_again(
        &self,
        source: &dyn Source,
        journal: &Journal,
        image: &mut Image,
        tree: &Tree,
    ) -> Result<Tree> {
        let reopening = source.record_reopening(tree, time_of(journal.next()))?;
        let position = image.dice().below(reopening.log.ops.len() + 1);
        let mut disk = Disk::new(self.rule, self.syncs, &reopening.base);
        disk.play(&reopening.log.ops, position);
        Ok(disk.after(image.variant, image.dice()))
    }
}

/// Opens the store over an image and compares it with the journal.
fn look(source: &dyn Source, tree: &Tree, mut journal: Journal, tally: &mut Tally) -> Result<(), Failure> {
    let clock = Arc::new(ManualClock::at(time_of(journal.next())));
    let verified = catch_unwind(AssertUnwindSafe(|| {
        let opened = source.open(tree, &clock).map_err(|error| unusable(&error))?;
        let retention = usize::try_from(RETENTION).unwrap_or(usize::MAX);
        let demands = Demands::after(Crash::Power).with_retention(retention);
        let report = block_on(verify(&*opened.store, &clock, &mut journal, &demands))?;
        let closed = block_on(opened.store.close());
        closed.map_err(|error| Failure::new(FailureKind::Unusable, format!("closing: {error:?}")))?;
        Ok(report)
    }));
    let report =
        verified.unwrap_or_else(|_| Err(Failure::new(FailureKind::Unusable, "the store panicked")))?;
    tally.acknowledged += journal.committed();
    tally.gone += report.gone;
    tally.unacknowledged += report.unacknowledged;
    Ok(())
}

fn unusable(error: &anyhow::Error) -> Failure {
    Failure::new(FailureKind::Unusable, format!("opening: {error:?}"))
}
