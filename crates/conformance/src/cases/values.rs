//! One value at a time, and several read at once.

use stead_core::{BackendExt, Key, Partition, Random, ReadExt, Revision, SeededRandom};

use crate::harness::{CaseResult, Context, cases, require, require_eq};
use crate::support::{Reading, home, key, key_in, nth, partition, text};

cases![
    put_then_get_roundtrips,
    missing_key_reads_nothing,
    bytes_exact,
    empty_value_vs_missing,
    megabyte_value_roundtrips,
    overwrite_replaces_the_value,
    get_returns_revision_of_the_write,
    revision_changes_on_same_value,
    delete_removes,
    delete_missing_ok,
    longest_partition_and_path_roundtrip,
    empty_path_is_a_key,
    unicode_and_newline_keys,
    injection_keys_inert,
    case_sensitive,
    key_encoding_never_collides,
    random_bytes_roundtrip,
    bulk_get_missing_marked,
    bulk_duplicate_keys_defined,
    empty_bulk_noop,
    bulk_get_over_partitions,
    another_task_reads_what_was_acknowledged,
    exists_and_count_agree_with_get,
    clear_removes_the_range_alone,
];

async fn put_then_get_roundtrips(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "first").await?;
    require_eq!(
        store.read("a").await?.as_deref(),
        Some("first"),
        "a value is read as it was written"
    );
    Ok(())
}

async fn missing_key_reads_nothing(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    require_eq!(store.read("a").await?, None, "nothing is in a new store");
    store.write("ab", "x").await?;
    require_eq!(store.read("a").await?, None, "a longer key is another one");
    require_eq!(store.read("abc").await?, None, "a shorter key is another one");
    Ok(())
}

async fn bytes_exact(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let every_byte: Vec<u8> = (0..=u8::MAX).chain((0..=u8::MAX).rev()).collect();
    store.write("all", every_byte.clone()).await?;
    require!(
        store.present("all").await?.value() == every_byte,
        "every byte comes back"
    );
    for byte in [0, 0xff, b'\n', 0x80] {
        store.write("one", vec![byte]).await?;
        require!(
            store.present("one").await?.value() == [byte],
            "byte {byte} alone comes back"
        );
    }
    Ok(())
}

async fn empty_value_vs_missing(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("empty", "").await?;
    require_eq!(
        store.present("empty").await?.value().len(),
        0,
        "an empty value is a value"
    );
    require_eq!(store.count(&home()).await?, 1, "an empty value is counted");
    store.remove("empty").await?;
    require!(
        store.entry("empty").await?.is_none(),
        "a deleted empty value is missing"
    );
    Ok(())
}

async fn megabyte_value_roundtrips(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let random = SeededRandom::new(7);
    let value: Vec<u8> = (0..131_072)
        .flat_map(|_| random.next_u64().to_le_bytes())
        .collect();
    store.write("big", value.clone()).await?;
    require!(
        store.present("big").await?.value() == value,
        "a value of 1 MiB comes back unchanged"
    );
    Ok(())
}

async fn overwrite_replaces_the_value(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for value in ["a rather long first value", "b", "", "the last"] {
        store.write("k", value).await?;
        require_eq!(
            store.read("k").await?.as_deref(),
            Some(value),
            "the last write is read"
        );
    }
    require_eq!(store.count(&home()).await?, 1, "overwriting adds no entry");
    Ok(())
}

async fn get_returns_revision_of_the_write(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let first = store.write("a", "1").await?;
    let second = store.write("b", "1").await?;
    require!(first > Revision::ZERO, "no commit has revision 0");
    require!(second > first, "revisions increase");
    require_eq!(
        store.present("a").await?.revision(),
        first,
        "an entry has its write's revision"
    );
    require_eq!(
        store.present("b").await?.revision(),
        second,
        "an entry has its write's revision"
    );
    Ok(())
}

async fn revision_changes_on_same_value(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let first = store.write("a", "same").await?;
    let second = store.write("a", "same").await?;
    require!(
        second > first,
        "writing the same value again is a commit of its own"
    );
    require_eq!(
        store.present("a").await?.revision(),
        second,
        "the entry has the newer revision"
    );
    Ok(())
}

async fn delete_removes(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let written = store.write("a", "1").await?;
    store.write("b", "2").await?;
    let deleted = store.remove("a").await?;
    require!(deleted > written, "a delete has a revision of its own");
    require_eq!(store.read("a").await?, None, "a deleted key is missing");
    require_eq!(store.list(home()).await?, ["b"], "a scan does not see it either");
    Ok(())
}

async fn delete_missing_ok(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.remove("never there").await?;
    store.write("a", "1").await?;
    store.remove("a").await?;
    store.remove("a").await?;
    require_eq!(store.count(&home()).await?, 0, "nothing is left");
    Ok(())
}

async fn longest_partition_and_path_roundtrip(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let longest = vec![0xff_u8; Partition::MAX_BYTES];
    for byte in [0, b'a', 0xff] {
        let key = key_in(&longest, vec![byte; Key::MAX_PATH_BYTES]);
        store.put(key.clone(), vec![byte]).await?;
        let entry = store.get(&key).await?;
        require!(
            entry.is_some_and(|entry| entry.value() == [byte]),
            "the longest key of byte {byte} works"
        );
    }
    let found = store
        .count(&stead_core::KeyRange::partition(&partition(&longest)))
        .await?;
    require_eq!(found, 3, "the longest keys are scanned");
    Ok(())
}

async fn empty_path_is_a_key(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("", "root").await?;
    store.write("a", "leaf").await?;
    require_eq!(
        store.read("").await?.as_deref(),
        Some("root"),
        "the empty path holds a value"
    );
    require_eq!(store.list(home()).await?, ["", "a"], "the empty path comes first");
    store.remove("").await?;
    require_eq!(store.list(home()).await?, ["a"], "deleting it leaves the others");
    Ok(())
}

async fn unicode_and_newline_keys(cx: &Context) -> CaseResult {
    let paths = [
        "\n",
        "\r\n",
        "\t",
        "a\nb",
        "tschüß",
        "東京/駅",
        "🦀",
        "e\u{301}",
        "\u{e9}",
        " ",
        "a b ",
    ];
    hold_apart(cx, &paths).await
}

async fn injection_keys_inert(cx: &Context) -> CaseResult {
    let paths = [
        "'; DROP TABLE entries; --",
        "\" OR \"\"=\"",
        "../../etc/passwd",
        "*",
        "%",
        "_",
        "?",
        "[a-z]",
        "\\",
        "${HOME}",
        "{{7*7}}",
        "a\r\nSET b 1",
        "\0",
        "a\0b",
        "null",
        "",
    ];
    hold_apart(cx, &paths).await
}

async fn case_sensitive(cx: &Context) -> CaseResult {
    hold_apart(cx, &["key", "Key", "KEY", "kEY", "straße", "STRASSE"]).await
}

/// Each path holds its own value, and deleting one leaves the others.
async fn hold_apart(cx: &Context, paths: &[&str]) -> CaseResult {
    let store = cx.open().await?;
    for (number, path) in paths.iter().enumerate() {
        store.write(path, number.to_string()).await?;
    }
    for (number, path) in paths.iter().enumerate() {
        require_eq!(
            store.read(path).await?,
            Some(number.to_string()),
            "path {path:?} has its own value"
        );
    }
    let mut sorted: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    sorted.sort_unstable();
    require_eq!(
        store.list(home()).await?,
        sorted,
        "a scan gives each path in byte order"
    );
    for (number, path) in paths.iter().enumerate() {
        store.remove(path).await?;
        let left = store.count(&home()).await?;
        require_eq!(
            left,
            (paths.len() - number - 1) as u64,
            "deleting {path:?} deletes nothing else"
        );
    }
    Ok(())
}

async fn key_encoding_never_collides(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let pairs = [
        ("a", "b:c"),
        ("a:b", "c"),
        ("a", "b\0c"),
        ("a/b", "c"),
        ("a", "b/c"),
        ("ab", "c"),
        ("a", "bc"),
    ];
    for (number, (partition, path)) in pairs.iter().enumerate() {
        store.put(key_in(partition, path), number.to_string()).await?;
    }
    for (number, (partition, path)) in pairs.iter().enumerate() {
        let entry = store.get(&key_in(partition, path)).await?;
        let value = entry.map(|entry| text(&entry));
        require_eq!(
            value,
            Some(number.to_string()),
            "{partition:?} and {path:?} are one key of their own"
        );
    }
    Ok(())
}

async fn random_bytes_roundtrip(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let random = SeededRandom::new(11);
    let bytes = move |most: u64| -> Vec<u8> {
        let length = random.next_u64() % most;
        (0..length).map(|_| random.next_u64().to_le_bytes()[0]).collect()
    };
    let mut model = std::collections::BTreeMap::new();
    for _ in 0..400 {
        let (path, value) = (bytes(24), bytes(200));
        store.put(key(&path), value.clone()).await?;
        model.insert(path, value);
    }
    for (path, value) in &model {
        let entry = store.get(&key(path)).await?;
        require!(
            entry.is_some_and(|entry| entry.value() == value),
            "random bytes at {path:?} come back"
        );
    }
    let scanned = store.list(home()).await?.len();
    require_eq!(scanned, model.len(), "a scan gives each random key once");
    Ok(())
}

async fn bulk_get_missing_marked(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "1").await?;
    store.write("c", "3").await?;
    let keys = [key("c"), key("b"), key("a"), key("d")];
    let found = store.get_many(&keys).await?;
    let found: Vec<_> = found.iter().map(|entry| entry.as_ref().map(text)).collect();
    let expected = [Some("3".to_owned()), None, Some("1".to_owned()), None];
    require_eq!(
        found,
        expected,
        "answers come in the order of the keys, missing ones marked"
    );
    Ok(())
}

async fn bulk_duplicate_keys_defined(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "1").await?;
    let keys = [key("a"), key("b"), key("a"), key("b"), key("a")];
    let found = store.get_many(&keys).await?;
    let found: Vec<_> = found.iter().map(Option::is_some).collect();
    require_eq!(
        found,
        [true, false, true, false, true],
        "a key named twice is answered twice"
    );
    Ok(())
}

async fn empty_bulk_noop(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "1").await?;
    require!(store.get_many(&[]).await?.is_empty(), "no keys give no answers");
    Ok(())
}

async fn bulk_get_over_partitions(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for name in ["p1", "p2", "p3"] {
        store.put(key_in(name, "k"), name).await?;
    }
    let keys = [
        key_in("p3", "k"),
        key_in("p1", "k"),
        key_in("p4", "k"),
        key_in("p2", "k"),
    ];
    let found = store.get_many(&keys).await?;
    let found: Vec<_> = found.iter().map(|entry| entry.as_ref().map(text)).collect();
    let expected = [
        Some("p3".to_owned()),
        Some("p1".to_owned()),
        None,
        Some("p2".to_owned()),
    ];
    require_eq!(found, expected, "keys of several partitions are read in one call");
    Ok(())
}

async fn another_task_reads_what_was_acknowledged(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..100 {
        let revision = store.write("a", round.to_string()).await?;
        let reader = store.clone();
        let seen = tokio::spawn(async move { reader.present("a").await }).await??;
        require_eq!(
            seen.revision(),
            revision,
            "an acknowledged write is visible to every task"
        );
    }
    Ok(())
}

async fn exists_and_count_agree_with_get(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..300 {
        store.write(&nth(number), "x").await?;
    }
    for number in (0..300).step_by(3) {
        store.remove(&nth(number)).await?;
    }
    require_eq!(store.count(&home()).await?, 200, "count sees just what is there");
    require!(store.exists(&key(nth(1))).await?, "what is there exists");
    require!(
        !store.exists(&key(nth(3))).await?,
        "what was deleted does not exist"
    );
    Ok(())
}

async fn clear_removes_the_range_alone(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..1_500 {
        store.write(&format!("in/{number:04}"), "x").await?;
    }
    for path in ["in", "in0", "im/9", "out/1"] {
        store.write(path, "stays").await?;
    }
    let removed = store.clear(&crate::support::prefix("in/")).await?;
    require_eq!(removed, 1_500, "clear tells how many entries went");
    require_eq!(
        store.list(home()).await?,
        ["im/9", "in", "in0", "out/1"],
        "neighbours of the range stay"
    );
    Ok(())
}
