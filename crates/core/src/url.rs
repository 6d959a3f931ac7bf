//! The address of a store.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::{Error, Result, parse_bytes, parse_duration};

/// `scheme:place?option=value&option=value`: which backend, where, and how it is set up.
///
/// A `%` and two hexadecimal digits stand for a byte, so that a place may hold a `?` (`%3F`) and a value a `&` (`%26`).
/// A backend takes the options that it knows and then calls [`finish`](StoreUrl::finish), which refuses the rest.
///
/// ```
/// use stead_core::StoreUrl;
///
/// let mut url: StoreUrl = "redb:./data?cache=64MiB".parse()?;
/// assert_eq!((url.scheme(), url.place()), ("redb", "./data"));
/// assert_eq!(url.take_bytes("cache")?, Some(64 << 20));
/// url.finish()?;
/// # Ok::<(), stead_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl {
    scheme: String,
    place: String,
    /// The place as it was written, with its escapes.
    written: String,
    options: BTreeMap<String, String>,
    known: Vec<&'static str>,
}

impl StoreUrl {
    /// What stands before the first colon: the kind of backend.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What stands between the first colon and the question mark.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// [`place`](StoreUrl::place) as it was written, escapes and all: for places that have parts of their own, such as
    /// `//user:password@host`, in which an escaped `@` must not pass for the one that parts them.
    #[must_use]
    pub fn written_place(&self) -> &str {
        &self.written
    }

    /// Takes an option as text.
    pub fn take(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.options.remove(name)
    }

    /// Takes an option that is a size, as in `64MiB`.
    ///
    /// # Errors
    ///
    /// `Invalid`, naming the option.
    pub fn take_bytes(&mut self, name: &'static str) -> Result<Option<u64>> {
        self.take_as(name, parse_bytes)
    }

    /// Takes an option that is a duration, as in `100ms`.
    ///
    /// # Errors
    ///
    /// `Invalid`, naming the option.
    pub fn take_duration(&mut self, name: &'static str) -> Result<Option<Duration>> {
        self.take_as(name, parse_duration)
    }

    /// Takes an option that is a whole number.
    ///
    /// # Errors
    ///
    /// `Invalid`, naming the option.
    pub fn take_number(&mut self, name: &'static str) -> Result<Option<u64>> {
        self.take_as(name, |text| {
            text.parse()
                .map_err(|_| Error::invalid("not a whole number").with("value", text.escape_default()))
        })
    }

    /// Takes an option that is `true` or `false`.
    ///
    /// # Errors
    ///
    /// `Invalid`, naming the option.
    pub fn take_bool(&mut self, name: &'static str) -> Result<Option<bool>> {
        self.take_as(name, |text| {
            text.parse()
                .map_err(|_| Error::invalid("neither true nor false").with("value", text.escape_default()))
        })
    }

    /// Takes an option that is read by `parse`.
    ///
    /// # Errors
    ///
    /// That of `parse`, with the name of the option.
    pub fn take_as<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T>,
    ) -> Result<Option<T>> {
        let Some(text) = self.take(name) else {
            return Ok(None);
        };
        parse(&text).map(Some).map_err(|error| error.with("option", name))
    }

    /// Refuses what nobody took.
    ///
    /// # Errors
    ///
    /// `Invalid`, naming the option, the nearest known one and those that there are.
    pub fn finish(self) -> Result<()> {
        let Some(unknown) = self.options.keys().next() else {
            return Ok(());
        };
        let known = if self.known.is_empty() {
            "none".to_owned()
        } else {
            self.known.join(", ")
        };
        let error = Error::invalid("unknown option in the store's URL")
            .with("option", unknown.escape_default())
            .with("scheme", &self.scheme);
        let error = match nearest(unknown, self.known.iter().copied()) {
            Some(near) => error.with("did_you_mean", near),
            None => error,
        };
        Err(error.with("known_options", known))
    }
}

impl FromStr for StoreUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // The URL itself is not shown: it may hold a password.
        let wrong = |message: &'static str| Error::invalid(message);
        let (scheme, rest) = text
            .split_once(':')
            .ok_or_else(|| wrong("a store's URL needs a scheme, as in memory: or redb:./data"))?;
        if scheme.is_empty()
            || !scheme
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'+')
        {
            return Err(wrong(
                "the scheme of a store's URL is made of lower-case letters and digits",
            ));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let decode = |part: &str| decode(part).ok_or_else(|| wrong("malformed %-escape in the store's URL"));
        let mut options = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| wrong("an option of a store's URL is written name=value"))?;
            if options.insert(decode(name)?, decode(value)?).is_some() {
                return Err(wrong("an option of the store's URL is given twice"));
            }
        }
        Ok(StoreUrl {
            scheme: scheme.to_owned(),
            place: decode(place)?,
            written: place.to_owned(),
            options,
            known: Vec::new(),
        })
    }
}

/// The known name that is most like `name`, if any is near enough to be what was meant.
///
/// ```
/// use stead_core::nearest;
///
/// assert_eq!(nearest("cahce", ["cache", "compression"]), Some("cache"));
/// assert_eq!(nearest("port", ["cache", "compression"]), None);
/// ```
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // By Jaro and Winkler: one for equal names, and 0.7 for two that share about two thirds of their letters.
    known
        .into_iter()
        .map(|one| (strsim::jaro_winkler(name, one), one))
        .filter(|(likeness, _)| *likeness >= 0.7)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, one)| one)
}

/// Shows the scheme and the place, without what stands before an `@`. That and the options may hold secrets.
impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.written.rsplit_once('@') {
            Some((_, behind)) => format!("...@{behind}"),
            None => self.written.clone(),
        };
        write!(f, "StoreUrl({}:{place})", self.scheme)
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = behind;
            continue;
        }
        let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
        let both = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| both)?);
        rest = &behind[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_decoded() {
        let mut url: StoreUrl = "redb:./a%3Fb/c d?durability=buffered&note=1%262".parse().unwrap();
        assert_eq!(url.place(), "./a?b/c d");
        assert_eq!(url.take("note").as_deref(), Some("1&2"));
        assert_eq!(url.take("durability").as_deref(), Some("buffered"));
        assert!(url.finish().is_ok());
    }

    #[test]
    fn a_scheme_may_hold_digits() {
        let url: StoreUrl = "s3://bucket/prefix".parse().unwrap();
        assert_eq!((url.scheme(), url.place()), ("s3", "//bucket/prefix"));
    }

    #[test]
    fn a_password_is_not_shown() {
        let url: StoreUrl = "redis://user:p%40ss@host/0?prefix=x".parse().unwrap();
        assert_eq!(url.written_place(), "//user:p%40ss@host/0");
        assert_eq!(format!("{url:?}"), "StoreUrl(redis:...@host/0)");
    }

    #[test]
    fn unknown_options_are_refused_by_name() {
        let mut url: StoreUrl = "memory:?cpacity=1".parse().unwrap();
        assert_eq!(url.take("capacity"), None);
        let error = url.finish().unwrap_err().to_string();
        let wanted = "unknown option in the store's URL: option=cpacity scheme=memory did_you_mean=capacity \
                      known_options=capacity";
        assert_eq!(error, wanted);
    }

    #[test]
    fn malformed_urls_are_refused() {
        for text in [
            "",
            "data",
            ":x",
            "Redb:x",
            "redb:x?a",
            "redb:x?a=1&a=2",
            "redb:%4",
            "redb:%zz",
            "redb:%+1",
        ] {
            assert!(text.parse::<StoreUrl>().is_err(), "{text}");
        }
    }
}
