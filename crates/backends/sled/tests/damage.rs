//! Damaged files are told, and what a crash leaves is found.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;

use futures_executor::block_on;
use stead_core::{
    Backend, BackendExt, Error, ErrorKind, KeyRange, Random, ReadExt, Revision, Scan, SeededRandom,
};
use support::*;

fn data(path: &Path) -> std::path::PathBuf {
    path.join("state.sled")
}

#[test]
fn copy_of_a_store_in_use_holds_every_durable_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open(&path).unwrap();
    let mut last = Revision::ZERO;
    for n in 0..20 {
        last = block_on(store.put(nth(n), vec![1; 1000 * n])).unwrap();
        let place = dir.path().join(format!("copy{n}"));
        copy(&path, &place);
        let copied = open(&place).unwrap();
        assert_eq!(block_on(copied.count(&KeyRange::all())).unwrap(), n as u64 + 1);
        block_on(copied.check(&|_| {})).unwrap();
        let next = block_on(copied.put(key("next"), "v")).unwrap();
        assert!(next > last.next(), "no revision comes twice");
    }
    assert_eq!(last, Revision::new(20));
}

#[test]
fn copies_under_load_hold_whole_batches_and_every_durable_one() {
    const BATCH: usize = 50;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open(&path).unwrap();
    let acknowledged = std::sync::atomic::AtomicUsize::new(0);
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0.. {
                let batch = (0..BATCH).fold(stead_core::WriteBatch::new(), |batch, n| {
                    batch.put(nth(n), format!("{round:0200}"))
                });
                assert!(block_on(store.apply(batch)).unwrap().is_committed());
                acknowledged.store(round + 1, std::sync::atomic::Ordering::SeqCst);
                if over.load(std::sync::atomic::Ordering::SeqCst) {
                    return;
                }
            }
        });
        for n in 0..10 {
            let place = dir.path().join(format!("copy{n}"));
            while acknowledged.load(std::sync::atomic::Ordering::SeqCst) <= 20 * n && !writer.is_finished() {
                std::thread::yield_now();
            }
            let before = acknowledged.load(std::sync::atomic::Ordering::SeqCst);
            copy(&path, &place);
            // A copy that takes its time is no image of one instant: sled may have written meanwhile what it copied
            // before. It is told, then, and never taken for a store.
            let copied = match open(&place) {
                Ok(copied) => copied,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                    continue;
                }
            };
            let items = block_on(copied.collect(&Scan::new(KeyRange::all()))).unwrap();
            assert_eq!(items.len(), BATCH);
            let rounds: Vec<usize> = items
                .iter()
                .map(|item| {
                    std::str::from_utf8(item.entry.as_ref().unwrap().value())
                        .unwrap()
                        .parse()
                        .unwrap()
                })
                .collect();
            assert!(rounds.iter().all(|round| *round == rounds[0]), "half a batch");
            assert!(rounds[0] + 1 >= before, "{} of {before}", rounds[0] + 1);
            block_on(copied.check(&|_| {})).unwrap();
        }
        over.store(true, std::sync::atomic::Ordering::SeqCst);
    });
}

#[test]
fn garbage_is_refused_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let random = SeededRandom::new(3);
    let bytes: Vec<u8> = (0..500_000)
        .flat_map(|_| random.next_u64().to_le_bytes())
        .collect();
    for (n, content) in [bytes, vec![0; 4 << 20], b"text".to_vec()]
        .into_iter()
        .enumerate()
    {
        let path = dir.path().join(format!("store{n}"));
        filled(&path, 10);
        fs::write(data(&path).join("db"), &content).unwrap();
        for _ in 0..2 {
            refused(&path, ErrorKind::Corrupt);
        }
    }
}

#[test]
fn log_that_is_too_short_is_refused_at_every_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 2000);
    let log = data(&path).join("db");
    let whole = fs::read(&log).unwrap();
    for length in [0, 1, 9, 100, 4095, 5000, whole.len() / 2, whole.len() - 1] {
        fs::write(&log, &whole[..length]).unwrap();
        assert!(
            refused(&path, ErrorKind::Corrupt).contains("db"),
            "length {length}"
        );
    }
    fs::remove_file(&log).unwrap();
    assert!(refused(&path, ErrorKind::Corrupt).contains("missing or too short"));
    fs::write(&log, &whole).unwrap();
    let count = block_on(open(&path).unwrap().count(&KeyRange::all())).unwrap();
    assert_eq!(count, 2000);
}

#[test]
fn lost_files_are_missed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 100);
    let snapshot = snapshot(&data(&path));
    fs::remove_file(data(&path).join(&snapshot)).unwrap();
    assert!(refused(&path, ErrorKind::Corrupt).contains(&snapshot));
    fs::remove_dir_all(data(&path)).unwrap();
    assert!(refused(&path, ErrorKind::Corrupt).contains("missing or empty"));
    fs::create_dir(data(&path)).unwrap();
    refused(&path, ErrorKind::Corrupt);
}

#[test]
fn lost_ledger_costs_a_full_look() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 100);
    fs::remove_file(data(&path).join("LEDGER")).unwrap();
    let store = open(&path).unwrap();
    assert_eq!(block_on(store.count(&KeyRange::all())).unwrap(), 100);
    drop(store);
    assert!(data(&path).join("LEDGER").exists());
}

#[test]
fn snapshot_that_a_crash_cut_short_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 100);
    let unfinished = data(&path).join("snap.7FFFFFFFFFFFFFFF.generating");
    fs::write(&unfinished, "half of it").unwrap();
    let store = open(&path).unwrap();
    assert!(!unfinished.exists());
    assert_eq!(block_on(store.count(&KeyRange::all())).unwrap(), 100);
}

/// What becomes of stores that have one bit flipped, anywhere in these files.
fn flip_bits(template: &Path, files: &[String], rounds: usize, mut judge: impl FnMut(&Path)) {
    let random = SeededRandom::new(11);
    let below = |bound: usize| usize::try_from(random.next_u64() % bound as u64).unwrap();
    for round in 0..rounds {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        copy(template, &path);
        let file = data(&path).join(&files[round % files.len()]);
        let mut bytes = fs::read(&file).unwrap();
        // What sled fills up holds no information.
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        bytes[used[below(used.len())]] ^= 1 << below(8);
        fs::write(&file, bytes).unwrap();
        judge(&path);
    }
}

fn read_all(path: &Path) -> Result<usize, Error> {
    let store = open(path)?;
    let items = block_on(store.collect(&Scan::new(KeyRange::all())))?;
    assert!(
        items
            .iter()
            .all(|item| item.entry.as_ref().unwrap().value() == [b'x'; 100])
    );
    for (n, item) in items.iter().enumerate() {
        assert_eq!(item.key, nth(n), "what is there is what was written first");
    }
    block_on(store.check(&|_| {}))?;
    block_on(store.close())?;
    Ok(items.len())
}

#[test]
fn flipped_bits_of_a_closed_store_are_told_or_do_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 500);
    let snapshot = snapshot(&data(&path));
    let files = ["db", &snapshot, "db", "conf", "db", "LEDGER"].map(str::to_owned);
    let mut told = 0;
    flip_bits(&path, &files, 150, |path| match read_all(path) {
        Ok(entries) => assert_eq!(entries, 500, "entries were lost in silence"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
            told += 1;
        }
    });
    assert!(
        told > 20,
        "most of the files matters, and yet only {told} were told"
    );
}

#[test]
fn flipped_bits_after_a_crash_lose_nothing_durable_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 100);
    let store = open(&path).unwrap();
    fill(&store, 500, 5);
    let crashed = dir.path().join("crashed");
    copy(&path, &crashed);
    assert_eq!(read_all(&crashed).unwrap(), 500);
    fs::remove_dir_all(&crashed).unwrap();
    copy(&path, &crashed);
    let mut told = 0;
    flip_bits(&crashed, &["db".to_owned()], 100, |path| match read_all(path) {
        Ok(entries) => assert_eq!(entries, 500, "entries were lost in silence"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
            told += 1;
        }
    });
    assert!(told > 50, "only {told} were told");
    drop(store);
}
