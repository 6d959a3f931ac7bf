//! What is done in the background.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stead_core::{Error, Result};
use stead_network::Repeat;

use crate::batch::Argument;
use crate::inner::{Inner, count};
use crate::record::{self, halves};
use crate::scripts::SWEEP;
use crate::snapshot::register;

/// How long the server keeps a snapshot whose process no longer says that it holds it.
pub(crate) const LEASE: Duration = Duration::from_secs(60);
/// How often leases are renewed.
pub(crate) const RENEWAL: Duration = Duration::from_secs(20);
/// How often watches look for themselves, in case that an announcement was lost.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

/// How many entries one script removes: fewer than a server notices.
const BATCH: u64 = 256;

/// Removes what is past its deadline or its age, in every shard. What fails is tried again in the next round.
pub(crate) async fn round(inner: Option<Arc<Inner>>) {
    let Some(inner) = inner else { return };
    for shard in 0..inner.shards.len() {
        while let Ok(true) = sweep(&inner, shard).await {
            if inner.gate.is_closed() {
                return;
            }
        }
    }
}

/// Sweeps once, and tells whether there may be more to do.
async fn sweep(inner: &Inner, shard: usize) -> Result<bool> {
    let network = &inner.options.network;
    let now = inner.clock().now();
    let [now_high, now_low] = halves(now);
    // Members begin with their deadline: all up to this bound have passed.
    let mut bound = vec![b'('];
    bound.extend_from_slice(&now.as_millis().saturating_add(1).to_be_bytes());
    let arguments: [Argument; 8] = [
        inner.lineage.clone().into(),
        inner.shards[shard].channel.clone().into(),
        now_high.into(),
        now_low.into(),
        network.change_retention.to_string().into(),
        Argument::Bytes(bound),
        BATCH.to_string().into(),
        network.request_age.as_micros().to_string().into(),
    ];
    // Sweeping twice removes nothing twice.
    let mut parts = inner.ask(shard, &SWEEP, Repeat::SafeWrite, &arguments).await?;
    let removed = record::number(&record::next(&mut parts)?)?;
    let freed = record::number(&record::next(&mut parts)?)?;
    count(&inner.counters.expired, removed);
    Ok(removed >= BATCH || freed >= 500)
}

/// Renews the leases of the snapshots that are held.
pub(crate) async fn renew(inner: Option<Arc<Inner>>) {
    let Some(inner) = inner else { return };
    let ids = inner.snapshots.ids();
    if ids.is_empty() {
        return;
    }
    for shard in 0..inner.shards.len() {
        // A snapshot whose lease could not be renewed tells its readers.
        drop::<Result<_, Error>>(register(&inner, shard, "r", &ids).await);
    }
}

/// Wakes watches that may have missed an announcement, every twentieth time. Those that were refused announcements live
/// by this, and are woken each time.
pub(crate) async fn look(inner: Option<Arc<Inner>>) {
    let Some(inner) = inner else { return };
    let looks = inner.looks.fetch_add(1, Ordering::Relaxed);
    if !inner.deaf.load(Ordering::Relaxed) && looks % 20 != 19 {
        return;
    }
    for (shard, watchers) in inner.shards.iter().zip(&inner.watchers) {
        if watchers.load(Ordering::Relaxed) > 0 {
            shard.signal.notify();
        }
    }
}
