//! What is declared, and that what is not declared is refused. That what is declared works is shown by all other groups.

use stead_core::{
    BackendExt, Direction, ErrorKind, Expiry, KeyRange, ReadExt, RequestId, Scan, Strength, Timestamp,
    WatchSpec, WriteBatch,
};

use crate::harness::{CaseResult, Context, Failure, cases, require, require_eq};
use crate::support::{Reading, Store, after, home, key, key_in};

cases![
    declared_capabilities_match,
    declaration_is_consistent,
    undeclared_ttl_refused: NO_TTL,
    undeclared_counts_refused: NO_COUNTS,
    undeclared_reverse_scan_refused: NO_REVERSE,
    undeclared_snapshot_refused: NO_SNAPSHOTS,
    undeclared_watch_refused: NO_WATCH,
    undeclared_request_id_refused: NO_REQUEST_IDS,
    undeclared_batch_over_partitions_refused: NO_STORE_ATOMICITY,
    undeclared_scan_over_partitions_refused: NO_STORE_ORDER,
    undeclared_watch_over_partitions_refused: NO_STORE_ORDER + WATCH,
];

async fn declared_capabilities_match(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    require_eq!(
        *store.capabilities(),
        cx.claimed(),
        "the store declares what its subject says of it"
    );
    Ok(())
}

async fn declaration_is_consistent(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let declared = store.capabilities();
    require!(!declared.name.is_empty(), "a backend has a name");
    require!(declared.writable, "a store opened for writing is writable");
    require!(
        declared.durable >= declared.buffered,
        "a durable write survives at least what a buffered one does"
    );
    require!(
        declared.persistent || declared.durable == Strength::Volatile,
        "what survives a crash is found again after opening"
    );
    require!(
        declared.atomicity <= declared.revision_order,
        "a batch over partitions has one revision in all of them"
    );
    let limits = declared.limits;
    require!(
        limits.value_bytes > 0 && limits.batch_bytes >= limits.value_bytes && limits.batch_operations > 0,
        "limits leave room for a batch of one value: {limits:?}"
    );
    Ok(())
}

/// A batch with what is not declared is refused as such, and nothing of it is written.
async fn refused_whole(store: &Store, batch: WriteBatch) -> CaseResult {
    let error = store.refuse(batch.put(key("beside"), "x")).await?;
    require_eq!(
        error.kind(),
        ErrorKind::Unsupported,
        "what is not declared is unsupported: {error}"
    );
    require_eq!(
        store.count(&home()).await?,
        0,
        "nothing of a refused batch is written"
    );
    Ok(())
}

#[track_caller]
fn refused_at_once<T>(result: stead_core::Result<T>) -> CaseResult {
    match result {
        Ok(_) => Err(Failure::new("what is not declared was accepted")),
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
        Err(error) => Err(Failure::new(format!(
            "refused, but not as unsupported: {error:?}"
        ))),
    }
}

async fn undeclared_ttl_refused(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    refused_whole(&store, WriteBatch::new().put_with(key("a"), "1", after(1_000))).await?;
    let never = Expiry::At(Timestamp::from_millis(u64::MAX - 1));
    refused_whole(&store, WriteBatch::new().put_with(key("a"), "1", never)).await?;
    refused_whole(&store, WriteBatch::new().touch(key("a"), after(1_000))).await?;
    store.write_with("a", "1", Expiry::Keep).await?;
    require_eq!(
        store.present("a").await?.deadline(),
        None,
        "keeping no deadline is no deadline"
    );
    Ok(())
}

async fn undeclared_counts_refused(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    refused_whole(&store, WriteBatch::new().expect_count(home(), 0)).await
}

async fn undeclared_reverse_scan_refused(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    refused_at_once(store.scan(&Scan::new(home()).direction(Direction::Reverse)))
}

async fn undeclared_snapshot_refused(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    refused_at_once(store.snapshot().await)
}

async fn undeclared_watch_refused(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    refused_at_once(store.watch(&WatchSpec::new(home())))
}

async fn undeclared_request_id_refused(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    refused_whole(&store, WriteBatch::new().request_id(RequestId::new("once")?)).await
}

async fn undeclared_batch_over_partitions_refused(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    refused_whole(&store, WriteBatch::new().put(key_in("other", "a"), "1")).await?;
    let conditional = WriteBatch::new().expect(key_in("other", "a"), stead_core::Expect::Absent);
    refused_whole(&store, conditional).await?;
    require!(
        store.get(&key_in("other", "a")).await?.is_none(),
        "nothing is written in the other partition"
    );
    Ok(())
}

async fn undeclared_scan_over_partitions_refused(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.put(key_in("other", "a"), "1").await?;
    refused_at_once(store.scan(&Scan::new(KeyRange::all())))
}

async fn undeclared_watch_over_partitions_refused(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    refused_at_once(store.watch(&WatchSpec::new(KeyRange::all())))
}
