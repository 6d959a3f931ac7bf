//! Settings from a file.

use std::path::Path;

use serde::{Deserialize, Deserializer};
use stead_core::{Error, Result, nearest};
use toml::{Table, Value};

/// The settings in a file such as `stead.toml`. Unknown ones are refused.
///
/// ```
/// let config = stead::Config::from_toml("store = \"redb:./data?durability=buffered\"")?;
/// assert_eq!(config.store.as_deref(), Some("redb:./data?durability=buffered"));
/// # Ok::<(), stead::Error>(())
/// ```
///
/// The store may stand there as a table instead, with the scheme, the place and the options of its URL:
///
/// ```
/// let config = stead::Config::from_toml(
///     r#"
///     [store]
///     scheme = "redb"
///     place = "./data"
///     durability = "buffered"
///     cache = "64MiB"
///     "#,
/// )?;
/// assert_eq!(config.store.as_deref(), Some("redb:./data?cache=64MiB&durability=buffered"));
/// # Ok::<(), stead::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Config {
    /// The URL of the store, for [`open`](crate::open), which refuses unknown options.
    #[serde(default, deserialize_with = "url")]
    pub store: Option<String>,
}

const SETTINGS: [&str; 1] = ["store"];

/// The URL as it stands there, or put together from a table.
fn url<'de, D: Deserializer<'de>>(source: D) -> std::result::Result<Option<String>, D::Error> {
    use serde::de::Error as _;

    let mut table = match Value::deserialize(source)? {
        Value::String(url) => return Ok(Some(url)),
        Value::Table(table) => table,
        _ => return Err(D::Error::custom("store is a URL or a table")),
    };
    let mut part = |name: &str| match table.remove(name) {
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(D::Error::custom(format!("store.{name} is a text"))),
        None => Ok(None),
    };
    let scheme =
        part("scheme")?.ok_or_else(|| D::Error::custom("store.scheme is missing, as in \"redb\""))?;
    let place = part("place")?.unwrap_or_default();
    let mut url = format!("{scheme}:{}", escaped(&place));
    for (count, (name, value)) in table.iter().enumerate() {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Boolean(flag) => flag.to_string(),
            _ => {
                return Err(D::Error::custom(format!(
                    "store.{name} is a text, a whole number, true or false"
                )));
            }
        };
        url.push(if count == 0 { '?' } else { '&' });
        url.push_str(&format!("{}={}", escaped(name), escaped(&text)));
    }
    Ok(Some(url))
}

/// What separates the parts of a URL, as a part of one.
fn escaped(text: &str) -> String {
    text.replace('%', "%25")
        .replace('?', "%3F")
        .replace('&', "%26")
        .replace('=', "%3D")
}

impl Config {
    /// Reads settings written in TOML.
    ///
    /// # Errors
    ///
    /// `Invalid` for anything that is not TOML, wrong types, and unknown settings, with the nearest known one.
    pub fn from_toml(text: &str) -> Result<Self> {
        let malformed = |cause: toml::de::Error| {
            let message = cause.message().to_owned();
            Error::invalid("malformed settings")
                .with("problem", message)
                .because(cause)
        };
        let settings: Table = toml::from_str(text).map_err(malformed)?;
        if let Some(unknown) = settings.keys().find(|name| !SETTINGS.contains(&name.as_str())) {
            let error = Error::invalid("unknown setting").with("setting", unknown.escape_default());
            let error = match nearest(unknown, SETTINGS) {
                Some(near) => error.with("did_you_mean", near),
                None => error,
            };
            return Err(error.with("known_settings", SETTINGS.join(", ")));
        }
        toml::from_str(text).map_err(malformed)
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
            Err(cause) if cause.kind() == std::io::ErrorKind::InvalidData => {
                return Err(Error::invalid("the settings are not UTF-8").with("file", path.display()));
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_settings_are_refused_with_the_nearest() {
        let error = Config::from_toml("stroe = \"memory:\"").unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown setting: setting=stroe did_you_mean=store known_settings=store"
        );
    }

    #[test]
    fn parts_of_a_table_stay_apart() {
        let text = "store = { scheme = \"redb\", place = \"a?b%\", retention = 7, read_only = true, \"x&y\" = \"1=2\" }";
        let url = Config::from_toml(text).unwrap().store.unwrap();
        let mut url: stead_core::StoreUrl = url.parse().unwrap();
        assert_eq!((url.scheme(), url.place()), ("redb", "a?b%"));
        assert_eq!(url.take_number("retention").unwrap(), Some(7));
        assert_eq!(url.take_bool("read_only").unwrap(), Some(true));
        assert_eq!(url.take("x&y").as_deref(), Some("1=2"));
    }

    #[test]
    fn malformed_tables_are_refused() {
        for text in [
            "store = 7",
            "store = { place = \"x\" }",
            "store = { scheme = 1 }",
            "store = { scheme = \"redb\", cache = 1.5 }",
            "store = ",
        ] {
            let error = Config::from_toml(text).unwrap_err();
            assert_eq!(error.kind(), stead_core::ErrorKind::Invalid, "{text}: {error}");
        }
    }
}
