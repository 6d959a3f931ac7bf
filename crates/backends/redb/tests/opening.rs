//! What redb's own file makes of an opening, damaged in many ways.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;

use futures_executor::block_on;
use stead_core::{Backend, BackendExt, Error, ErrorKind, KeyRange, Random, ReadExt, Scan, SeededRandom};
use support::{filled, key, open, refused};

#[test]
fn random_bytes_and_text_are_refused_and_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let random = SeededRandom::new(3);
    let bytes: Vec<u8> = (0..12_500)
        .flat_map(|_| random.next_u64().to_le_bytes())
        .collect();
    for content in [bytes, b"text".to_vec()] {
        let path = dir.path().join(format!("store{}", content.len()));
        filled(&path, 10);
        fs::write(path.join("state.redb"), &content).unwrap();
        refused(&path, ErrorKind::Corrupt);
        assert_eq!(fs::read(path.join("state.redb")).unwrap(), content);
        // Without the marker of a complete store it is a stranger's file all the same.
        fs::remove_file(path.join("STEAD")).unwrap();
        refused(&path, ErrorKind::Corrupt);
        assert_eq!(fs::read(path.join("state.redb")).unwrap(), content);
    }
}

#[test]
fn truncated_file_is_refused_at_every_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 2000);
    let whole = fs::read(path.join("state.redb")).unwrap();
    for length in [
        0,
        1,
        9,
        100,
        4095,
        4096,
        5000,
        whole.len() / 2,
        whole.len() - 4096,
    ] {
        fs::write(path.join("state.redb"), &whole[..length]).unwrap();
        let error = open(&path).err().unwrap_or_else(|| panic!("opened at {length}"));
        assert_eq!(error.kind(), ErrorKind::Corrupt, "length {length}: {error}");
    }
    fs::remove_file(path.join("state.redb")).unwrap();
    assert!(refused(&path, ErrorKind::Corrupt).contains("missing or empty"));
    fs::write(path.join("state.redb"), &whole).unwrap();
    assert_eq!(
        block_on(open(&path).unwrap().count(&KeyRange::all())).unwrap(),
        2000
    );
}

#[test]
fn data_without_its_first_bytes_and_any_marker_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    fs::create_dir(&path).unwrap();
    // What a crash leaves before redb has written its magic number.
    fs::write(path.join("state.redb"), vec![0; 8192]).unwrap();
    let store = open(&path).unwrap();
    block_on(store.put(key("k"), "v")).unwrap();
    block_on(store.close()).unwrap();
}

#[test]
fn flipped_bits_give_errors_and_never_a_panic_or_a_wrong_answer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 500);
    let whole = fs::read(path.join("state.redb")).unwrap();
    let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let random = SeededRandom::new(11);
    let below = |bound: usize| usize::try_from(random.next_u64() % bound as u64).unwrap();
    let mut found = 0;
    for _ in 0..100 {
        let mut damaged = whole.clone();
        damaged[used[below(used.len())]] ^= 1 << below(8);
        fs::write(path.join("state.redb"), damaged).unwrap();
        if let Err(error) = read_all_and_write(&path) {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
            found += 1;
        }
    }
    assert!(
        found > 20,
        "most of the file matters, and yet only {found} were found"
    );
}

fn read_all_and_write(path: &Path) -> Result<(), Error> {
    let store = open(path)?;
    let items = block_on(store.collect(&Scan::new(KeyRange::all())))?;
    assert_eq!(items.len(), 500);
    assert!(
        items
            .iter()
            .all(|item| item.entry.as_ref().unwrap().value() == [b'x'; 100])
    );
    block_on(store.check(&|_| {}))?;
    block_on(store.close())
}
