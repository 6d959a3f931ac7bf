//! What each setting does, and what happens when work in the background fails.

use std::fs;
use std::ops::ControlFlow;

use stead_core::Direction;
use stead_embedded::View;

use super::*;

fn engine(config: &FjallConfig) -> FjallEngine {
    FjallEngine::open(config).unwrap()
}

fn place() -> (tempfile::TempDir, FjallConfig) {
    let dir = tempfile::tempdir().unwrap();
    let config = FjallConfig::new(dir.path().join("store"));
    (dir, config)
}

/// Commits `count` records of `size_bytes` each, one to a commit, buffered.
fn fill(engine: &FjallEngine, count: usize, size_bytes: usize) -> Result<()> {
    for n in 0..count {
        let mut writes = WriteSet::new();
        // Half of each value is the same everywhere, the other half nowhere.
        let mut value = vec![b'x'; size_bytes];
        let mut state = n as u64 + 1;
        for byte in &mut value[..size_bytes / 2] {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = state.to_be_bytes()[0];
        }
        writes.put(Keyspace::Data, format!("k{n:06}").into_bytes(), value);
        writes.put(Keyspace::Meta, b"header".to_vec(), n.to_be_bytes().to_vec());
        engine.commit(&writes, false)?;
    }
    Ok(())
}

fn with<T>(engine: &FjallEngine, look: impl FnOnce(&Open) -> T) -> T {
    engine.shared.with(|open| Ok(look(open))).unwrap()
}

fn data_space(open: &Open) -> &fjall::Keyspace {
    &open.spaces[Keyspace::Data.index()]
}

fn read_all(engine: &FjallEngine) -> usize {
    let mut count = 0;
    let view = engine.view().unwrap();
    view.scan(Keyspace::Data, b"", None, Direction::Forward, &mut |_, _| {
        count += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    count
}

#[test]
fn cache_is_bounded() {
    let (_dir, config) = place();
    let store = engine(&config);
    fill(&store, 1000, 4096).unwrap();
    with(&store, |open| data_space(open).rotate_memtable_and_wait()).unwrap();
    store.close().unwrap();
    let cached = |size_bytes| {
        let store = engine(&config.clone().with_cache_bytes(size_bytes));
        assert_eq!(read_all(&store), 1000);
        with(&store, |open| open.database.cache_size())
    };
    assert!(cached(256 << 10) <= 256 << 10);
    assert!(cached(64 << 20) > 3 << 20);
}

#[test]
fn compression_makes_tables_smaller() {
    let size = |compression| {
        let (_dir, config) = place();
        let store = engine(&config.with_compression(compression));
        fill(&store, 500, 4096).unwrap();
        with(&store, |open| {
            data_space(open).rotate_memtable_and_wait().unwrap();
            data_space(open).major_compact().unwrap();
            data_space(open).disk_space()
        })
    };
    let (plain, compressed) = (size(Compression::None), size(Compression::Lz4));
    assert!(plain > 2_000_000, "{plain}");
    assert!(compressed < plain * 3 / 4, "{compressed} of {plain}");
}

#[test]
fn journals_are_not_compressed() {
    let (_dir, config) = place();
    let store = engine(&config);
    fill(&store, 1, 100_000).unwrap();
    store.close().unwrap();
    let length = fs::metadata(config.path.join("state.fjall/0.jnl")).unwrap().len();
    assert!(length > 100_000, "{length}");
}

#[test]
fn write_buffer_is_written_when_it_is_full_and_its_size_can_change() {
    let (_dir, config) = place();
    let store = engine(&config);
    fill(&store, 200, 32 << 10).unwrap();
    let tables = |store: &FjallEngine| with(store, |open| data_space(open).table_count());
    assert_eq!(tables(&store), 0, "6 MiB fit in a buffer of 64");
    store.close().unwrap();

    let store = engine(&config.with_write_buffer_bytes(1 << 20));
    fill(&store, 200, 32 << 10).unwrap();
    let waiting = with(&store, |open| data_space(open).sealed_memtable_count());
    assert!(tables(&store) > 0 || waiting > 0);
    let young = with(&store, |open| data_space(open).tree.active_memtable().size());
    assert!(young < 2 << 20, "{young} bytes are still in the buffer");
    assert_eq!(read_all(&store), 200);
    store.close().unwrap();
}

#[test]
fn journals_are_let_go_of_where_they_are_bounded() {
    let journals = |size_bytes| {
        let (_dir, config) = place();
        let config = config.with_write_buffer_bytes(4 << 20);
        let store = engine(&config.clone().with_journal_bytes(size_bytes));
        fill(&store, 560, 512 << 10).unwrap();
        // Whatever is let go of is let go of when the next buffers are written.
        for _ in 0..200 {
            let left = with(&store, |open| open.database.journal_count());
            if left <= 2 || size_bytes > 64 << 20 {
                return left;
            }
            fill(&store, 1, 5 << 20).unwrap();
        }
        with(&store, |open| open.database.journal_count())
    };
    let (few, many) = (journals(64 << 20), journals(1 << 30));
    assert!(few <= 2, "{few}");
    assert!(many >= 4, "{many}");
}

#[test]
fn failure_in_the_background_is_told_and_nothing_is_lost() {
    let (_dir, config) = place();
    let config = config.with_write_buffer_bytes(1 << 20);
    let store = engine(&config);
    fill(&store, 10, 1000).unwrap();
    let tables = config.path.join("state.fjall/keyspaces/1/tables");
    fs::remove_dir(&tables).unwrap();
    let error = fill(&store, 10_000, 64 << 10).expect_err("no buffer can be written");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("open the store anew"), "{error}");
    let error = fill(&store, 1, 10).expect_err("nothing is taken any more");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(read_all(&store) >= 10, "reads go on");
    drop(store);
    assert!(!closed::path_in(&config.path).exists(), "that was no clean close");

    fs::create_dir(&tables).unwrap();
    let store = engine(&config);
    assert!(read_all(&store) >= 10);
    fill(&store, 10, 1000).unwrap();
    store.close().unwrap();
}

#[test]
fn check_finds_what_no_read_meets() {
    let (_dir, config) = place();
    let store = engine(&config);
    fill(&store, 100, 1000).unwrap();
    with(&store, |open| data_space(open).rotate_memtable_and_wait()).unwrap();
    store.check().unwrap();
    let journal = config.path.join("state.fjall/0.jnl");
    damage(&journal, 5000);
    let error = store.check().unwrap_err();
    assert!(error.to_string().contains("0.jnl"), "{error}");
    damage(&journal, 5000);
    store.check().unwrap();
    let table = fs::read_dir(config.path.join("state.fjall/keyspaces/1/tables"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    damage(&table, 300);
    let error = store.check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error.to_string().contains(&table.display().to_string()),
        "{error}"
    );
}

fn damage(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn mark_follows_every_sync() {
    let (_dir, config) = place();
    let store = engine(&config);
    let marks = || {
        with(&store, |open| open.database.persist(PersistMode::Buffer)).unwrap();
        journal::marked(&config.path.join("state.fjall/0.jnl"))
    };
    let commit = |sync| {
        let mut writes = WriteSet::new();
        writes.put(Keyspace::Data, b"k".to_vec(), b"v".to_vec());
        store.commit(&writes, sync).unwrap();
    };
    assert_eq!(marks(), [true], "the making of the store");
    for sync in [true, true, false, false, true, false] {
        commit(sync);
    }
    assert_eq!(marks(), [true, true, true, true, false, false, true]);
    store.commit(&WriteSet::new(), true).unwrap();
    store.commit(&WriteSet::new(), false).unwrap();
    commit(false);
    assert_eq!(marks().last(), Some(&true), "syncing alone counts");
}
