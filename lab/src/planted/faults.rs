//! What is planted, and which test is asked first.

/// A defect that `--cfg stead_planted` compiles into the embedded kit.
pub(crate) struct Fault {
    /// What `STEAD_PLANTED` calls it.
    pub(crate) name: &'static str,
    /// What goes wrong.
    pub(crate) what: &'static str,
    /// The test that is asked first: its target and its name.
    pub(crate) test: (&'static str, &'static str),
    /// The groups of the conformance suite that ought to notice, if any can.
    pub(crate) suite: &'static [&'static str],
}

const fn fault(
    name: &'static str,
    what: &'static str,
    test: (&'static str, &'static str),
    suite: &'static [&'static str],
) -> Fault {
    Fault {
        name,
        what,
        test,
        suite,
    }
}

/// All of them, by what they are about.
pub(crate) const FAULTS: &[Fault] = &[
    // Durability.
    fault(
        "fsync-skipped",
        "a durable commit is written but not synced",
        ("crash", "crash_takes_buffered_writes_but_never_a_revision_twice"),
        &[],
    ),
    fault(
        "acknowledged-early",
        "those who wait are answered before the commit",
        ("failures", "full_disk_is_full_and_then_poisoned"),
        &["concurrency"],
    ),
    fault(
        "publish-early",
        "watchers are told before the commit is durable",
        ("watching", "watcher_hears_nothing_of_a_commit_whose_sync_hangs"),
        &["watchers"],
    ),
    fault(
        "poison-forgotten",
        "a failed write leaves the store open for writing",
        ("failures", "failed_buffered_commit_poisons_too"),
        &[],
    ),
    fault(
        "write-retried",
        "a failed commit is tried again as if nothing had happened",
        ("failures", "failed_buffered_commit_poisons_too"),
        &[],
    ),
    fault(
        "dirt-forgotten",
        "a buffered commit counts as synced",
        ("group_commit", "sync_makes_buffered_writes_durable"),
        &[],
    ),
    fault(
        "repeat-unsynced",
        "a durable repeat of a buffered request is answered without a sync",
        ("requests", "durable_repeat_of_a_buffered_request_is_durable"),
        &[],
    ),
    // Closing, and the queue.
    fault(
        "close-unsynced",
        "the last commit of a close is not synced",
        ("crash", "clean_close_keeps_everything_and_skips_no_revision"),
        &[],
    ),
    fault(
        "close-drops-queue",
        "a close refuses what still waits",
        ("closing", "close_finishes_what_waits_and_frees_the_path"),
        &[],
    ),
    fault(
        "queue-overtaken",
        "a buffered write overtakes what waits in the queue",
        (
            "group_commit",
            "buffered_writer_does_not_overtake_what_the_thread_has_not_taken_up_yet",
        ),
        &[],
    ),
    // Revisions.
    fault(
        "revision-reused",
        "reopening after a crash goes on behind the last revision that was kept",
        ("crash", "crash_takes_buffered_writes_but_never_a_revision_twice"),
        &[],
    ),
    fault(
        "reserve-ignored",
        "revisions beyond the reserve are handed out without a sync",
        ("crash", "revision_beyond_the_reserve_is_never_handed_out_twice"),
        &[],
    ),
    // Deadlines.
    fault(
        "deadline-unindexed",
        "an entry's deadline is not put into the index",
        ("checking", "check_reads_everything_and_tells_progress"),
        &["sweeping"],
    ),
    fault(
        "old-deadline-kept",
        "a renewed entry keeps its old deadline in the index",
        ("expiry", "renewed_entry_survives_the_sweep"),
        &["oracles"],
    ),
    fault(
        "sweep-blind",
        "the sweeper goes by the index alone",
        ("expiry", "stale_index_of_deadlines_costs_no_entry_its_life"),
        &[],
    ),
    fault(
        "sweep-untold",
        "what the sweeper removes is not in the change log",
        ("expiry", "sweep_is_one_event_of_all_that_it_removed"),
        &["sweeping", "watchers"],
    ),
    fault(
        "expired-present",
        "an entry past its deadline is there for preconditions",
        (
            "expiry",
            "expired_entry_is_missing_to_preconditions_until_it_is_swept",
        ),
        &["expiry"],
    ),
    fault(
        "expired-shown",
        "scans of the store and of snapshots show what is past its deadline",
        ("expiry", "expired_entries_are_removed_once_with_their_index"),
        &["expiry"],
    ),
    // The change log.
    fault(
        "last-change-dropped",
        "the last change of a batch is not in the change log",
        ("watching", "batch_of_many_keys_is_one_event"),
        &["watching"],
    ),
    fault(
        "batch-split",
        "a batch reaches watchers in two parts",
        ("watching", "batch_of_many_keys_is_one_event"),
        &["watching"],
    ),
    fault(
        "trimmed-too-far",
        "trimming the change log takes one change set more than it may",
        ("watching", "trimmed_log_says_compacted_and_a_slow_watcher_lagged"),
        &["change_log"],
    ),
    fault(
        "compaction-untold",
        "a watch from before the log begins skips what is gone in silence",
        ("watching", "trimmed_log_says_compacted_and_a_slow_watcher_lagged"),
        &["change_log"],
    ),
    fault(
        "ring-gap-untold",
        "a watcher that falls behind the change sets in memory skips to them",
        (
            "watching",
            "watch_resumes_exactly_from_memory_and_from_the_engine",
        ),
        &[],
    ),
    fault(
        "lag-untold",
        "a watcher that was too slow is told that it began too early",
        ("watching", "trimmed_log_says_compacted_and_a_slow_watcher_lagged"),
        &["change_log"],
    ),
    // Batches.
    fault(
        "batch-halved",
        "a batch with an impossible mutation is committed up to it",
        (
            "failures",
            "failure_of_one_batch_leaves_the_others_of_its_commit_alone",
        ),
        &["batches", "deadlines"],
    ),
    fault(
        "recent-unrenewed",
        "what is remembered of an entry stays as it was when the entry is written again",
        ("recent", "precondition_is_judged_by_the_newest_write_of_the_key"),
        &["preconditions", "oracles"],
    ),
    fault(
        "recent-unswept",
        "an entry that the sweeper removed is still remembered",
        ("recent", "entry_that_was_swept_counts_no_longer"),
        &["sweeping"],
    ),
    fault(
        "judged-by-view",
        "a batch is judged without those before it in the same commit",
        ("group_commit", "batches_of_one_commit_see_each_other"),
        &["concurrency"],
    ),
    // Request ids.
    fault(
        "request-forgotten",
        "request ids are not remembered",
        (
            "requests",
            "repeated_request_gets_its_first_outcome_and_writes_once",
        ),
        &["requests"],
    ),
    fault(
        "request-unread",
        "another batch with a known request id gets the first one's outcome",
        (
            "requests",
            "repeated_request_gets_its_first_outcome_and_writes_once",
        ),
        &["requests"],
    ),
    fault(
        "requests-lost",
        "request ids are forgotten when the store is opened",
        ("requests", "rejection_is_remembered_too"),
        &["requests", "restart"],
    ),
    // Counters.
    fault(
        "overwrite-counted",
        "an overwritten entry is counted once more",
        ("expiry", "renewed_entry_survives_the_sweep"),
        &["closing"],
    ),
];
