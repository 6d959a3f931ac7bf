//! What a killed writer left on disk.

use std::process::Command;
use std::sync::Arc;

use stead::core::{Backend, KeyRange, ReadExt, Scan};
use stead::state::{StateManager, decode_key};
use tokio::runtime::Runtime;

use crate::load::{COUNTER, PLACES, address};
use crate::model::Found;

pub(crate) struct Holding {
    pub(crate) places: Vec<Option<Found>>,
    /// The newest revision of the store.
    pub(crate) revision: u64,
}

/// Opens the store in this process, checks it, reads it and closes it.
pub(crate) fn holding(runtime: &Runtime, url: &str) -> Result<Holding, String> {
    runtime
        .block_on(async {
            let store = stead::open(url).await?;
            let revision = store.stats().await?.revision.get();
            store.check(&|_| {}).await?;
            let places = places(&store).await?;
            store.close().await?;
            Ok(Holding { places, revision })
        })
        .map_err(|error: stead::Error| format!("{error:?}"))
}

async fn places(store: &Arc<dyn Backend>) -> stead::Result<Vec<Option<Found>>> {
    let mut places = vec![None; PLACES];
    let mut known: std::collections::HashMap<(String, String), usize> =
        (0..PLACES).map(|place| (address(place), place)).collect();
    let state = StateManager::new(Arc::clone(store));
    for item in store.collect(&Scan::new(KeyRange::all()).keys_only()).await? {
        let (scope, key) = decode_key(&item.key)?;
        if scope.to_string() == "tool:passing" {
            continue;
        }
        let place = known
            .remove(&(scope.to_string(), key.clone()))
            .ok_or_else(|| stead::Error::corrupt("a key that nobody wrote").with("key", &item.key))?;
        let entry = state.get_entry(&scope, &key).await?;
        let entry = entry.ok_or_else(|| stead::Error::corrupt("a key was listed but has no value"))?;
        let value = entry.value()?;
        let token = if place == COUNTER { &value } else { &value["token"] };
        places[place] = Some(Found {
            token: token
                .as_u64()
                .ok_or_else(|| stead::Error::corrupt("a value that nobody wrote"))?,
            revision: entry.revision().get(),
        });
    }
    Ok(places)
}

/// `stead check` finds nothing wrong.
pub(crate) fn check_by_command(url: &str) -> Result<(), String> {
    let output = Command::new(env!("CARGO_BIN_EXE_stead"))
        .args(["--store", url, "check"])
        .output()
        .map_err(|error| format!("cannot start the check: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(())
}
