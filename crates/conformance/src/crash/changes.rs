//! Comparing the change log, and what watches get of it, with what must be there.

use stead_core::{Backend, ChangeKind, ChangeSet, Revision, Timestamp};

use super::align::{Aligned, align};
use super::failure::{Failure, FailureKind, unusable};
use super::feed::{Fed, feed};
use super::write::probe_key;
use super::{Demands, Journal};

/// The log from its beginning to `end`. A sweeper may trim it meanwhile; then it is read again.
pub(super) async fn read_log(
    store: &dyn Backend,
    end: Revision,
) -> Result<(Revision, Vec<ChangeSet>), Failure> {
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
pub(super) fn align_log(
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

/// Resumes watches from points old and new and compares what each gets with the whole log.
pub(super) async fn resume(
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

/// A log that was trimmed still reaches back as far as was asked for. It was read up to `probe`; what the sweeper
/// committed behind that is kept too, and may have had it trimmed once more.
pub(super) async fn keeps_enough(
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
