//! Settings from a file.

use std::path::Path;

use serde::Deserialize;
use stead_core::{Error, Result};

/// The settings in a file such as `stead.toml`. Unknown ones are refused.
///
/// ```
/// let config = stead::Config::from_toml("store = \"redb:./data?durability=buffered\"")?;
/// assert_eq!(config.store.as_deref(), Some("redb:./data?durability=buffered"));
/// # Ok::<(), stead::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The URL of the store, for [`open`](crate::open).
    pub store: Option<String>,
}

impl Config {
    /// Reads settings written in TOML.
    ///
    /// # Errors
    ///
    /// `Invalid` for anything that is not TOML, unknown settings and wrong types.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|cause| {
            let message = cause.message().to_owned();
            Error::invalid("malformed settings")
                .with("problem", message)
                .because(cause)
        })
    }

    /// Reads the settings in the file at `path`; `None` if there is no such file.
    ///
    /// # Errors
    ///
    /// As [`from_toml`](Config::from_toml), and `Unavailable` for a file that cannot be read. Both name the file.
    pub fn from_file(path: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => {
                return Err(Error::unavailable("cannot read the settings")
                    .with("file", path.display())
                    .because(cause));
            }
        };
        Self::from_toml(&text)
            .map(Some)
            .map_err(|error| error.with("file", path.display()))
    }
}
