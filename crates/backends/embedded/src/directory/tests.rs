use stead_core::ErrorKind;

use super::*;

struct Place {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    Place { _dir: dir, path }
}

fn toy(path: &Path) -> StoreDirectory {
    StoreDirectory::new(path, "toy", "state.toy")
}

/// Makes a store as an engine with a directory does.
fn make(directory: &StoreDirectory) {
    directory.prepare(true).unwrap();
    directory.begin().unwrap();
    fs::create_dir(directory.data()).unwrap();
    fs::write(directory.data().join("log"), "twelve bytes").unwrap();
    directory.mark().unwrap();
}

fn refused(directory: &StoreDirectory, kind: ErrorKind) -> String {
    let error = directory.prepare(true).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    error.to_string()
}

#[test]
fn complete_store_is_left_alone() {
    let place = place();
    let directory = toy(&place.path);
    make(&directory);
    directory.prepare(false).unwrap();
    directory.begin().unwrap();
    directory.mark().unwrap();
    assert_eq!(directory.disk_bytes().unwrap(), 12);
    assert!(!place.path.join(DRAFT_FILE).exists());
}

#[test]
fn store_whose_making_was_cut_short_is_made_anew() {
    let place = place();
    let directory = toy(&place.path);
    directory.prepare(true).unwrap();
    directory.begin().unwrap();
    fs::create_dir(directory.data()).unwrap();
    fs::write(directory.data().join("half"), "").unwrap();

    directory.prepare(true).unwrap();
    directory.begin().unwrap();
    assert!(!directory.data().exists());
}

#[test]
fn data_without_any_marker_is_not_removed() {
    let place = place();
    let directory = toy(&place.path);
    fs::create_dir_all(directory.data()).unwrap();
    fs::write(directory.data().join("log"), "precious").unwrap();
    directory.prepare(true).unwrap();
    directory.begin().unwrap();
    assert!(directory.data().join("log").exists());
}

#[test]
fn lost_data_is_missed() {
    let place = place();
    let directory = toy(&place.path);
    make(&directory);
    fs::remove_dir_all(directory.data()).unwrap();
    assert!(refused(&directory, ErrorKind::Corrupt).contains("state.toy"));
    fs::create_dir(directory.data()).unwrap();
    assert!(refused(&directory, ErrorKind::Corrupt).contains("empty"));
}

#[test]
fn store_of_another_engine_is_named() {
    let place = place();
    make(&toy(&place.path));
    let text = refused(
        &StoreDirectory::new(&place.path, "tin", "state.tin"),
        ErrorKind::Invalid,
    );
    assert!(
        text.contains("engine=toy") && text.contains("asked_for=tin"),
        "{text}"
    );
}

#[test]
fn newer_layout_and_foreign_markers_are_refused() {
    let place = place();
    let directory = toy(&place.path);
    make(&directory);
    fs::write(place.path.join(MARKER_FILE), foreign::marker("toy", LAYOUT + 1)).unwrap();
    assert!(refused(&directory, ErrorKind::Corrupt).contains("newer"));
    fs::write(place.path.join(MARKER_FILE), "anything").unwrap();
    assert!(refused(&directory, ErrorKind::Corrupt).contains("STEAD"));
    // The data is this engine's.
    fs::write(place.path.join(MARKER_FILE), foreign::marker("tob", LAYOUT)).unwrap();
    assert!(refused(&directory, ErrorKind::Corrupt).contains("STEAD"));
}

type Bare = (&'static str, &'static [(&'static str, &'static [u8])]);

#[test]
fn bare_databases_are_recognised() {
    let cases: [Bare; 4] = [
        (
            "rocksdb",
            &[("CURRENT", b"MANIFEST-000005\n"), ("MANIFEST-000005", b"")],
        ),
        (
            "sled",
            &[("conf", b""), ("db", b""), ("snap.0000000000000000", b"")],
        ),
        ("fjall", &[("version", b"FJL\x03")]),
        ("redb", &[("my.redb", b"redb\x1A\x0A\xA9\x0D\x0A rest")]),
    ];
    for (engine, files) in cases {
        let place = place();
        fs::create_dir(&place.path).unwrap();
        for (name, bytes) in files {
            fs::write(place.path.join(name), bytes).unwrap();
        }
        let text = refused(&toy(&place.path), ErrorKind::Invalid);
        assert!(text.contains(&format!("engine={engine}")), "{text}");
    }
}

#[test]
fn strangers_are_named() {
    let place = place();
    fs::create_dir(&place.path).unwrap();
    fs::write(place.path.join("letter.txt"), "dear").unwrap();
    assert!(refused(&toy(&place.path), ErrorKind::Invalid).contains("letter.txt"));
}

#[test]
fn one_writer_or_many_readers() {
    let place = place();
    let directory = toy(&place.path);
    directory.prepare(true).unwrap();
    let writer = directory.lock(false).unwrap();
    for read_only in [false, true] {
        let error = directory.lock(read_only).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("LOCK"), "{error}");
    }
    drop(writer);
    let readers = [directory.lock(true).unwrap(), directory.lock(true).unwrap()];
    assert!(directory.lock(false).is_err());
    drop(readers);
    assert!(directory.lock(false).is_ok());
}
