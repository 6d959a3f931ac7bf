//! What the crate of an engine gives beside its engine.

use std::path::Path;
use std::sync::Arc;

use stead_core::{Error, Result, StoreUrl};

use crate::{Embedded, EmbeddedOptions, Engine, StoreDirectory};

/// The settings of one engine, by which the kit opens its stores.
///
/// The settings that every embedded store has are in [`EmbeddedOptions`].
pub trait EngineConfig: Clone + Send + 'static {
    /// What they are settings of.
    type Engine: Engine;

    /// Takes the place and the options of the engine out of a URL, and leaves the others in it.
    ///
    /// # Errors
    ///
    /// `Invalid`, naming the option, for a value that is malformed.
    fn from_url(url: &mut StoreUrl) -> Result<Self>;

    /// The files beside the data that tell how the data are: they go where the data go. None unless said otherwise.
    const RECORDS: &'static [&'static str] = &[];

    /// The directory of the store.
    fn path(&self) -> &Path;

    /// These settings, for a store in the directory `path`.
    #[must_use]
    fn at(self, path: &Path) -> Self;

    /// How the store lies in its directory.
    fn directory(&self) -> StoreDirectory;

    /// Whether the engine opens for reading only.
    fn is_read_only(&self) -> bool;

    /// These settings, for reading only.
    ///
    /// # Errors
    ///
    /// `Unsupported` by an engine that cannot do that.
    fn reading_only(self) -> Result<Self>;

    /// Opens the engine, or makes its store.
    ///
    /// # Errors
    ///
    /// Whatever the crate of the engine says of its `open`. Errors name the path.
    fn open_engine(&self) -> Result<Self::Engine>;

    /// Adds to the shared options what the engine's settings ask of the kit. Nothing unless said otherwise.
    fn options(&self, options: EmbeddedOptions) -> EmbeddedOptions {
        options
    }
}

/// Opens the store that `config` names, or makes one there. It is opened for reading only if either of the two says so.
///
/// # Errors
///
/// Those of [`EngineConfig::open_engine`] and [`Embedded::open`], with the path; `Unsupported` for reading only, where
/// the engine cannot.
pub fn open_store<C: EngineConfig>(config: &C, options: EmbeddedOptions) -> Result<Arc<Embedded<C::Engine>>> {
    let located = |error: Error| error.with("path", config.path().display()).during("open");
    let mut options = config.options(options);
    let engine = if config.is_read_only() || options.is_read_only() {
        options = options.read_only();
        let config = config.clone().reading_only().map_err(located)?;
        config.open_engine()?
    } else {
        config.open_engine()?
    };
    Embedded::open(engine, options).map_err(located)
}
