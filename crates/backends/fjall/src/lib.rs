//! The fjall engine of Stead: an embedded store in one directory, without a server and without C.

mod closed;
mod config;
mod engine;
mod error;
mod journal;
mod manifest;
mod recovery;

pub use config::{Compression, FjallConfig};
pub use engine::{FjallEngine, FjallView};
pub use stead_embedded::{Embedded, EmbeddedOptions};

use std::sync::Arc;

use stead_core::{Backend, Error, Reply, Result, StoreUrl};

/// Opens the store that `config` names, or makes one there.
///
/// Blocks for as long as the disk takes: the journals are read, which hold what was not yet written to tables, at most
/// about [`FjallConfig::with_journal_bytes`].
///
/// # Errors
///
/// - `Invalid`: the path is a file, or a directory that holds something else, or there is no store and it was to be
///   opened for reading only.
/// - `Unavailable`: another process or another handle has it open, the path may not be written, or the disk failed.
/// - `Corrupt`: the files are damaged, are no store, or were written by a newer format.
pub fn open(config: &FjallConfig, options: EmbeddedOptions) -> Result<Arc<Embedded<FjallEngine>>> {
    let read_only = config.is_read_only() || options.is_read_only();
    let options = if read_only { options.read_only() } else { options };
    let config = if read_only {
        config.clone().read_only()
    } else {
        config.clone()
    };
    let path = config.path().display().to_string();
    let engine = FjallEngine::open(&config)?;
    Embedded::open(engine, options).map_err(|error| error.with("path", path).during("open"))
}

/// Opens the store at a URL such as `fjall:./data?durability=durable&cache=256MiB`, on a thread of its own.
///
/// Besides the options of [`EmbeddedOptions::from_url`] it takes these:
///
/// | option | what it sets |
/// |---|---|
/// | `cache` | [`FjallConfig::with_cache_bytes`], as in `256MiB` |
/// | `compression` | [`FjallConfig::with_compression`]: `none` or `lz4` |
/// | `write_buffer` | [`FjallConfig::with_write_buffer_bytes`], as in `64MiB` |
/// | `journal` | [`FjallConfig::with_journal_bytes`], as in `512MiB` |
///
/// # Errors
///
/// As [`open`], and `Invalid` for a URL without a path, unknown options and malformed values.
pub fn open_url(mut url: StoreUrl) -> Reply<'static, Arc<dyn Backend>> {
    let parsed = (|| {
        if url.place().is_empty() {
            return Err(Error::invalid("the URL names no directory; write fjall:./data"));
        }
        let mut config = FjallConfig::new(url.place());
        if let Some(size_bytes) = url.take_bytes("cache")? {
            config = config.with_cache_bytes(size_bytes);
        }
        if let Some(compression) = url.take_as("compression", Compression::parse)? {
            config = config.with_compression(compression);
        }
        if let Some(size_bytes) = url.take_bytes("write_buffer")? {
            config = config.with_write_buffer_bytes(size_bytes);
        }
        if let Some(size_bytes) = url.take_bytes("journal")? {
            config = config.with_journal_bytes(size_bytes);
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
