//! Which partitions there are, over all shards.

use std::collections::BTreeMap;

use stead_core::{KeyRange, Partition, Result, Scan};

use crate::cursor::RedisCursor;
use crate::inner::Inner;
use crate::snapshot::View;

/// The first partitions in `range` that hold a visible entry, at most `limit`. Costs one short scan for each, and one for
/// each shard.
pub(crate) async fn list(
    inner: &Inner,
    range: &KeyRange,
    limit: usize,
    view: Option<&View>,
) -> Result<Vec<Partition>> {
    // The next partition of each shard. A partition lies in one shard only, so that none is named twice.
    let mut next = BTreeMap::new();
    for shard in 0..inner.shards.len() {
        if let Some(first) = first_in(inner, shard, range, view).await? {
            next.insert(first, shard);
        }
    }
    let mut partitions = Vec::new();
    while partitions.len() < limit {
        let Some((partition, shard)) = next.pop_first() else {
            break;
        };
        let rest = range.after_partition(&partition);
        partitions.push(partition);
        if let Some(first) = first_in(inner, shard, &rest, view).await? {
            next.insert(first, shard);
        }
    }
    Ok(partitions)
}

async fn first_in(
    inner: &Inner,
    shard: usize,
    range: &KeyRange,
    view: Option<&View>,
) -> Result<Option<Partition>> {
    let scan = Scan::new(range.clone()).keys_only().limit(1).page_size(1);
    let page = RedisCursor::of_shard(inner, shard, &scan, view).page().await?;
    Ok(page.first().map(|item| item.key.partition()))
}
