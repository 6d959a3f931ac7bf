//! What is damaged or missing is told, and what a crash may leave is opened.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use futures_executor::block_on;
use stead_core::{
    Backend, BackendExt, Durability, Error, ErrorKind, KeyRange, Random, Read, ReadExt, Revision, Scan,
    SeededRandom, WriteBatch,
};
use support::{copy, files, fill, filled, key, open, open_read_only, refused};

const DATA: &str = "state.rocksdb";

fn is_log(name: &str) -> bool {
    name.ends_with(".log")
}

fn is_table(name: &str) -> bool {
    name.ends_with(".sst")
}

/// A copy of a store in use, as a kill would leave it.
struct Crashed {
    image: PathBuf,
    last: Revision,
    log: PathBuf,
    /// The length of the log after each of the writes, all of which are durable.
    ends: Vec<usize>,
}

fn crashed(dir: &Path, writes: usize) -> Crashed {
    let path = dir.join("store");
    let store = open(&path).unwrap();
    let log = files(&path, is_log).pop().unwrap();
    let mut last = Revision::ZERO;
    let mut ends = Vec::new();
    for n in 0..writes {
        last = block_on(store.put(key(&format!("k{n:03}")), "v")).unwrap();
        ends.push(length(&log));
    }
    let image = dir.join("image");
    copy(&path, &image);
    let log = image.join(DATA).join(log.file_name().unwrap());
    Crashed {
        image,
        last,
        log,
        ends,
    }
}

fn length(file: &Path) -> usize {
    usize::try_from(fs::metadata(file).unwrap().len()).unwrap()
}

impl Crashed {
    /// Makes a copy in `place` whose log holds `bytes`, and returns that log.
    fn with_log(&self, place: &Path, bytes: &[u8]) -> PathBuf {
        let _ = fs::remove_dir_all(place);
        copy(&self.image, place);
        let log = place.join(DATA).join(self.log.file_name().unwrap());
        fs::write(&log, bytes).unwrap();
        log
    }
}

#[test]
fn missing_and_emptied_files_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 500);
    let wanted = |name: &str| is_table(name) || name.starts_with("MANIFEST-") || name == "CURRENT";
    let needed = files(&path, wanted);
    assert!(needed.len() >= 5, "{needed:?}");
    for file in &needed {
        let whole = fs::read(file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        fs::remove_file(file).unwrap();
        for _ in 0..2 {
            assert!(
                refused(&path, ErrorKind::Corrupt).contains(name),
                "missing {name}"
            );
        }
        for length in [0, whole.len() / 2, whole.len() - 1] {
            fs::write(file, &whole[..length]).unwrap();
            assert_eq!(
                open_read_only(&path).err().unwrap().kind(),
                ErrorKind::Corrupt,
                "{name} of {length}"
            );
            refused(&path, ErrorKind::Corrupt);
        }
        fs::write(file, &whole).unwrap();
    }
    assert_eq!(
        block_on(open(&path).unwrap().count(&KeyRange::all())).unwrap(),
        500
    );
}

#[test]
fn random_bytes_are_refused_and_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 10);
    let random = SeededRandom::new(3);
    for file in files(&path, |name| name.starts_with("MANIFEST-") || name == "CURRENT") {
        let whole = fs::read(&file).unwrap();
        let bytes: Vec<u8> = (0..500).flat_map(|_| random.next_u64().to_le_bytes()).collect();
        fs::write(&file, &bytes).unwrap();
        refused(&path, ErrorKind::Corrupt);
        assert_eq!(fs::read(&file).unwrap(), bytes);
        fs::write(&file, &whole).unwrap();
    }
    drop(open(&path).unwrap());
}

#[test]
fn data_of_an_earlier_time_is_told_after_a_clean_close() {
    let dir = tempfile::tempdir().unwrap();
    let (path, early) = (dir.path().join("store"), dir.path().join("early"));
    filled(&path, 10);
    copy(&path, &early);
    filled(&path, 20);
    fs::remove_dir_all(path.join(DATA)).unwrap();
    copy(&early.join(DATA), &path.join(DATA));
    let error = open_read_only(&path).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(refused(&path, ErrorKind::Corrupt).contains("SESSION"));
    fs::write(path.join("SESSION"), "closed, I think").unwrap();
    assert!(refused(&path, ErrorKind::Corrupt).contains("SESSION"));
}

#[test]
fn record_of_the_clean_close_is_gone_while_the_store_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 1);
    let session = || fs::read_to_string(path.join("SESSION")).unwrap();
    assert!(session().contains("closed at"));
    let store = open(&path).unwrap();
    assert!(session().contains("opened with"));
    drop(store);
    assert!(session().contains("closed at"));
}

#[test]
fn torn_addition_to_the_manifest_is_cut_and_damage_before_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let Crashed { image, .. } = crashed(dir.path(), 3);
    let manifest = files(&image, |name| name.starts_with("MANIFEST-")).pop().unwrap();
    let whole = fs::read(&manifest).unwrap();
    // What a power failure leaves of a record that was not synced: its length, and not its bytes.
    for torn in [
        vec![0; 2000],
        [&[1, 2, 3, 4, 0xFF, 3, 1][..], &[0; 1023]].concat(),
    ] {
        fs::write(&manifest, [&whole[..], &torn].concat()).unwrap();
        let error = open_read_only(&image).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let repaired = dir.path().join(format!("repaired{}", torn[0]));
        copy(&image, &repaired);
        assert_eq!(
            block_on(open(&repaired).unwrap().count(&KeyRange::all())).unwrap(),
            3
        );
    }
    // The last record of those that were there when the store was opened.
    for at in [whole.len() - 1, whole.len() - 10, whole.len() / 2, 0] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&manifest, &bytes).unwrap();
        assert!(refused(&image, ErrorKind::Corrupt).contains("MANIFEST-"));
        assert_eq!(fs::read(&manifest).unwrap(), bytes);
    }
    // RocksDB by itself would open this one.
    fs::write(&manifest, &whole[..whole.len() - 1]).unwrap();
    assert!(refused(&image, ErrorKind::Corrupt).contains("MANIFEST-"));
    fs::write(&manifest, &whole).unwrap();
    assert_eq!(
        block_on(open(&image).unwrap().count(&KeyRange::all())).unwrap(),
        3
    );
}

#[test]
fn flipped_bits_give_errors_and_never_a_wrong_answer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 500);
    let random = SeededRandom::new(11);
    let below = |bound: usize| usize::try_from(random.next_u64() % bound as u64).unwrap();
    let image = dir.path().join("image");
    let mut found = 0;
    for _ in 0..60 {
        let _ = fs::remove_dir_all(&image);
        copy(&path, &image);
        let damageable = files(&image, |name| is_table(name) || name.starts_with("MANIFEST-"));
        let file = &damageable[below(damageable.len())];
        let mut bytes = fs::read(file).unwrap();
        let at = below(bytes.len());
        bytes[at] ^= 1 << below(8);
        fs::write(file, bytes).unwrap();
        if let Err(error) = read_all_and_write(&image) {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
            found += 1;
        }
    }
    assert!(
        found > 20,
        "most of the files matters, and yet only {found} were found"
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

#[test]
fn check_finds_damage_on_disk_behind_what_is_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 2000);
    let store = open(&path).unwrap();
    assert_eq!(
        block_on(store.collect(&Scan::new(KeyRange::all())))
            .unwrap()
            .len(),
        2000
    );
    block_on(store.check(&|_| {})).unwrap();
    // RocksDB may be merging files at this very moment: those that come later are damaged in the next round.
    let mut damaged = Vec::new();
    let error = (0..20)
        .find_map(|_| {
            for file in files(&path, is_table) {
                let mut bytes = fs::read(&file).unwrap_or_default();
                if bytes.len() > 1000 && !damaged.contains(&file) {
                    bytes[1000] ^= 1;
                    fs::write(&file, bytes).unwrap();
                    damaged.push(file);
                }
            }
            block_on(store.check(&|_| {})).err()
        })
        .expect("somebody tells of it");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(".sst"), "{error}");
}

#[test]
fn copy_of_a_store_in_use_holds_every_durable_write() {
    let dir = tempfile::tempdir().unwrap();
    let Crashed { image, last, .. } = crashed(dir.path(), 20);
    assert_eq!(
        block_on(open_read_only(&image).unwrap().count(&KeyRange::all())).unwrap(),
        20
    );
    let copied = open(&image).unwrap();
    assert_eq!(block_on(copied.count(&KeyRange::all())).unwrap(), 20);
    block_on(copied.check(&|_| {})).unwrap();
    assert!(
        block_on(copied.put(key("next"), "v")).unwrap() > last.next(),
        "no revision comes twice"
    );
}

#[test]
fn log_that_was_torn_anywhere_opens_with_what_came_before() {
    let dir = tempfile::tempdir().unwrap();
    let crashed = crashed(dir.path(), 4);
    let whole = fs::read(&crashed.log).unwrap();
    let torn = dir.path().join("torn");
    let ends = crashed.ends.iter().flat_map(|end| end - 1..=end + 8);
    for length in ends.chain((0..whole.len()).step_by(50)) {
        let length = length.min(whole.len());
        crashed.with_log(&torn, &whole[..length]);
        let store = open(&torn).unwrap_or_else(|error| panic!("length {length}: {error}"));
        let complete = crashed.ends.iter().filter(|end| **end <= length).count();
        assert_eq!(
            block_on(store.count(&KeyRange::all())).unwrap(),
            complete as u64,
            "length {length}"
        );
        block_on(store.check(&|_| {})).unwrap();
    }
}

#[test]
fn torn_log_is_not_opened_for_reading() {
    let dir = tempfile::tempdir().unwrap();
    let Crashed { image, log, .. } = crashed(dir.path(), 8);
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..whole.len() - 3]).unwrap();
    let error = open_read_only(&image).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("for writing"), "{error}");
    assert_eq!(length(&log), whole.len() - 3, "nothing was cut");
    block_on(open(&image).unwrap().close()).unwrap();
    drop(open_read_only(&image).unwrap());
}

#[test]
fn damage_to_synced_batches_in_the_log_is_told_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let crashed = crashed(dir.path(), 4);
    let whole = fs::read(&crashed.log).unwrap();
    let damaged = dir.path().join("damaged");
    // The last batch has no witness behind it: what is damaged there looks torn.
    let last = crashed.ends[2];
    for at in (0..whole.len()).step_by(3) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        let log = crashed.with_log(&damaged, &bytes);
        match open(&damaged) {
            Err(error) => {
                assert!(at < last);
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                assert!(error.to_string().contains(".log"), "{error}");
                assert_eq!(fs::read(&log).unwrap(), bytes, "what is damaged is left as it is");
            }
            Ok(store) => {
                assert!(at >= last, "nobody told of the bit at {at}");
                assert_eq!(block_on(store.count(&KeyRange::all())).unwrap(), 3);
            }
        }
    }
}

/// What a power failure may leave of a log: some unsynced pages on disk, and zeros where others should be.
#[test]
fn page_of_zeros_among_unsynced_batches_ends_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let options =
        stead_rocksdb::EmbeddedOptions::default().with_flush_interval(std::time::Duration::from_secs(3600));
    let store = stead_rocksdb::open(&support::config(&path), options).unwrap();
    block_on(store.put(key("a"), "durable")).unwrap();
    let log = files(&path, is_log).pop().unwrap();
    let mut ends = vec![length(&log)];
    for n in 0..10 {
        let batch = WriteBatch::new()
            .put(key(&format!("k{n}")), vec![b'x'; 5000])
            .durability(Durability::Buffered);
        assert!(block_on(store.apply(batch)).unwrap().is_committed());
        ends.push(length(&log));
    }
    let image = dir.path().join("image");
    copy(&path, &image);
    let whole = fs::read(&log).unwrap();
    let zeroed = dir.path().join("zeroed");
    for lost in 0..10 {
        let _ = fs::remove_dir_all(&zeroed);
        copy(&image, &zeroed);
        let mut bytes = whole.clone();
        bytes[ends[lost]..ends[lost + 1]].fill(0);
        fs::write(zeroed.join(DATA).join(log.file_name().unwrap()), &bytes).unwrap();
        let store = open(&zeroed).unwrap();
        assert_eq!(
            block_on(store.count(&KeyRange::all())).unwrap(),
            1 + lost as u64,
            "no gap"
        );
        block_on(store.check(&|_| {})).unwrap();
        drop(store);
        drop(open(&zeroed).unwrap());
    }
}

#[test]
fn missing_log_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let Crashed { image, .. } = crashed(dir.path(), 8);
    for log in files(&image, is_log) {
        fs::remove_file(log).unwrap();
    }
    refused(&image, ErrorKind::Corrupt);
}

/// Logs follow on one another, and the end of one that is not the last can be lost too.
#[test]
fn store_with_many_logs_is_opened_whole_or_without_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let config = support::config(&path).with_write_buffer_size(64 << 10);
    let store = stead_rocksdb::open(&config, stead_rocksdb::EmbeddedOptions::default()).unwrap();
    let mut images = Vec::new();
    for round in 0..40 {
        fill(&store, 100);
        let image = dir.path().join(format!("image{round}"));
        // Files come and go while this copies, so some of these have lost a log or a file: those are told.
        if std::panic::catch_unwind(|| copy(&path, &image)).is_ok() {
            images.push(image);
        }
    }
    let mut opened = 0;
    for image in images {
        match open(&image) {
            Ok(store) => {
                assert_eq!(block_on(store.count(&KeyRange::all())).unwrap(), 100);
                block_on(store.check(&|_| {})).unwrap();
                opened += 1;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
        }
    }
    assert!(opened > 5, "{opened}");
    let entries = block_on(store.collect(&Scan::new(KeyRange::all()))).unwrap();
    assert_eq!(entries.len(), 100);
    assert!(block_on(store.get(&key("k000000"))).unwrap().is_some());
}
