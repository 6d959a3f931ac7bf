//! Comparing what is there with what must be.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::{
    Backend, Capabilities, ChangeKind, ChangeSet, Durability, Entry, Expiry, Key, KeyRange, ManualClock,
    ReadExt, Revision, Scan, Strength, Timestamp, WriteBatch,
};

use super::align::{Aligned, align};
use super::failure::{Failure, FailureKind, unusable};
use super::feed::{Fed, feed};
use super::journal::Settled;
use super::model::{Held, Model};
use super::write::{number_in, partition, probe_key, time_of, value};
use super::{Ack, Journal};

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process ended.
    Process,
    /// The machine lost its power, or the disk what was not synced.
    Power,
    /// System calls failed. Only what was durable is safe, since a buffered write is not on the disk yet.
    Disk,
}

/// What a verification demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demands {
    /// What failed. With the store's [`Capabilities`] it says which acknowledged writes must be there.
    pub crash: Crash,
    /// So many change sets the log must hold, once it has been trimmed.
    pub retention: usize,
}

impl Demands {
    /// Demands after this crash, of a store that may trim its log as it likes.
    #[must_use]
    pub fn after(crash: Crash) -> Self {
        Demands { crash, retention: 0 }
    }

    /// Demands that a trimmed log still holds so many change sets.
    #[must_use]
    pub fn with_retention(mut self, change_sets: usize) -> Self {
        self.retention = change_sets;
        self
    }

    /// Whether an acknowledgement of this durability is safe from the crash.
    fn is_safe(&self, durability: Durability, capabilities: &Capabilities) -> bool {
        let strength = match durability {
            Durability::Buffered => capabilities.buffered,
            Durability::Durable => capabilities.durable,
        };
        match self.crash {
            Crash::Process => strength >= Strength::ProcessCrash,
            Crash::Power => strength >= Strength::PowerLoss,
            Crash::Disk => durability == Durability::Durable,
        }
    }
}

/// What a verification found to be as it must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The last write that is there; 0 if there is none since the last verification.
    pub survived: u64,
    /// Writes without an acknowledgement that are there.
    pub unacknowledged: u64,
    /// Acknowledged writes that are gone, as they may be.
    pub gone: u64,
    /// Visible entries.
    pub entries: u64,
    /// Change sets in the log.
    pub change_sets: u64,
    /// Watches that were resumed.
    pub watches: u64,
}

/// Compares everything in a store that was opened after a crash with what `journal` knows, and lets the journal begin at
/// what survived.
///
/// - Every acknowledged write that is [safe](Demands) is there, at its revision, unless a later one replaced it.
/// - Of the others a beginning is there, each of them whole.
/// - Nothing past its deadline is visible, to scans or point reads, and every deadline is the one that was asked for.
/// - The store takes a write, `journal.next()`, at a revision above all that were ever handed out.
/// - Watches that resume from revisions old and new, from lost ones too, get every change set after them once; one that
///   begins before the log is told so.
/// - The store's own [`check`](Backend::check) finds nothing.
///
/// The store must declare deadlines and watches, have been opened with `clock`, and hold nothing else in the
/// [partition](super::partition) of the workload.
///
/// # Errors
///
/// The first thing that is not as it must be. The journal is then of no more use.
pub async fn verify(
    store: &dyn Backend,
    clock: &ManualClock,
    journal: &mut Journal,
    demands: &Demands,
) -> Result<Report, Failure> {
    let probe = journal.next();
    let now = time_of(probe);
    clock.set(now);
    let damaged = |error| Failure::new(FailureKind::Damaged, format!("the check: {error:?}"));
    store.check(&|_| {}).await.map_err(damaged)?;
    let reopened = store.stats().await.map_err(unusable("asking for numbers"))?;
    let safe = safe(store.capabilities(), journal, demands);
    stands_high_enough(journal, safe, reopened.revision)?;
    let resume_points = [journal.highest, reopened.revision];
    journal.highest = reopened.revision;
    let probe_revision = write_probe(store, journal, probe).await?;
    let (floor, log) = read_log(store, probe_revision).await?;
    let safe = safe.map_or(0, |ack| ack.number);
    let aligned = align_log(journal, safe, &log, floor, now)?;
    let Aligned {
        mut model,
        survived,
        unacknowledged,
        gone,
    } = aligned;
    let held = Held {
        number: probe,
        changed_by: probe,
        revision: Some(probe_revision),
        deadline: None,
    };
    model.entries.insert(probe_key(), held);
    let entries = compare(store, journal.seed, &mut model, now).await?;
    let watches = resume(store, &log, floor, probe_revision, &resume_points).await?;
    keeps_enough(store, demands, &log, floor, probe_revision).await?;
    let report = Report {
        survived,
        unacknowledged,
        gone,
        entries,
        change_sets: log.len() as u64,
        watches,
    };
    let settled = Settled {
        model,
        revision: probe_revision,
        history: log,
    };
    journal.settle(settled, probe);
    Ok(report)
}

/// A log that was trimmed still reaches back as far as was asked for. It was read up to `probe`; what the sweeper
/// committed behind that is kept too, and may have had it trimmed once more.
async fn keeps_enough(
    store: &dyn Backend,
    demands: &Demands,
    log: &[ChangeSet],
    floor: Revision,
    probe: Revision,
) -> Result<(), Failure> {
    if floor == Revision::ZERO || log.len() >= demands.retention {
        return Ok(());
    }
    let now = store.stats().await.map_err(unusable("asking for numbers"))?;
    let behind = now.revision.get().saturating_sub(probe.get());
    if log.len() as u64 + behind >= demands.retention as u64 {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::Watch,
        format!(
            "the log was trimmed to {} change sets, but {} were to be kept",
            log.len(),
            demands.retention
        ),
    ))
}

/// The last acknowledgement of a write that must be there.
fn safe(capabilities: &Capabilities, journal: &Journal, demands: &Demands) -> Option<Ack> {
    let acknowledged = journal.writes().filter_map(|(_, ack)| ack);
    // A rejection syncs nothing.
    acknowledged
        .filter(|ack| ack.revision.is_some())
        .filter(|ack| ack.number <= journal.synced || demands.is_safe(ack.durability, capabilities))
        .last()
}

/// A store that goes on below a revision that was handed out gives it to somebody else.
fn stands_high_enough(journal: &Journal, safe: Option<Ack>, revision: Revision) -> Result<(), Failure> {
    if revision >= journal.highest {
        return Ok(());
    }
    let lost = safe.filter(|ack| ack.revision.is_some_and(|committed| committed > revision));
    Err(match lost {
        Some(ack) => Failure::new(
            FailureKind::Lost,
            format!(
                "write {} was acknowledged at {:?}, but the store stands at revision {revision}",
                ack.number, ack.revision
            ),
        ),
        None => Failure::new(
            FailureKind::Reused,
            format!(
                "the store stands at revision {revision}, but {} was handed out",
                journal.highest
            ),
        ),
    })
}

/// The write that shows that the reopened store takes writes, and gives them new revisions.
async fn write_probe(store: &dyn Backend, journal: &mut Journal, number: u64) -> Result<Revision, Failure> {
    let batch = WriteBatch::new()
        .put_with(
            probe_key(),
            value(journal.seed, number, &probe_key()),
            Expiry::Never,
        )
        .durability(Durability::Durable);
    let outcome = store
        .apply(batch)
        .await
        .map_err(unusable("writing after the crash"))?;
    let revision = outcome
        .committed()
        .map_err(unusable("writing without a condition"))?;
    journal.hand_out(revision, "the first write after the crash")?;
    Ok(revision)
}

/// The log from its beginning to `end`. A sweeper may trim it meanwhile; then it is read again.
async fn read_log(store: &dyn Backend, end: Revision) -> Result<(Revision, Vec<ChangeSet>), Failure> {
    for _ in 0..64 {
        let stats = store.stats().await.map_err(unusable("asking for numbers"))?;
        let floor = stats.oldest_revision;
        match feed(store, floor, end).await? {
            Fed::Sets(sets) => return Ok((floor, sets)),
            Fed::Compacted { oldest } if oldest > floor => {}
            Fed::Compacted { oldest } => {
                return Err(Failure::new(
                    FailureKind::Watch,
                    format!("the log begins after {floor}, but a watch from there is told {oldest}"),
                ));
            }
        }
    }
    Err(Failure::new(
        FailureKind::Watch,
        "the log never reached back to where the store says that it begins",
    ))
}

/// Holds the log against what was in it at the last verification, and what was written since.
fn align_log(
    journal: &Journal,
    safe: u64,
    log: &[ChangeSet],
    floor: Revision,
    now: Timestamp,
) -> Result<Aligned, Failure> {
    let settled = journal.settled.revision;
    let split = log.partition_point(|set| set.revision <= settled);
    let (old, new) = log.split_at(split);
    let kept = journal.settled.history.iter().filter(|set| set.revision > floor);
    if !old.iter().eq(kept) {
        return Err(Failure::new(
            FailureKind::Watch,
            format!("the log up to revision {settled} is not what it was before the crash"),
        ));
    }
    // The last one is the probe.
    let Some((last, new)) = new.split_last() else {
        return Err(Failure::new(
            FailureKind::Watch,
            "the log lacks the write that was just done",
        ));
    };
    let is_probe =
        matches!(&last.changes[..], [one] if one.key == probe_key() && one.kind == ChangeKind::Put);
    if !is_probe {
        return Err(Failure::new(
            FailureKind::Watch,
            format!("the log ends at revision {} with another write", last.revision),
        ));
    }
    let model = journal.settled.model.clone();
    align(model, journal.writes(), new, floor, safe, now)
}

/// Compares the entries with the model, and learns the revisions that were not known. Returns how many are visible.
async fn compare(store: &dyn Backend, seed: u64, model: &mut Model, now: Timestamp) -> Result<u64, Failure> {
    let scan = Scan::new(KeyRange::partition(&partition()));
    let items = store.collect(&scan).await.map_err(unusable("scanning"))?;
    let mut found: BTreeMap<Key, Entry> = BTreeMap::new();
    for item in items {
        let entry = item.entry.ok_or_else(|| {
            Failure::new(FailureKind::Unusable, "a scan with values gave a key without one")
        })?;
        if found.insert(item.key.clone(), entry).is_some() {
            return Err(Failure::new(
                FailureKind::Invented,
                format!("a scan gave {} twice", item.key),
            ));
        }
    }
    let entries = found.len() as u64;
    let present: BTreeSet<u64> = found
        .values()
        .filter_map(|entry| number_in(entry.value()))
        .collect();
    // Another key that the same write wrote tells that it was not lost as a whole.
    let gone = |number: u64| match present.contains(&number) {
        true => FailureKind::Half,
        false => FailureKind::Lost,
    };
    let mut learned: BTreeMap<u64, Revision> = BTreeMap::new();
    for (key, held) in &mut model.entries {
        let scanned = found.remove(key);
        let read = store.get(key).await.map_err(unusable("reading"))?;
        if read != scanned {
            return Err(Failure::new(
                FailureKind::Lost,
                format!("a point read of {key} does not find what a scan finds"),
            ));
        }
        match scanned {
            Some(entry) if held.is_visible(now) => {
                let gone = gone(held.number);
                fits(seed, key, held, &entry, &mut learned, gone)?;
            }
            Some(entry) => {
                return Err(Failure::new(
                    FailureKind::Expiry,
                    format!(
                        "{key} of write {} is visible with deadline {:?}, but expired at {:?}",
                        held.number,
                        entry.deadline(),
                        held.deadline
                    ),
                ));
            }
            None if held.is_visible(now) => {
                return Err(Failure::new(
                    gone(held.number),
                    format!("{key} of write {} is missing", held.number),
                ));
            }
            None => {}
        }
    }
    match found.into_iter().next() {
        None => Ok(entries),
        Some((key, entry)) => Err(Failure::new(
            FailureKind::Invented,
            format!(
                "{key} is there, of write {:?}, though it was deleted, had expired or was never written",
                number_in(entry.value())
            ),
        )),
    }
}

fn fits(
    seed: u64,
    key: &Key,
    held: &mut Held,
    entry: &Entry,
    learned: &mut BTreeMap<u64, Revision>,
    gone: FailureKind,
) -> Result<(), Failure> {
    let number = held.number;
    if entry.value() != value(seed, number, key) {
        let kind = match number_in(entry.value()) {
            Some(other) if other > number => FailureKind::Invented,
            Some(_) => gone,
            None => FailureKind::Damaged,
        };
        let other = number_in(entry.value());
        return Err(Failure::new(
            kind,
            format!("{key} is of write {other:?}, but write {number} was the last"),
        ));
    }
    let revision = *held
        .revision
        .get_or_insert_with(|| *learned.entry(held.changed_by).or_insert_with(|| entry.revision()));
    if entry.revision() != revision {
        return Err(Failure::new(
            FailureKind::Reused,
            format!(
                "{key} of write {number} is at revision {}, but committed at {revision}",
                entry.revision()
            ),
        ));
    }
    if entry.deadline() != held.deadline {
        return Err(Failure::new(
            FailureKind::Expiry,
            format!(
                "{key} of write {number} expires at {:?}, but was to at {:?}",
                entry.deadline(),
                held.deadline
            ),
        ));
    }
    Ok(())
}

/// Resumes watches from points old and new and compares what each gets with the whole log.
async fn resume(
    store: &dyn Backend,
    log: &[ChangeSet],
    floor: Revision,
    end: Revision,
    points: &[Revision],
) -> Result<u64, Failure> {
    let within = (1..4).filter_map(|part| log.get(log.len() * part / 4).map(|set| set.revision));
    let before = Revision::new(floor.get().saturating_sub(1));
    let points: Vec<Revision> = points.iter().copied().chain(within).chain([before]).collect();
    let mut watches = 0;
    for after in points {
        watches += 1;
        let wanted = log.iter().filter(|set| set.revision > after);
        match feed(store, after, end).await? {
            Fed::Sets(sets) if after >= floor && sets.iter().eq(wanted) => {}
            // The log may be trimmed on, as long as it says so.
            Fed::Compacted { oldest } if oldest > after => {
                let stats = store.stats().await.map_err(unusable("asking for numbers"))?;
                if oldest > stats.oldest_revision {
                    return Err(Failure::new(
                        FailureKind::Watch,
                        format!(
                            "a watch after {after} is told that the log begins after {oldest}, the store says {}",
                            stats.oldest_revision
                        ),
                    ));
                }
            }
            Fed::Compacted { oldest } => {
                return Err(Failure::new(
                    FailureKind::Watch,
                    format!("a watch after {after} is told that the log begins after {oldest}"),
                ));
            }
            Fed::Sets(sets) => {
                return Err(Failure::new(
                    FailureKind::Watch,
                    format!(
                        "a watch that resumed after {after} got {} change sets, but the log has others",
                        sets.len()
                    ),
                ));
            }
        }
    }
    Ok(watches)
}
