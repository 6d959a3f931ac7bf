//! `stead export` and `stead import` together: what comes in is what went out.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use stead::StateScope;
use stead::codec::{Codec, EnvelopeOptions, SchemaRef, StateClass};
use stead::core::{Backend, Expiry, Item, Key, KeyRange, Partition, ReadExt, Scan, Timestamp, WriteBatch};
use stead::state::{SetOptions, StateManager, encode_key};

use crate::support::Bench;

#[derive(Serialize, Deserialize)]
struct Record {
    name: String,
    steps: u64,
}

async fn fill(store: &Arc<dyn Backend>) -> stead::Result<()> {
    let state = StateManager::new(Arc::clone(store));
    let scopes = [
        StateScope::Global,
        StateScope::agent("planner/with slash"),
        StateScope::step("flow 1", "parse/head"),
        StateScope::custom("kind%", "id/ü"),
    ];
    let values = [
        json!(null),
        json!({"nested": [1, -2.5, "text \u{0}\u{1f}\u{2028}\"", true, {}]}),
        json!([0.1, 0.2 + 0.1, 1e300, 5e-324, -0.0, u64::MAX, i64::MIN]),
        json!("x".repeat(5_000)),
    ];
    let record = Record {
        name: "typed".to_owned(),
        steps: 3,
    };
    let deadline = Expiry::At(Timestamp::from_millis(4_102_444_800_123));
    for scope in scopes {
        for (index, value) in values.iter().enumerate() {
            state.set(&scope, &format!("value {index}"), value).await?;
        }
        for class in [StateClass::Standard, StateClass::Trusted] {
            for codec in [Codec::Json, Codec::MessagePack] {
                let options = SetOptions::default()
                    .with_class(class)
                    .with_codec(codec)
                    .with_expiry(deadline);
                let key = format!("{class} in {codec}");
                let _ = state.set_with(&scope, &key, &values[2], &options).await?;
            }
            let options = SetOptions::default().with_class(class);
            let _ = state
                .set_bytes_with(&scope, &format!("{class} bytes"), &[0, 255, 7], &options)
                .await?;
            let options = options.with_codec(Codec::Bincode);
            let _ = state
                .set_with(&scope, &format!("{class} record"), &record, &options)
                .await?;
        }
        // What JSON has no words for.
        let options = SetOptions::default().with_codec(Codec::MessagePack);
        let _ = state
            .set_with(&scope, "not a number", &f64::NAN, &options)
            .await?;
        let schema = EnvelopeOptions::default().with_schema(SchemaRef::new(7, 2));
        let stored = stead::codec::encode(&json!({"a": 1}), &schema)?;
        let batch = WriteBatch::new().put(encode_key(&scope, "under a schema")?, stored);
        store.apply(batch).await?.committed()?;
    }
    Ok(())
}

/// Everything but the revisions.
async fn contents(store: &Arc<dyn Backend>) -> stead::Result<Vec<(Key, Vec<u8>, Option<Timestamp>)>> {
    let items = store.collect(&Scan::new(KeyRange::all())).await?;
    let content = |item: Item| {
        let entry = item.entry?;
        Some((item.key, entry.value().to_vec(), entry.deadline()))
    };
    Ok(items.into_iter().filter_map(content).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_of_an_export_is_the_same_to_the_byte() {
    let (first, second) = (Bench::new(), Bench::new());
    let store = stead::open(first.url()).await.unwrap();
    fill(&store).await.unwrap();
    let wanted = contents(&store).await.unwrap();
    store.close().await.unwrap();
    drop(store);

    let file = first.path("all.jsonl");
    let file = file.to_str().unwrap();
    first.run(&["export", file]).done();
    second.run(&["import", file]).done();
    second.run(&["check"]).done();
    assert_eq!(
        second.run(&["export"]).done(),
        std::fs::read_to_string(file).unwrap()
    );

    let store = stead::open(second.url()).await.unwrap();
    let found = contents(&store).await.unwrap();
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_eq!(found, wanted, "{}", wanted.0);
    }
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sensitive_values_and_what_is_no_scopes_stay_inside() {
    let bench = Bench::filled();
    let store = stead::open(bench.url()).await.unwrap();
    let options = EnvelopeOptions::default().with_class(StateClass::Sensitive);
    let stored = stead::codec::encode(&json!("hunter2"), &options).unwrap();
    let foreign = Key::new(&Partition::new("somebody else's").unwrap(), "k").unwrap();
    let batch = WriteBatch::new()
        .put(encode_key(&StateScope::Global, "secret").unwrap(), stored)
        .put(foreign, "hunter2");
    store.apply(batch).await.unwrap().committed().unwrap();
    store.close().await.unwrap();
    drop(store);

    let ended = bench.run(&["export"]);
    assert_eq!(ended.code, 0);
    assert_eq!(
        ended.stderr,
        "note: 1 sensitive values were left out\nnote: 1 entries that are no scope's were left out\n"
    );
    assert_eq!(ended.stdout.lines().count(), 2);
    assert!(!ended.stdout.contains("hunter2"));
}

#[test]
fn a_value_that_is_damaged_is_found() {
    let bench = Bench::filled();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = stead::open(bench.url()).await.unwrap();
        let mut stored = stead::codec::encode(&json!("hunter2"), &EnvelopeOptions::default()).unwrap();
        *stored.last_mut().unwrap() ^= 1;
        let batch = WriteBatch::new().put(encode_key(&StateScope::Global, "bad").unwrap(), stored);
        store.apply(batch).await.unwrap().committed().unwrap();
        store.close().await.unwrap();
    });
    for arguments in [
        &["check"][..],
        &["export"],
        &["get", "global", "bad"],
        &["list", "global"],
    ] {
        let ended = bench.run(arguments).failed(5, &["error: "]);
        assert!(!ended.stderr.contains("hunter"), "{}", ended.stderr);
    }
    bench.run(&["check"]).failed(5, &["scope=global", "key=bad"]);
    // Half an export would look like a whole one.
    let path = bench.path("half.jsonl");
    bench.run(&["export", path.to_str().unwrap()]).failed(5, &[]);
    assert_eq!(
        std::fs::read_dir(bench.path("")).unwrap().count(),
        1,
        "nothing but the store is there"
    );
}

#[test]
fn an_export_keeps_the_file_that_was_there_until_it_is_whole() {
    let bench = Bench::filled();
    let path = bench.file("copy.jsonl", "older\n");
    bench.run(&["export", &path]).done();
    let copy = std::fs::read_to_string(&path).unwrap();
    assert_eq!(copy.lines().count(), 2);
    assert_eq!(copy, bench.run(&["export"]).done());
}

#[test]
fn what_has_passed_is_not_imported_as_if_it_had_not() {
    let bench = Bench::filled();
    let line = json!({"scope": "global", "key": "first", "value": "old", "deadline_ms": 1_000});
    let path = bench.file("old.jsonl", line.to_string());
    bench.run(&["import", &path]).done();
    bench
        .run(&["get", "global", "first"])
        .failed(1, &["there is no value"]);
}
