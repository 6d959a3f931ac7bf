//! The ways in which a reference store can be made wrong.

use std::fmt;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $fault:ident,)+) => {
        /// One way to be wrong, each seen in a real store.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[doc = $doc])+ $fault,)+
        }

        impl Fault {
            /// Every fault.
            pub const ALL: &'static [Fault] = &[$(Fault::$fault),+];
        }
    };
}

faults! {
    /// Preconditions are judged against the state before the newest commit.
    PreconditionsJudgedOnStaleState,
    /// Preconditions are judged first and the mutations applied later, without a lock between.
    PreconditionsJudgedTooEarly,
    /// A precondition on a key that the batch does not write is ignored, so that write skew passes.
    ReadOnlyPreconditionsIgnored,
    /// Any visible entry satisfies a precondition on a revision, which loses updates.
    AnyRevisionAccepted,
    /// Range preconditions are ignored, so that phantoms pass.
    RangePreconditionsIgnored,
    /// A conflict does not tell the revision that was found.
    ConflictHidesRevision,
    /// Every fourth point read is answered from the state before the newest commit.
    StaleRead,
    /// Others see the first half of a batch before the second.
    BatchVisibleInHalves,
    /// The second half of a batch has a revision of its own.
    BatchOfTwoRevisions,
    /// A rejected batch leaves its first mutation behind.
    RejectedBatchLeavesHalf,
    /// A batch is seen while it is judged, and taken back when it is rejected.
    DirtyRead,
    /// Mutations of a batch are applied last to first.
    BatchAppliedBackwards,
    /// Every third commit has the revision of the one before.
    RevisionReused,
    /// A key that was deleted and written again gets the revision that it had.
    RevisionReusedAfterRecreate,
    /// After a restart the revisions go on behind the newest living entry, not behind the newest commit.
    RevisionReusedAfterReopen,
    /// The sweeper's batch has the revision of the commit before.
    RevisionReusedBySweeper,
    /// A batch does not commit behind the revision that it is to be raised to.
    RaiseIgnored,
    /// Revisions are raised, and watches from before go on as if nothing was in between.
    RaiseUntold,
    /// Writing the value that is there already gives no new revision.
    SameValueKeepsRevision,
    /// A point read sees entries past their deadline.
    ExpiredVisibleToGet,
    /// A bulk read sees entries past their deadline.
    ExpiredVisibleToGetMany,
    /// A scan sees entries past their deadline.
    ExpiredVisibleToScan,
    /// Preconditions on keys see entries past their deadline.
    ExpiredVisibleToPreconditions,
    /// Range preconditions count entries past their deadline.
    ExpiredCounted,
    /// Snapshots see entries past their deadline.
    ExpiredVisibleToSnapshot,
    /// An entry is still visible in the instant of its deadline.
    DeadlineOneTooLate,
    /// A touch brings an entry past its deadline back.
    TouchRevivesExpired,
    /// A touch empties the value.
    TouchLosesValue,
    /// A touch changes the deadline but gives no new revision.
    TouchKeepsRevision,
    /// Overwriting without a deadline keeps the old one.
    OverwriteKeepsDeadline,
    /// Overwriting with [`Expiry::Keep`](stead_core::Expiry::Keep) drops the deadline.
    KeepDropsDeadline,
    /// A lifetime beyond the end of time is cut down in silence.
    EndlessTtlAccepted,
    /// Deadlines are gone after a restart.
    DeadlineLostAtReopen,
    /// The sweeper trusts the deadline that an entry once had.
    SweeperKillsRenewed,
    /// The sweeper reports every expired entry twice.
    ExpiredChangeTwice,
    /// The sweeper removes entries without a change.
    ExpiredChangeMissing,
    /// Every third change set is never delivered.
    WatchSkipsChanges,
    /// Each change of a batch is delivered as an event of its own.
    WatchSplitsBatch,
    /// Change sets that are read together are delivered newest first.
    WatchReorders,
    /// A watch after a revision delivers that revision once more.
    WatchResumesTooEarly,
    /// A watch after a revision leaves out the next commit.
    WatchResumesTooLate,
    /// A watch delivers changes outside its range.
    WatchIgnoresRange,
    /// A rejected batch is delivered to watches.
    WatchShowsRejected,
    /// A watch that begins before the log goes on with what is there.
    CompactedNotSignalled,
    /// A watch that falls behind the log goes on with what is there.
    LagNotSignalled,
    /// The change log is empty after a restart, and watches that resume are not told.
    LogLostAtReopen,
    /// A watch ahead of the store waits for ever.
    WatchAheadAccepted,
    /// A delete behind other mutations of its batch does nothing.
    DeleteDropped,
    /// Deleted entries are back after a restart.
    DeletedBackAfterReopen,
    /// A scan leaves out the first entry of its second page.
    ScanSkipsAtPageBoundary,
    /// A scan gives the last entry of its first page again.
    ScanRepeatsAtPageBoundary,
    /// A scan finds its next page by counting, so that deletes between pages make it skip.
    ScanPagesByOffset,
    /// A scan's limit counts for each page by itself.
    ScanLimitPerPage,
    /// A reverse scan leaves out the lowest key of its range.
    ReverseScanLosesStart,
    /// A scan of partition `agent:1` finds `agent:10` too.
    PartitionMatchesNeighbour,
    /// Keys that differ only in case are the same key.
    KeysIgnoreCase,
    /// A snapshot sees later commits.
    SnapshotNotStable,
    /// A snapshot lacks the last mutation of the newest batch.
    SnapshotOfHalfBatch,
    /// Each key of a bulk read is read at another instant.
    GetManyNotOfOneInstant,
    /// A bulk read leaves out the keys that are missing.
    GetManyDropsMissing,
    /// The same request is applied again.
    RequestIdIgnored,
    /// A request id that was used for another batch gives that batch's outcome.
    RequestIdAcceptsOtherBatch,
    /// Only committed requests are remembered.
    RejectedRequestForgotten,
    /// Requests are forgotten at a restart.
    RequestsForgottenAtReopen,
    /// A value that is too large is cut to the limit.
    ValueTruncated,
    /// An entry with an empty value is missing.
    EmptyValueIsMissing,
    /// A read that fails answers that there is nothing.
    ErrorBecomesMissing,
    /// A closed store still takes writes.
    ClosedStillWrites,
    /// What is not declared is tried all the same.
    UndeclaredAccepted,
    /// Deleted entries still count in the statistics.
    StatsCountDeleted,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Which fault is planted, consulted at the points where the code could go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults(Option<Fault>);

impl Faults {
    pub(super) fn planted(fault: Fault) -> Self {
        Faults(Some(fault))
    }

    pub(super) fn has(self, fault: Fault) -> bool {
        self.0 == Some(fault)
    }
}
