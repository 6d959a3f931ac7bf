//! The sled engine of Stead: an embedded store in one directory, in pure Rust.

mod commit;
mod compress;
mod config;
mod engine;
mod error;
mod files;
mod layers;
mod ledger;
mod record;
mod seal;
mod shared;
mod view;

pub use config::SledConfig;
pub use engine::SledEngine;
pub use stead_embedded::{Embedded, EmbeddedOptions};
pub use view::SledView;

use std::sync::Arc;

use stead_core::{Backend, Error, Reply, Result, StoreUrl};

/// Opens the store that `config` names, or makes one there.
pub fn open(config: &SledConfig, options: EmbeddedOptions) -> Result<Arc<Embedded<SledEngine>>> {
    if options.is_read_only() {
        return Err(Error::unsupported(
            "sled cannot open a store for reading only; open it for writing, or copy it with its export",
        )
        .during("open"));
    }
    let path = config.path().display().to_string();
    let engine = SledEngine::open(config)?;
    Embedded::open(engine, options).map_err(|error| error.with("path", path).during("open"))
}

/// Opens the store at a URL
pub fn open_url(mut url: StoreUrl) -> Reply<'static, Arc<dyn Backend>> {
    let parsed = (|| {
        if url.place().is_empty() {
            return Err(Error::invalid("the URL names no directory; write sled:./data"));
        }
        let mut config = SledConfig::new(url.place());
        if let Some(size_bytes) = url.take_bytes("cache")? {
            config = config.with_cache_capacity(size_bytes);
        }
        if let Some(compress) = url.take_bool("compression")? {
            config = config.with_compression(compress);
        }
        if let Some(commits) = url.take_number("flush_every")? {
            config = config.with_flush_every(commits);
        }
        let options = EmbeddedOptions::from_url(&mut url)?;
        url.finish()?;
        Ok((config, options))
    })();
    match parsed {
        Ok((config, options)) => {
            stead_embedded::off_thread(move || Ok(open(&config, options)? as Arc<dyn Backend>))
        }
        Err(error) => Reply::fail(error.during("open")),
    }
}
