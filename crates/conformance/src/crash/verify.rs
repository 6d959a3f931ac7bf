//! Comparing what is there with what must be.

use stead_core::{Backend, Capabilities, Durability, Expiry, ManualClock, Revision, WriteBatch};

use super::align::Aligned;
use super::changes::{align_log, keeps_enough, read_log, resume};
use super::entries::compare;
use super::failure::{Failure, FailureKind, unusable};
use super::journal::Settled;
use super::model::Held;
use super::write::{probe_key, time_of, value};
use super::{Ack, Demands, Journal};

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
    stands_high_enough(safe, reopened.revision)?;
    let resume_points = [journal.highest, reopened.revision];
    // A store may stand below what it handed out and lost, as long as it goes on above.
    journal.highest = journal.highest.max(reopened.revision);
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

/// The last acknowledgement of a write that must be there.
fn safe(capabilities: &Capabilities, journal: &Journal, demands: &Demands) -> Option<Ack> {
    let acknowledged = journal.writes().filter_map(|(_, ack)| ack);
    // A rejection syncs nothing.
    acknowledged
        .filter(|ack| ack.revision.is_some())
        .filter(|ack| ack.number <= journal.synced || demands.is_safe(ack.durability, capabilities))
        .last()
}

/// A store that stands below a revision that is safe lost it.
fn stands_high_enough(safe: Option<Ack>, revision: Revision) -> Result<(), Failure> {
    match safe {
        Some(ack) if ack.revision.is_some_and(|committed| committed > revision) => Err(Failure::new(
            FailureKind::Lost,
            format!(
                "write {} was acknowledged at {:?}, but the store stands at revision {revision}",
                ack.number, ack.revision
            ),
        )),
        _ => Ok(()),
    }
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
