//! `stead stats` and `stead check`.

use std::sync::Arc;

use clap::Args;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::json;
use stead::codec::{DecodeLimits, Envelope};
use stead::core::{Backend, CheckReport, KeyRange, Scan, Strength};
use stead::state::decode_key;
use tokio::runtime::Handle;

use super::Session;
use super::set::lost;
use crate::exit::Result;
use crate::progress;
use crate::sorted::Sorted;

/// Print numbers about the store
#[derive(Args, Debug)]
pub(crate) struct Stats {}

/// Read every record and index of the store and compare them
///
/// Also takes the checksum of every value. Exits with 5 at the first thing that does not fit, and with 2 where all fits and
/// a restore into the store was cut short.
#[derive(Args, Debug)]
pub(crate) struct Check {}

pub(crate) async fn stats(session: &mut Session) -> Result<()> {
    let backend = &session.store.backend;
    let stats = backend.stats().await?;
    let capabilities = backend.capabilities();
    if session.output.is_json() {
        let object = json!({
            "backend": capabilities.name,
            "entries": stats.entries,
            "bytes": stats.bytes,
            "disk_bytes": stats.disk_bytes,
            "revision": stats.revision.get(),
            "oldest_revision": stats.oldest_revision.get(),
        });
        return session.output.json(&Sorted(&object));
    }
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.add_row(["backend", capabilities.name]);
    table.add_row(["durable writes survive", survives(capabilities.durable)]);
    table.add_row(["entries", &stats.entries.to_string()]);
    table.add_row(["bytes of keys and values", &stats.bytes.to_string()]);
    if let Some(bytes) = stats.disk_bytes {
        table.add_row(["bytes on disk", &bytes.to_string()]);
    }
    table.add_row(["newest revision", &stats.revision.to_string()]);
    table.add_row(["watch --from at least", &stats.oldest_revision.to_string()]);
    session.output.text(&table.trim_fmt());
    Ok(())
}

fn survives(strength: Strength) -> &'static str {
    match strength {
        Strength::Volatile => "nothing",
        Strength::ProcessCrash => "the end of the process",
        Strength::PowerLoss => "a power failure",
        Strength::Replicated => "the loss of a machine",
    }
}

pub(crate) async fn check(session: &mut Session) -> Result<()> {
    let report = records(&session.store.backend).await?;
    let values = values(&session.store.backend, report.entries).await?;
    stead::backup::check_finished(&*session.store.backend).await?;
    let (entries, records) = (report.entries, report.records);
    let text = format!("ok: {entries} entries, {values} values, {records} records");
    let object = json!({"ok": true, "entries": entries, "values": values, "records": records});
    session.output.either(&text, &Sorted(&object))
}

/// Checks the store's records and indexes, which blocks, on a thread of its own.
pub(super) async fn records(backend: &Arc<dyn Backend>) -> Result<CheckReport> {
    let backend = Arc::clone(backend);
    let runtime = Handle::current();
    let checking = tokio::task::spawn_blocking(move || {
        let bar = progress::count("records");
        let tell = |records| bar.set_position(records);
        let report = runtime.block_on(backend.check(&tell));
        bar.finish_and_clear();
        report
    });
    Ok(checking.await.map_err(lost)??)
}

/// Takes the checksum of every value that is a scope's. Returns how many there were.
pub(super) async fn values(backend: &Arc<dyn Backend>, entries: u64) -> Result<u64> {
    let limits = DecodeLimits::from(&backend.capabilities().limits);
    let bar = progress::things(entries, "values");
    let mut cursor = backend.scan(&Scan::new(KeyRange::all()))?;
    let mut values = 0;
    loop {
        let page = cursor.next_page().await?;
        if page.is_empty() {
            bar.finish_and_clear();
            return Ok(values);
        }
        for item in &page {
            // What is not a scope's was written by somebody else, in a form of their own.
            let (Ok((scope, key)), Some(entry)) = (decode_key(&item.key), &item.entry) else {
                continue;
            };
            Envelope::parse(entry.value(), &limits)
                .map_err(|error| error.with("scope", scope).with("key", key.escape_debug()))?;
            values += 1;
        }
        bar.set_position(values);
        tokio::task::yield_now().await;
    }
}
