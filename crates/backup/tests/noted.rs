//! What the log says of backups that were verified.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use stead_backup::{BackupId, BackupType, RestorePoint, VerifyOptions};
use stead_core::Clock;
use support::{Bench, put};

/// The notes, the oldest first: which backup, and how closely it was looked at.
fn notes(bench: &Bench) -> Vec<(BackupId, String)> {
    let mut names: Vec<_> = std::fs::read_dir(bench.path().join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    let note = |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let (_, note) = text.split_once(r#""verified":{"id":""#)?;
        let (id, rest) = note.split_once('"')?;
        let depth = rest.split('"').nth(3)?;
        Some((id.parse().unwrap(), depth.to_owned()))
    };
    names.into_iter().filter_map(note).collect()
}

#[tokio::test]
async fn a_backup_is_noted_for_what_was_done_to_it_and_no_more() {
    let bench = Bench::new().await;
    put(&bench.store, "a", "k", "first").await;
    let full = bench.manager.create_backup(BackupType::Full).await.unwrap();
    put(&bench.store, "a", "k", "second").await;
    let increment = BackupType::IncrementalFromNewest;
    let newest = bench.manager.create_backup(increment.clone()).await.unwrap();
    let verified = bench.repository.verify(&VerifyOptions::default()).await.unwrap();
    assert_eq!(verified.ids, [full, newest]);
    // Nobody has looked at this one.
    put(&bench.store, "a", "k", "third").await;
    let later = bench.manager.create_backup(increment).await.unwrap();
    let clock: Arc<dyn Clock> = bench.clock.clone();
    let note = async |ids: &[BackupId], depth| {
        bench.repository.note_verified(ids, depth, &clock).await.unwrap();
        notes(&bench)
    };
    let bytes = |id| (id, "bytes".to_owned());
    assert_eq!(note(&verified.ids, "bytes").await, [bytes(full), bytes(newest)]);

    // What was only read before is noted again once it was restored; what it stands on was read again, and no more.
    let scratch = bench.empty();
    let point = RestorePoint::Backup(newest);
    let trial = bench.repository.trial(point, Some(&scratch), &*clock, None).await;
    bench
        .repository
        .note_trial(&trial.unwrap(), &clock)
        .await
        .unwrap();
    let wanted = [bytes(full), bytes(newest), (newest, "restore".to_owned())];
    assert_eq!(notes(&bench), wanted);
    assert_eq!(note(&[newest, full], "bytes").await, wanted);
    assert_eq!(note(&[newest], "restore").await, wanted);
    let listed = bench.repository.backups().await.unwrap();
    let known: Vec<bool> = listed.iter().map(|backup| backup.verified).collect();
    assert_eq!(known, [true, true, false]);

    // One that is not there any more is passed over.
    let gone: BackupId = "9-00000000".parse().unwrap();
    let noted = note(&[gone, later], "bytes").await;
    assert_eq!(noted.last(), Some(&bytes(later)));
    assert_eq!(noted.len(), 4);
}
