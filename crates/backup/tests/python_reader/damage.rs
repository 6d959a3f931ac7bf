//! What the reader refuses.

use std::fs;
use std::path::{Path, PathBuf};

use stead_backup::{Hash, Repository, VerifyOptions};

use crate::block_on;
use crate::contents::fixture;
use crate::reader::{DAMAGED, INVALID, NOT_THERE, Reader, extracted};
use crate::support::Bench;

/// A copy of the fixture, and the names of its objects.
pub(crate) fn copy() -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(folder) = waiting.pop() {
        fs::create_dir_all(dir.path().join(&folder)).unwrap();
        for entry in fs::read_dir(fixture("format1-history").join(&folder)).unwrap() {
            let name = folder.join(entry.unwrap().file_name());
            if fixture("format1-history").join(&name).is_dir() {
                waiting.push(name);
            } else {
                fs::copy(fixture("format1-history").join(&name), dir.path().join(&name)).unwrap();
                names.push(name);
            }
        }
    }
    names.sort();
    (dir, names)
}

pub(crate) fn refuses_every_damaged_object(reader: &Reader) {
    let (dir, names) = copy();
    assert_eq!(names.len(), 14);
    let refuses = |code: i32, what: &str| reader.refuses("verify", dir.path(), &[], code, "", what);
    for name in &names {
        let (path, what) = (dir.path().join(name), name.display().to_string());
        let whole = fs::read(&path).unwrap();
        for place in [whole.len() / 2, whole.len() - 1] {
            let mut flipped = whole.clone();
            flipped[place] ^= 0x04;
            fs::write(&path, flipped).unwrap();
            refuses(DAMAGED, &format!("{what}, byte {place}"));
        }
        // The newest backup and what it stands on.
        if what.starts_with("log/") || what.starts_with("chunks/b9") || what.starts_with("chunks/43") {
            reader.refuses("extract", dir.path(), &["latest"], DAMAGED, "Damaged", &what);
        }
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        refuses(DAMAGED, &format!("{what}, half"));
        fs::remove_file(&path).unwrap();
        refuses(
            if what == "FORMAT" { NOT_THERE } else { DAMAGED },
            &format!("{what}, missing"),
        );
        fs::write(&path, &whole).unwrap();
    }
    // What no digest but the chunk's own name covers: when a key first changed.
    let path = dir
        .path()
        .join("chunks/b1/b1232b08fb5d6c01a23d6fad19a3043e60893ed1cd6ac73326d10eec6cd887d4");
    let whole = fs::read(&path).unwrap();
    let revisions = whole
        .windows(5)
        .position(|bytes| bytes == [0x0e, 0, 2, 3, 4])
        .unwrap();
    let mut flipped = whole.clone();
    flipped[revisions + 5] ^= 1;
    fs::write(&path, flipped).unwrap();
    refuses(DAMAGED, "a first change");
    fs::write(&path, whole).unwrap();
    reader.verifies(dir.path());
}

pub(crate) fn sealed(json: &str) -> String {
    format!("{json}\n{}\n", Hash::of(json.as_bytes()))
}

pub(crate) fn refuses_what_was_sealed_but_is_malformed(reader: &Reader) {
    let (dir, _) = copy();
    let refuses_instead = |name: &str, from: &str, to: &str, word: &str| {
        let path = dir.path().join(name);
        let whole = fs::read_to_string(&path).unwrap();
        let (json, _) = whole.split_once('\n').unwrap();
        let changed = json.replacen(from, to, 1);
        assert_ne!(json, changed, "{from}");
        fs::write(&path, sealed(&changed)).unwrap();
        reader.refuses("verify", dir.path(), &[], DAMAGED, word, &format!("{name}: {to}"));
        reader.refuses("list", dir.path(), &[], DAMAGED, word, &format!("{name}: {to}"));
        fs::write(&path, whole).unwrap();
    };
    refuses_instead(
        "FORMAT",
        r#""version":1"#,
        r#""version":2,"more":[]"#,
        "NewerVersion",
    );
    refuses_instead("FORMAT", "stead-backup", "stead-other", "Damaged");
    refuses_instead("FORMAT", "910a", "810a", "Damaged");
    let newest = "log/000000000005";
    refuses_instead(newest, r#""depth":"#, r#" "depth":"#, "malformed");
    refuses_instead(newest, "\"bytes\"", r#""\u0062ytes""#, "malformed");
    refuses_instead(newest, r#","depth":"bytes""#, "", "malformed");
    refuses_instead(newest, "verified", "unheard-of", "malformed");
    refuses_instead(newest, r#""sequence":5"#, r#""sequence":5.0"#, "malformed");
    refuses_instead(newest, "bytes", "bytez", "HEAD");
    refuses_instead("HEAD", r#"{"sequence":5"#, r#"{"sequence":6"#, "000000000006");
    refuses_instead(
        "log/000000000003",
        r#""sequence":3"#,
        r#""sequence":2"#,
        "another place",
    );
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    refuses_instead(newest, "\"bytes\"", &deep, "malformed");
    fs::write(dir.path().join("chunks/stray"), "x").unwrap();
    reader.refuses("verify", dir.path(), &[], DAMAGED, "chunks/stray", "a stray file");
    // What a writer that was ended leaves.
    fs::rename(dir.path().join("chunks/stray"), dir.path().join("chunks/stray#1")).unwrap();
    reader.verifies(dir.path());
}

/// Adds records to a copy of the fixture: two backups are forgotten, and their records are swept as `gone` says.
fn sweep(repository: &Path, gone: &str) {
    let id = "910a2dec89025cc1beeb8da1658eec67";
    let newest = fs::read_to_string(repository.join("log/000000000005")).unwrap();
    let mut previous = newest.lines().nth(1).unwrap().to_owned();
    let forgotten = r#"{"prune":{"forgotten":["2-ee42c90b","3-d101b5b9"]}}"#;
    for (sequence, action) in [
        (6, forgotten.to_owned()),
        (7, format!(r#"{{"sweep":{{"gone":{gone}}}}}"#)),
    ] {
        let json = format!(
            r#"{{"repository":"{id}","sequence":{sequence},"previous":"{previous}","at_ms":1,"action":{action}}}"#
        );
        previous = Hash::of(json.as_bytes()).to_string();
        fs::write(repository.join(format!("log/{sequence:012}")), sealed(&json)).unwrap();
    }
    let head = format!(r#"{{"sequence":7,"record":"{previous}"}}"#);
    fs::write(repository.join("HEAD"), sealed(&head)).unwrap();
}

pub(crate) fn follows_a_log_that_was_swept(reader: &Reader) {
    let (dir, _) = copy();
    let hash_of = |sequence: u64| {
        let text =
            fs::read_to_string(fixture("format1-history").join(format!("log/{sequence:012}"))).unwrap();
        text.lines().nth(1).unwrap().to_owned()
    };
    let span = |first: u64, last: u64, record: &str| {
        format!(r#"[{{"first":{first},"last":{last},"record":"{record}"}}]"#)
    };
    sweep(dir.path(), &span(2, 3, &hash_of(3)));
    let listed = |repository: &Path| {
        let lines = reader.lines("list", repository, &["--json"]);
        lines
            .iter()
            .map(|line| line["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // The records may be there still.
    for removed in ["log/000000000002", "log/000000000003"] {
        assert_eq!(
            listed(dir.path()),
            ["1-fb32555e", "4-90150280"],
            "before {removed}"
        );
        fs::remove_file(dir.path().join(removed)).unwrap();
    }
    assert_eq!(listed(dir.path()), ["1-fb32555e", "4-90150280"]);
    reader.verifies(dir.path());
    let newest = extracted(&reader.lines("extract", dir.path(), &["4-90150280"]));
    assert_eq!(
        newest,
        extracted(&reader.lines("extract", &fixture("format1-history"), &["4-90150280"]))
    );
    reader.refuses(
        "extract",
        dir.path(),
        &["2-ee42c90b"],
        NOT_THERE,
        "no such backup",
        "a forgotten one",
    );
    block_on(async {
        let repository = Repository::open(dir.path().to_str().unwrap()).await.unwrap();
        let ids: Vec<_> = repository
            .backups()
            .await
            .unwrap()
            .iter()
            .map(|backup| backup.id.to_string())
            .collect();
        assert_eq!(ids, listed(dir.path()));
        assert_eq!(
            repository
                .verify(&VerifyOptions::default())
                .await
                .unwrap()
                .backups,
            2
        );
    });
    for gone in [
        span(2, 2, &hash_of(2)),
        span(2, 3, &hash_of(2)),
        span(3, 2, &hash_of(3)),
        span(1, 3, &hash_of(3)),
        "[]".to_owned(),
    ] {
        sweep(dir.path(), &gone);
        reader.refuses("verify", dir.path(), &[], DAMAGED, "", &gone);
    }
}

pub(crate) fn says_what_is_not_there(reader: &Reader) {
    let dir = tempfile::tempdir().unwrap();
    reader.refuses(
        "list",
        dir.path(),
        &[],
        NOT_THERE,
        "NotThere",
        "an empty directory",
    );
    reader.refuses(
        "list",
        &dir.path().join("none"),
        &[],
        NOT_THERE,
        "NotThere",
        "no directory",
    );
    reader.refuses(
        "extract",
        &fixture("format1-history"),
        &["9-00000000"],
        NOT_THERE,
        "NotThere",
        "another id",
    );
    reader.refuses(
        "extract",
        &fixture("format1-history"),
        &["../1-fb32555e"],
        INVALID,
        "Invalid",
        "no id",
    );
    let empty = block_on(Bench::new());
    reader.refuses(
        "extract",
        empty.path(),
        &["latest"],
        NOT_THERE,
        "NotThere",
        "no backup",
    );
    assert!(reader.lines("list", empty.path(), &["--json"]).is_empty());
}
