//! What is refused for its size, for want of room, or because the store is open for reading only.

use std::collections::BTreeMap;
use std::path::Path;

use stead_core::{BackendExt, Error, ErrorKind, Expect, Limits, ReadExt, Scan, WriteBatch};

use crate::harness::{CaseResult, Context, cases, require, require_eq};
use crate::support::{Reading, Store, after, home, key, nth};

cases![
    value_at_the_limit_is_accepted,
    value_over_the_limit_typed_error,
    too_large_value_leaves_the_store_as_it_was,
    small_limits_are_declared: LIMITS,
    too_big_batch_typed_error: LIMITS,
    too_many_operations_typed_error: LIMITS,
    batch_at_the_limits_is_accepted: LIMITS,
    too_many_keys_of_a_bulk_get_typed_error: LIMITS,
    conditions_count_as_operations: LIMITS,
    full_store_says_so: CAPACITY,
    full_store_reads_deletes_and_overwrites: CAPACITY,
    refused_for_room_writes_nothing: CAPACITY,
    batch_that_makes_its_own_room: CAPACITY,
    expiry_makes_room: CAPACITY + TTL,
    read_only_open_reads: READ_ONLY + PERSISTENCE,
    read_only_open_refuses_writes: READ_ONLY + PERSISTENCE,
    read_only_open_never_writes: READ_ONLY + PERSISTENCE,
    read_only_open_hides_expired: READ_ONLY + PERSISTENCE + TTL,
];

const SMALL: Limits = Limits {
    value_bytes: 1_000,
    batch_bytes: 5_000,
    batch_operations: 20,
    nesting_depth: 8,
};

async fn small(cx: &Context) -> CaseResult<Store> {
    let mut options = cx.options();
    if cx.offers_limits() {
        options.limits = Some(SMALL);
    }
    cx.open_with(&options).await
}

fn is_invalid_with(error: &Error, context: &str) -> bool {
    error.kind() == ErrorKind::Invalid && error.context().any(|(name, _)| name == context)
}

async fn value_at_the_limit_is_accepted(cx: &Context) -> CaseResult {
    let store = small(cx).await?;
    let limit = store.capabilities().limits.value_bytes;
    store.write("a", vec![7; limit]).await?;
    require_eq!(
        store.present("a").await?.value().len(),
        limit,
        "the limit itself is allowed"
    );
    Ok(())
}

async fn value_over_the_limit_typed_error(cx: &Context) -> CaseResult {
    let store = small(cx).await?;
    let limit = store.capabilities().limits.value_bytes;
    let error = store
        .refuse(WriteBatch::new().put(key("a"), vec![b'v'; limit + 1]))
        .await?;
    require!(
        is_invalid_with(&error, "limit_bytes"),
        "the error is typed and names the limit: {error}"
    );
    require!(
        error.to_string().contains(&limit.to_string()),
        "with its number: {error}"
    );
    require!(!error.to_string().contains("vvv"), "and never shows the value");
    Ok(())
}

async fn too_large_value_leaves_the_store_as_it_was(cx: &Context) -> CaseResult {
    let store = small(cx).await?;
    let before = store.write("a", "1").await?;
    let too_large = vec![0; store.capabilities().limits.value_bytes + 1];
    let batch = WriteBatch::new()
        .put(key("b"), "2")
        .delete(key("a"))
        .put(key("c"), too_large)
        .put(key("d"), "2");
    store.refuse(batch).await?;
    require_eq!(
        store.list(home()).await?,
        ["a"],
        "nothing of the batch was written"
    );
    require_eq!(
        store.present("a").await?.revision(),
        before,
        "what was there is as it was"
    );
    require_eq!(store.stats().await?.entries, 1, "by the numbers too");
    Ok(())
}

async fn small_limits_are_declared(cx: &Context) -> CaseResult {
    let store = small(cx).await?;
    require_eq!(
        store.capabilities().limits,
        SMALL,
        "a store declares the limits that it was given"
    );
    Ok(())
}

async fn too_big_batch_typed_error(cx: &Context) -> CaseResult {
    let store = small(cx).await?;
    let batch = (0..6).fold(WriteBatch::new(), |batch, number| {
        batch.put(key(nth(number)), vec![0; 900])
    });
    let error = store.refuse(batch).await?;
    require!(
        is_invalid_with(&error, "limit_bytes"),
        "the error is typed and names the limit: {error}"
    );
    require_eq!(store.count(&home()).await?, 0, "nothing of it was written");
    Ok(())
}

async fn too_many_operations_typed_error(cx: &Context) -> CaseResult {
    let store = small(cx).await?;
    let batch = (0..21).fold(WriteBatch::new(), |batch, number| {
        batch.put(key(nth(number)), "x")
    });
    let error = store.refuse(batch).await?;
    require!(
        is_invalid_with(&error, "limit"),
        "the error is typed and names the limit: {error}"
    );
    require_eq!(store.count(&home()).await?, 0, "nothing of it was written");
    Ok(())
}

async fn batch_at_the_limits_is_accepted(cx: &Context) -> CaseResult {
    let store = small(cx).await?;
    store
        .commit((0..20).fold(WriteBatch::new(), |batch, number| {
            batch.put(key(nth(number)), "x")
        }))
        .await?;
    let key_bytes = key(nth(0)).as_bytes().len();
    let value = vec![0; 1_000 - key_bytes];
    store
        .commit((0..5).fold(WriteBatch::new(), |batch, number| {
            batch.put(key(nth(number)), value.clone())
        }))
        .await?;
    require_eq!(
        store.count(&home()).await?,
        20,
        "what is just within the limits is written"
    );
    Ok(())
}

async fn too_many_keys_of_a_bulk_get_typed_error(cx: &Context) -> CaseResult {
    let store = small(cx).await?;
    let keys: Vec<_> = (0..21).map(|number| key(nth(number))).collect();
    require_eq!(
        store.get_many(&keys[..20]).await?.len(),
        20,
        "the limit itself is allowed"
    );
    match store.get_many(&keys).await {
        Ok(_) => Err(crate::harness::Failure::new("more keys than the limit were read")),
        Err(error) => {
            require!(
                is_invalid_with(&error, "limit"),
                "the error is typed and names the limit: {error}"
            );
            Ok(())
        }
    }
}

async fn conditions_count_as_operations(cx: &Context) -> CaseResult {
    let store = small(cx).await?;
    let conditions = |count| {
        (0..count).fold(WriteBatch::new(), |batch, number| {
            batch.expect(key(nth(number)), Expect::Absent)
        })
    };
    store.commit(conditions(19).put(key("a"), "1")).await?;
    store.refuse(conditions(20).put(key("b"), "1")).await?;
    require_eq!(store.read("b").await?, None, "nothing was written");
    Ok(())
}

/// A store with room for 50 entries, full.
async fn full(cx: &Context) -> CaseResult<Store> {
    let mut options = cx.options();
    options.capacity_entries = Some(50);
    let store = cx.open_with(&options).await?;
    for number in 0..50 {
        store.write(&nth(number), "x").await?;
    }
    Ok(store)
}

async fn full_store_says_so(cx: &Context) -> CaseResult {
    let store = full(cx).await?;
    for _ in 0..3 {
        let error = store.refuse(WriteBatch::new().put(key("more"), "x")).await?;
        require_eq!(
            error.kind(),
            ErrorKind::Full,
            "a store without room says so: {error}"
        );
    }
    require_eq!(
        store.count(&home()).await?,
        50,
        "no other entry was thrown out for it"
    );
    Ok(())
}

async fn full_store_reads_deletes_and_overwrites(cx: &Context) -> CaseResult {
    let store = full(cx).await?;
    require_eq!(
        store.read(&nth(7)).await?.as_deref(),
        Some("x"),
        "a full store reads"
    );
    store.write(&nth(7), "y").await?;
    store.remove(&nth(8)).await?;
    store.write("more", "x").await?;
    require_eq!(store.count(&home()).await?, 50, "what was deleted makes room");
    Ok(())
}

async fn refused_for_room_writes_nothing(cx: &Context) -> CaseResult {
    let store = full(cx).await?;
    store.remove(&nth(0)).await?;
    let before = store.list(home()).await?;
    let batch = WriteBatch::new()
        .put(key("m1"), "x")
        .put(key(nth(5)), "new")
        .put(key("m2"), "x");
    let error = store.refuse(batch).await?;
    require_eq!(
        error.kind(),
        ErrorKind::Full,
        "there is room for one of two: {error}"
    );
    require_eq!(store.list(home()).await?, before, "none of the batch was written");
    require_eq!(
        store.read(&nth(5)).await?.as_deref(),
        Some("x"),
        "not what would have fitted either"
    );
    Ok(())
}

async fn batch_that_makes_its_own_room(cx: &Context) -> CaseResult {
    let store = full(cx).await?;
    store
        .commit(WriteBatch::new().delete(key(nth(0))).put(key("new"), "x"))
        .await?;
    require_eq!(store.count(&home()).await?, 50, "one goes, one comes");
    Ok(())
}

async fn expiry_makes_room(cx: &Context) -> CaseResult {
    let store = full(cx).await?;
    store.write_with(&nth(0), "x", after(10)).await?;
    cx.clock().advance_millis(10);
    cx.swept(&store, 49).await?;
    store.write("new", "x").await?;
    require_eq!(store.count(&home()).await?, 50, "what was swept makes room");
    Ok(())
}

/// Ten entries, one of them with a deadline if the store has those, opened again for reading only.
async fn read_only(cx: &Context) -> CaseResult<Store> {
    let store = cx.open().await?;
    for number in 0..10 {
        store.write(&nth(number), "x").await?;
    }
    if store.capabilities().ttl {
        store.write_with("mortal", "x", after(10)).await?;
    }
    store.close().await?;
    drop(store);
    open_read_only(cx).await
}

async fn open_read_only(cx: &Context) -> CaseResult<Store> {
    let mut options = cx.options();
    options.read_only = true;
    cx.open_with(&options).await
}

async fn read_only_open_reads(cx: &Context) -> CaseResult {
    let store = read_only(cx).await?;
    require!(
        !store.capabilities().writable,
        "it declares that it does not write"
    );
    require_eq!(
        store.read(&nth(3)).await?.as_deref(),
        Some("x"),
        "point reads work"
    );
    require_eq!(
        store.collect(&Scan::new(home()).limit(10)).await?.len(),
        10,
        "scans too"
    );
    store
        .commit(WriteBatch::new().expect(key(nth(3)), Expect::Present))
        .await?;
    store.stats().await?;
    store.check(&|_| ()).await?;
    store.close().await?;
    Ok(())
}

async fn read_only_open_refuses_writes(cx: &Context) -> CaseResult {
    let store = read_only(cx).await?;
    for batch in [
        WriteBatch::new().put(key("a"), "1"),
        WriteBatch::new().delete(key(nth(0))),
        WriteBatch::new().touch(key(nth(0)), stead_core::Expiry::Never),
    ] {
        let error = store.refuse(batch).await?;
        require_eq!(
            error.kind(),
            ErrorKind::Unsupported,
            "a store open for reading refuses to write: {error}"
        );
    }
    require!(store.clear(&home()).await.is_err(), "clearing is writing");
    let store = cx.reopen(store).await?;
    require!(store.exists(&key(nth(0))).await?, "nothing was changed");
    require!(!store.exists(&key("a")).await?, "nothing was added");
    Ok(())
}

async fn read_only_open_never_writes(cx: &Context) -> CaseResult {
    let store = read_only(cx).await?;
    store.close().await?;
    drop(store);
    let before = files(cx.place().dir())?;
    let store = open_read_only(cx).await?;
    cx.clock().advance_millis(10);
    store.list(home()).await?;
    store.read("mortal").await?;
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    store.close().await?;
    drop(store);
    require!(
        files(cx.place().dir())? == before,
        "reading a store changed its files"
    );
    Ok(())
}

/// The files under a directory and what is in them.
fn files(dir: &Path) -> CaseResult<BTreeMap<std::path::PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.insert(path.clone(), std::fs::read(&path)?);
        }
    }
    Ok(found)
}

async fn read_only_open_hides_expired(cx: &Context) -> CaseResult {
    let store = read_only(cx).await?;
    require!(
        store.exists(&key("mortal")).await?,
        "before its deadline it is there"
    );
    cx.clock().advance_millis(10);
    require!(
        !store.exists(&key("mortal")).await?,
        "past it, it is hidden though nobody may sweep it"
    );
    require_eq!(store.count(&home()).await?, 10, "from scans as well");
    Ok(())
}
