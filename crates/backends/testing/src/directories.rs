//! What lies at a path, and which of it is taken for a store.

use std::fs;
use std::path::Path;

use futures_executor::block_on;
use stead_core::{BackendExt, ErrorKind, KeyRange, ReadExt};

use crate::run::cases;
use crate::{TestedEngine, contents, entry, filled, key, nth, open, refused};

cases![
    path_that_is_a_file_is_refused,
    directory_of_other_things_is_refused_and_left_alone,
    bare_database_is_named_and_left_as_it_is,
    foreign_database_in_place_of_ours_is_refused_and_left_as_it_is,
    newer_layout_and_other_engines_are_refused,
    making_that_was_cut_short_is_begun_again,
    marker_that_was_lost_is_made_again,
    place_that_cannot_be_written_is_refused if cfg!(target_os = "linux"), else "only Linux has such places",
];

fn path_that_is_a_file_is_refused<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "not a store").unwrap();
    assert!(refused::<E>(&path, ErrorKind::Invalid).contains("is a file"));
    assert!(refused::<E>(&path.join("below"), ErrorKind::Invalid).contains("is a file"));
    assert_eq!(fs::read(&path).unwrap(), b"not a store");
}

fn directory_of_other_things_is_refused_and_left_alone<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("letter.txt"), "dear").unwrap();
    assert!(refused::<E>(dir.path(), ErrorKind::Invalid).contains("letter.txt"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

fn bare_database_is_named_and_left_as_it_is<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bare");
    let place = E::bare_in(&path);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    E::make_bare(&place);
    let before = contents(&path);
    let text = refused::<E>(&path, ErrorKind::Invalid);
    assert!(text.contains(&format!("engine={}", E::NAME)), "{text}");
    assert!(contents(&path) == before, "something was touched");
    E::look_at_bare(&place);
}

fn foreign_database_in_place_of_ours_is_refused_and_left_as_it_is<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join(E::DATA);
    E::make_bare(&place);
    refused::<E>(dir.path(), ErrorKind::Corrupt);
    E::look_at_bare(&place);
}

fn newer_layout_and_other_engines_are_refused<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled::<E>(&path, 1);
    let mark = |text: &str| fs::write(path.join("STEAD"), text).unwrap();
    mark(&format!("stead store\nengine {}\nlayout 2\n", E::NAME));
    assert!(refused::<E>(&path, ErrorKind::Corrupt).contains("newer format"));
    for other in ["redb", "sled", "rocksdb", "fjall", "other"] {
        if other == E::NAME {
            continue;
        }
        mark(&format!("stead store\nengine {other}\nlayout 1\n"));
        // The data is this engine's, so it is the marker that is wrong.
        assert!(refused::<E>(&path, ErrorKind::Corrupt).contains("STEAD"));
        fs::rename(path.join(E::DATA), path.join("elsewhere")).unwrap();
        let text = refused::<E>(&path, ErrorKind::Invalid);
        fs::rename(path.join("elsewhere"), path.join(E::DATA)).unwrap();
        assert!(
            text.contains("another engine") && text.contains(&format!("engine={other}")),
            "{text}"
        );
    }
    mark("hello");
    refused::<E>(&path, ErrorKind::Corrupt);
}

fn making_that_was_cut_short_is_begun_again<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled::<E>(&path, 10);
    // What a crash leaves in the middle: the draft of the marker, and some of the data.
    fs::rename(path.join("STEAD"), path.join("STEAD.new")).unwrap();
    E::cut_making_short(&path.join(E::DATA));
    let store = open::<E>(&path).unwrap();
    assert_eq!(block_on(store.count(&KeyRange::all())).unwrap(), 0);
    block_on(store.put(key("k"), "v")).unwrap();
    drop(store);
    assert!(path.join("STEAD").exists() && !path.join("STEAD.new").exists());
    assert!(entry(&*open::<E>(&path).unwrap(), &key("k")).is_some());
}

fn marker_that_was_lost_is_made_again<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled::<E>(&path, 10);
    fs::remove_file(path.join("STEAD")).unwrap();
    let store = open::<E>(&path).unwrap();
    assert!(entry(&*store, &nth(9)).is_some());
    assert!(path.join("STEAD").exists());
}

fn place_that_cannot_be_written_is_refused<E: TestedEngine>() {
    // Nobody makes directories there, not even root.
    for path in ["/sys/stead-store", "/proc/stead-store"] {
        refused::<E>(Path::new(path), ErrorKind::Unavailable);
    }
}
