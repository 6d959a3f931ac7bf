//! Files that are damaged or missing: told, never passed over.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_executor::block_on;
use stead_core::{
    Backend, BackendExt, Durability, ErrorKind, KeyRange, Random, ReadExt, SeededRandom, WriteBatch,
};
use stead_fjall::{EmbeddedOptions, FjallConfig};
use support::{Image, filled, filled_with_tables, key, open, read_all_and_write, refused, value};

/// Files that hold nothing that could be lost.
const EMPTY: [&str; 2] = ["LOCK", "state.fjall/lock"];

/// A closed store with tables and a journal, and how many entries it has.
fn closed(dir: &Path) -> (PathBuf, Image, usize) {
    let path = dir.join("store");
    filled_with_tables(&path, 300);
    let image = Image::of(&path);
    (path, image, 600)
}

/// A store that was never closed: `entries` durable commits of one entry each.
fn unclosed(dir: &Path, entries: usize) -> (PathBuf, Image) {
    let path = dir.join("used");
    let store = open(&path).unwrap();
    for n in 0..entries {
        block_on(store.put(key(&format!("k{n:06}")), value(n))).unwrap();
    }
    let image = Image::of(&path);
    drop(store);
    (dir.join("copy"), image)
}

#[test]
fn every_missing_file_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (path, image, entries) = closed(dir.path());
    for name in image.0.keys() {
        image.without(name).write(&path);
        let before = Image::of(&path);
        match name.to_str().unwrap() {
            "LOCK" | "STEAD" => assert_eq!(read_all_and_write(&path).unwrap(), entries, "{name:?}"),
            // Without it the store counts as one that was not closed.
            "CLOSED" => assert_eq!(read_all_and_write(&path).unwrap(), entries),
            _ => {
                println!("without {name:?}");
                let text = refused(&path, ErrorKind::Corrupt);
                assert!(text.contains("missing"), "{text}");
                assert!(
                    Image::of(&path).0.keys().eq(before.0.keys()),
                    "nothing is made or removed: {name:?}"
                );
            }
        }
    }
    image.write(&path);
    assert_eq!(read_all_and_write(&path).unwrap(), entries);
}

#[test]
fn every_truncated_file_is_refused_at_every_length() {
    let dir = tempfile::tempdir().unwrap();
    let (path, image, entries) = closed(dir.path());
    for (name, bytes) in &image.0 {
        if EMPTY.iter().any(|empty| name == Path::new(empty)) {
            continue;
        }
        let mut lengths = vec![0, 1, bytes.len() / 2];
        // The last byte of the marker is the end of a line.
        if name != Path::new("STEAD") {
            lengths.push(bytes.len() - 1);
        }
        for length in lengths {
            image.with(name, |bytes| bytes.truncate(length)).write(&path);
            let error =
                read_all_and_write(&path).expect_err(&format!("opened with {length} bytes of {name:?}"));
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{name:?} {length}: {error}");
            // Of the journal as a whole, the record of the close tells.
            let named = path.join(name).display().to_string();
            let is_journal = image.journals().contains(name);
            assert!(is_journal || error.to_string().contains(&named), "{error}");
        }
    }
    image.write(&path);
    assert_eq!(read_all_and_write(&path).unwrap(), entries);
}

#[test]
fn random_bytes_and_zeros_in_place_of_a_file_are_refused_and_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (path, image, _) = closed(dir.path());
    let random = SeededRandom::new(3);
    for (name, bytes) in &image.0 {
        if bytes.is_empty() {
            continue;
        }
        let garbage: Vec<u8> = bytes.iter().map(|_| random.next_u64().to_le_bytes()[0]).collect();
        for content in [garbage, vec![0; bytes.len()]] {
            let damaged = image.with(name, |bytes| bytes.clone_from(&content));
            damaged.write(&path);
            refused(&path, ErrorKind::Corrupt);
            refused(&path, ErrorKind::Corrupt);
            let after = Image::of(&path);
            for (file, bytes) in &damaged.0 {
                if file.extension().is_none_or(|suffix| suffix != "jnl") {
                    assert_eq!(after.0.get(file), Some(bytes), "{file:?} changed over {name:?}");
                }
            }
        }
    }
}

#[test]
fn flipped_bits_give_errors_and_never_a_panic_or_a_wrong_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (path, image, entries) = closed(dir.path());
    let random = SeededRandom::new(11);
    let below = |bound: usize| usize::try_from(random.next_u64() % bound as u64).unwrap();
    let names: Vec<_> = image.0.iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
    let mut found = 0;
    let rounds = 150;
    for _ in 0..rounds {
        let (name, bytes) = names[below(names.len())];
        let (at, bit) = (below(bytes.len()), below(8));
        image.with(name, |bytes| bytes[at] ^= 1 << bit).write(&path);
        match read_all_and_write(&path) {
            Ok(count) => assert_eq!(count, entries, "{name:?} {at} {bit}"),
            Err(error) => {
                let kind = error.kind();
                let marker = *name == Path::new("STEAD") && kind == ErrorKind::Invalid;
                assert!(
                    kind == ErrorKind::Corrupt || marker,
                    "{name:?} {at} {bit}: {error:?}"
                );
                found += 1;
            }
        }
    }
    assert!(found > rounds * 9 / 10, "only {found} of {rounds} were found");
}

#[test]
fn flips_in_the_journal_of_a_store_that_was_not_closed_lose_at_most_the_last_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (path, image) = unclosed(dir.path(), 40);
    let journal = &image.journals()[0];
    let length = image.0[journal].len();
    let random = SeededRandom::new(5);
    let below = |bound: usize| usize::try_from(random.next_u64() % bound as u64).unwrap();
    let mut found = 0;
    for _ in 0..60 {
        let (at, bit) = (below(length), below(8));
        image.with(journal, |bytes| bytes[at] ^= 1 << bit).write(&path);
        match read_all_and_write(&path) {
            Ok(count) => assert!(count >= 39, "{at} {bit}: {count}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{at} {bit}: {error:?}");
                assert!(error.to_string().contains("0.jnl"), "{error}");
                found += 1;
            }
        }
    }
    assert!(found > 50, "only {found} were found");
}

#[test]
fn whole_commits_that_are_gone_after_a_close_are_missed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 10);
    let first = Image::of(&path);
    let store = open(&path).unwrap();
    block_on(store.put(key("more"), "x")).unwrap();
    block_on(store.close()).unwrap();
    let second = Image::of(&path);
    let journal = &first.journals()[0];
    let mixed = second.with(journal, |bytes| bytes.clone_from(&first.0[journal]));
    mixed.write(&path);
    let text = refused(&path, ErrorKind::Corrupt);
    assert!(text.contains("at_the_close=journal 0.jnl"), "{text}");
    second.write(&path);
    assert!(block_on(open(&path).unwrap().exists(&key("more"))).unwrap());
}

#[test]
fn journal_that_lost_all_of_it_is_missed_even_without_a_close() {
    let dir = tempfile::tempdir().unwrap();
    let (path, image) = unclosed(dir.path(), 3);
    let journal = &image.journals()[0];
    image.with(journal, Vec::clear).write(&path);
    refused(&path, ErrorKind::Corrupt);
    image.with(journal, |bytes| bytes.fill(0)).write(&path);
    refused(&path, ErrorKind::Corrupt);
}

#[test]
fn torn_end_of_a_journal_is_cut_off_whatever_is_left_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("used");
    // Nothing is synced but what is asked for.
    let options = EmbeddedOptions::default().with_flush_interval(Duration::from_secs(3600));
    let store = stead_fjall::open(&FjallConfig::new(&path), options).unwrap();
    for n in 0..5 {
        block_on(store.put(key(&format!("k{n:06}")), value(n))).unwrap();
    }
    let synced = Image::of(&path);
    for n in 5..8 {
        let batch = WriteBatch::new().put(key(&format!("k{n:06}")), value(n));
        let outcome = block_on(store.apply(batch.durability(Durability::Buffered))).unwrap();
        assert!(outcome.is_committed());
    }
    let written = Image::of(&path);
    drop(store);
    let journal = &synced.journals()[0];
    let (start, end) = (synced.0[journal].len(), written.0[journal].len());
    let copy = dir.path().join("copy");
    for hole in (start..end).step_by(61) {
        for (from, to) in [(hole, end), (hole, (hole + 40).min(end)), (start, hole)] {
            let torn = written.with(journal, |bytes| bytes[from..to].fill(0));
            torn.write(&copy);
            let count = read_all_and_write(&copy).unwrap();
            assert!((5..=8).contains(&count), "{from} {to}: {count}");
        }
    }
}

#[test]
fn missing_journals_are_told_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (path, image) = unclosed(dir.path(), 3);
    let journal = image.journals()[0].clone();
    let mut shifted = image.without(&journal);
    shifted
        .0
        .insert(journal.with_file_name("7.jnl"), image.0[&journal].clone());
    shifted.0.insert(journal.with_file_name("9.jnl"), Vec::new());
    shifted.write(&path);
    let text = refused(&path, ErrorKind::Corrupt);
    assert!(text.contains("8.jnl"), "{text}");
    image.without(&journal).write(&path);
    assert!(refused(&path, ErrorKind::Corrupt).contains("journals are missing"));
}

#[test]
fn store_opens_after_damage_was_repaired_from_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let (path, image, entries) = closed(dir.path());
    for name in image.0.keys().filter(|name| name.ends_with("current")) {
        image.without(name).write(&path);
        refused(&path, ErrorKind::Corrupt);
        std::fs::write(path.join(name), &image.0[name]).unwrap();
        let store = open(&path).unwrap();
        assert_eq!(block_on(store.count(&KeyRange::all())).unwrap(), entries as u64);
    }
}
