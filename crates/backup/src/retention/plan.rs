//! From a policy to what becomes of each backup.

use std::collections::{HashMap, HashSet};

use stead_core::{Error, Result, Timestamp};

use super::age::{Pauses, ages};
use super::contents::Contents;
use super::picks::Backups;
use super::policy::RetentionPolicy;
use super::reason::Reason;

/// What a decision on a backup looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its sequence number in the repository. What was made later has a higher one, whatever the clock said.
    pub id: u64,
    /// When it was made, by the clock of who made it.
    pub created: Timestamp,
    /// The backup that it is built on; none of a full one.
    pub parent: Option<u64>,
    /// Its tags.
    pub tags: Vec<String>,
    /// How many bytes it added to the repository when it was made.
    pub stored_bytes: u64,
    /// Whether it was verified and found whole.
    pub verified: bool,
    /// Whether it is a full one.
    pub full: bool,
}

/// What becomes of a backup, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The sequence number.
    pub id: u64,
    /// Why it is kept. Empty when it is forgotten.
    pub reasons: Vec<Reason>,
}

impl Decision {
    /// Whether the backup is kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !self.reasons.is_empty()
    }
}

/// What becomes of all backups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionPlan {
    /// One for each candidate, in their order.
    pub decisions: Vec<Decision>,
}

impl RetentionPlan {
    /// The sequence numbers of those that are forgotten, in the order of the candidates.
    pub fn forgotten(&self) -> impl Iterator<Item = u64> {
        self.decisions
            .iter()
            .filter(|one| !one.is_kept())
            .map(|one| one.id)
    }
}

/// Decides which of `candidates` are kept.
///
/// `candidates` are all backups of the repository, in any order. Kept is what `policy` picks, and whatever it picks:
///
/// - all that a kept backup is built on;
/// - the last full backup that was verified, or the last full one where none was;
/// - a backup from the future of `now`. It takes no place of another: `last: 3` keeps three beside it.
///
/// Nothing is forgotten because time passed: see [`Pauses`]. Deciding again over what was kept keeps all of it; only
/// below an `AllOf` can a pause that was doubted count when those around it are gone.
///
/// ```
/// use stead_backup::{Candidate, Pauses, RetentionPolicy, plan_retention};
/// use stead_core::Timestamp;
///
/// let hour = 3_600_000;
/// let candidates: Vec<Candidate> = (1..=4)
///     .map(|id| Candidate {
///         id,
///         created: Timestamp::from_millis(id * hour),
///         parent: (id == 4).then_some(2),
///         tags: Vec::new(),
///         stored_bytes: 1_000,
///         verified: true,
///         full: id != 4,
///     })
///     .collect();
/// let policy = RetentionPolicy::CountBasedPolicy { max_backups: 1 };
/// let plan = plan_retention(&policy, &candidates, Timestamp::from_millis(5 * hour), Pauses::Doubt)?;
/// assert_eq!(plan.forgotten().collect::<Vec<_>>(), [1]);
/// let why: Vec<String> = plan.decisions.iter().flat_map(|one| &one.reasons).map(ToString::to_string).collect();
/// assert_eq!(why, ["ancestor of 4", "last verified full", "last"]);
/// # Ok::<(), stead_core::Error>(())
/// ```
///
/// # Errors
///
/// `Invalid` for a policy that [`RetentionPolicy::check`] refuses, and for two candidates with one sequence number.
pub fn plan_retention(
    policy: &RetentionPolicy,
    candidates: &[Candidate],
    now: Timestamp,
    pauses: Pauses,
) -> Result<RetentionPlan> {
    plan_with(policy, candidates, &Contents::default(), now, pauses)
}

/// As [`plan_retention`], where it is known which chunks the candidates share.
pub(crate) fn plan_with(
    policy: &RetentionPolicy,
    candidates: &[Candidate],
    contents: &Contents,
    now: Timestamp,
    pauses: Pauses,
) -> Result<RetentionPlan> {
    policy.check()?;
    let mut newest_first: Vec<&Candidate> = candidates.iter().collect();
    newest_first.sort_by_key(|one| std::cmp::Reverse(one.id));
    if let Some(pair) = newest_first.windows(2).find(|pair| pair[0].id == pair[1].id) {
        return Err(Error::invalid("two backups have the same sequence number").with("sequence", pair[0].id));
    }
    let lineage = Lineage::of(candidates);
    let mut kept = Kept::default();
    for one in newest_first.iter().filter(|one| one.created > now) {
        kept.add(one.id, Reason::Future);
    }
    if let Some((last, reason)) = last_full(&newest_first) {
        kept.add(last.id, reason);
    }
    let present: Vec<&Candidate> = newest_first
        .iter()
        .copied()
        .filter(|one| one.created <= now)
        .collect();
    let backups = Backups {
        ages: ages(&present, pauses),
        newest_first: &present,
        lineage: &lineage,
        contents,
        kept_anyway: kept.reasons.keys().copied().collect(),
    };
    let picks = policy.pick(&backups);
    for (one, reasons) in present.iter().zip(picks.into_reasons()) {
        for reason in reasons {
            kept.add(one.id, reason);
        }
    }
    kept.add_ancestors(&newest_first, &lineage);
    let decisions = candidates.iter().map(|one| Decision {
        id: one.id,
        reasons: kept.reasons.remove(&one.id).unwrap_or_default(),
    });
    Ok(RetentionPlan {
        decisions: decisions.collect(),
    })
}

/// The full backup that is never forgotten.
fn last_full<'a>(newest_first: &[&'a Candidate]) -> Option<(&'a Candidate, Reason)> {
    let mut full = newest_first.iter().copied().filter(|one| one.full);
    let verified = full.clone().find(|one| one.verified);
    match verified {
        Some(last) => Some((last, Reason::LastVerifiedFull)),
        None => full.next().map(|last| (last, Reason::LastFull)),
    }
}

/// Why each backup is kept, by its sequence number.
#[derive(Default)]
struct Kept {
    reasons: HashMap<u64, Vec<Reason>>,
}

impl Kept {
    fn add(&mut self, id: u64, reason: Reason) {
        let reasons = self.reasons.entry(id).or_default();
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }

    fn add_ancestors(&mut self, newest_first: &[&Candidate], lineage: &Lineage<'_>) {
        let mut reached = HashSet::new();
        for one in newest_first {
            if self.reasons.contains_key(&one.id) {
                for ancestor in lineage.up_from(one).skip(1) {
                    if !reached.insert(ancestor.id) {
                        // Those above it were reached, too.
                        break;
                    }
                    self.add(ancestor.id, Reason::AncestorOf(one.id));
                }
            }
        }
    }
}

/// Who is built on whom.
pub(super) struct Lineage<'a>(HashMap<u64, &'a Candidate>);

impl<'a> Lineage<'a> {
    fn of(candidates: &'a [Candidate]) -> Self {
        Lineage(candidates.iter().map(|one| (one.id, one)).collect())
    }

    /// A backup and those that it is built on, as far as they are there. What is built on itself comes round once.
    pub(super) fn up_from(&self, one: &'a Candidate) -> impl Iterator<Item = &'a Candidate> {
        let above = |one: &&'a Candidate| one.parent.and_then(|parent| self.0.get(&parent).copied());
        std::iter::successors(Some(one), above).take(self.0.len())
    }

    /// A backup and those that it is built on, but for those of `reached`, which they join.
    pub(super) fn newly_reached(
        &self,
        id: u64,
        reached: &mut HashSet<u64>,
    ) -> impl Iterator<Item = &'a Candidate> {
        let one = self.0.get(&id).copied();
        let above = one.into_iter().flat_map(|one| self.up_from(one));
        above.take_while(|above| reached.insert(above.id))
    }
}
