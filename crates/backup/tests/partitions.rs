//! Increments of a store that orders its revisions within partitions only: a Redis Cluster.

#[path = "support/partitions.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_backup::{
    BackupKind, BackupType, CreateOptions, RestoreOptions, RestorePoint, VerifyDepth, VerifyOptions,
};
use stead_core::{Backend, ErrorKind, Key, Partition, Timestamp, WriteBatch};
use stead_memory::{MemoryBackend, MemoryOptions};
use support::{Entries, Life, entries, key};

/// Without revisions.
fn values(entries: &Entries) -> BTreeMap<&Key, (&[u8], Option<Timestamp>)> {
    let values = entries
        .iter()
        .map(|(key, entry)| (key, (entry.value(), entry.deadline())));
    values.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_increments_within_partitions_gives_each_of_its_states() {
    let life = Life::tell().await;
    let kinds: Vec<_> = life.states.iter().map(|(made, _)| made.kind).collect();
    let increment = BackupKind::Incremental;
    assert_eq!(
        kinds,
        [
            BackupKind::Full,
            increment,
            increment,
            increment,
            BackupKind::Differential
        ]
    );
    let counts: Vec<_> = life
        .states
        .iter()
        .map(|(made, _)| (made.counts.entries, made.counts.deleted))
        .collect();
    assert_eq!(counts[..3], [(1002, 0), (4, 26), (0, 0)]);
    assert_eq!(counts[3], (2, 2));
    assert_eq!(
        counts[4],
        (4, 26),
        "what came and went in between is in no differential"
    );

    let repository = life.manager.repository();
    for depth in [VerifyDepth::Structure, VerifyDepth::Bytes] {
        let report = repository.verify(&VerifyOptions::new(depth)).await.unwrap();
        assert_eq!((report.backups, report.unused_chunks), (5, 0));
    }
    let other = format!("{}?prefix=other", life.cluster.url());
    let other = stead_redis::open_url(other.parse().unwrap()).await.unwrap();
    let mut options = RestoreOptions::new(RestorePoint::Latest);
    for (made, state) in &life.states {
        options.point = RestorePoint::Backup(made.id);
        let clock = life.clock.clone();
        let target: Arc<dyn Backend> =
            Arc::new(MemoryBackend::new(MemoryOptions::default().with_clock(clock)));
        repository.restore(&target, &options, &*life.clock).await.unwrap();
        let mut wanted = values(state);
        wanted.retain(|key, _| key.path() != b"soon");
        assert_eq!(values(&entries(&*target).await), wanted, "{}", made.id);
    }
    repository.restore(&other, &options, &*life.clock).await.unwrap();
    assert_eq!(values(&entries(&*other).await), values(&life.states[4].1));
    let highest = life.states.iter().map(|(made, _)| made.revision).max().unwrap();
    let view = other.snapshot().await.unwrap();
    assert!(view.revision(&Partition::new("p00").unwrap()) > highest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revisions_of_partitions_name_no_state_of_the_store() {
    let mut life = Life::begin().await;
    life.apply(WriteBatch::new().put(key("a", "k"), "1")).await;
    let full = life.backup(BackupType::Full).await;
    let target: Arc<dyn Backend> = Arc::new(MemoryBackend::default());
    let options = RestoreOptions::new(RestorePoint::Revision(full.revision));
    let refused = life
        .manager
        .repository()
        .restore(&target, &options, &*life.clock)
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.message().contains("within partitions"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_whose_log_is_gone_forces_a_full_backup() {
    let mut life = Life::begin().await;
    life.apply(WriteBatch::new().put(key("a", "k"), "1").put(key("a", "l"), "1"))
        .await;
    life.backup(BackupType::Full).await;
    life.apply(WriteBatch::new().put(key("a", "k"), "2")).await;
    // Raising revisions ends the log.
    let beyond = life.store.stats().await.unwrap().revision.get() + (1 << 20);
    life.apply(
        WriteBatch::new()
            .put(key("a", "k"), "3")
            .raise_to(stead_core::Revision::new(beyond)),
    )
    .await;
    let made = life
        .manager
        .create(&CreateOptions::new(BackupType::IncrementalFromNewest))
        .await
        .unwrap();
    assert_eq!((made.kind, made.counts.entries), (BackupKind::Full, 2));
    assert!(made.forced.unwrap().contains("does not reach back"));
}
