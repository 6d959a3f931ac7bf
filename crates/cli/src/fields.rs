//! The objects in the lines of `import` and `apply`, read field by field: an error names the field and never its value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::{Map, Value};
use stead::codec::{Codec, StateClass};
use stead::core::{
    Clock, Expect, Expiry, Limits, RequestId, Revision, SystemClock, Timestamp, Ttl, parse_duration,
};
use stead::{Error, Result, StateScope};

use crate::encode::{accept, encode};
use crate::value::Given;

/// An object whose fields are taken one by one, until none may be left.
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    pub(crate) fn of(value: Value) -> Result<Self> {
        match value {
            Value::Object(fields) => Ok(Fields(fields)),
            _ => Err(Error::invalid("not a JSON object")),
        }
    }

    pub(crate) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.0.remove(name)
    }

    fn text(&mut self, name: &'static str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Error::invalid("field is not a string").with("field", name)),
        }
    }

    pub(crate) fn needed_text(&mut self, name: &'static str) -> Result<String> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    fn number(&mut self, name: &'static str) -> Result<Option<u64>> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let number = value.as_u64();
        number.map(Some).ok_or_else(|| {
            Error::invalid("field is not a whole number from 0 to 2^64 - 1").with("field", name)
        })
    }

    /// The summand of `incr`: 1 unless it says otherwise.
    pub(crate) fn by(&mut self) -> Result<i64> {
        match self.take("by") {
            None => Ok(1),
            Some(value) => value.as_i64().ok_or_else(|| {
                Error::invalid("field is not a whole number of 64 bits with a sign").with("field", "by")
            }),
        }
    }

    pub(crate) fn scope(&mut self) -> Result<StateScope> {
        self.needed_text("scope")?
            .parse()
            .map_err(|error: Error| error.with("field", "scope"))
    }

    pub(crate) fn key(&mut self) -> Result<String> {
        self.needed_text("key")
    }

    pub(crate) fn request_id(&mut self) -> Result<Option<RequestId>> {
        self.text("id")?
            .map(|id| RequestId::new(id).map_err(|error| error.with("field", "id")))
            .transpose()
    }

    /// What `expect` says of the key: `"absent"`, `"present"`, or a revision.
    pub(crate) fn expect(&mut self) -> Result<Option<Expect>> {
        match self.take("expect") {
            None => Ok(None),
            Some(Value::String(word)) if word == "absent" => Ok(Some(Expect::Absent)),
            Some(Value::String(word)) if word == "present" => Ok(Some(Expect::Present)),
            Some(other) => match other.as_u64() {
                Some(revision) => Ok(Some(Expect::At(Revision::new(revision)))),
                None => Err(
                    Error::invalid("expectation is \"absent\", \"present\" or a revision")
                        .with("field", "expect"),
                ),
            },
        }
    }

    /// What `ttl` or `deadline_ms` says of the deadline; a `ttl` of null asks for none.
    pub(crate) fn expiry(&mut self) -> Result<Option<Expiry>> {
        let expiry = self.wanted_expiry()?;
        if let Some(expiry) = expiry {
            // What the store would refuse at the commit is refused here, where the line is known.
            expiry.resolve(SystemClock.now(), None)?;
        }
        Ok(expiry)
    }

    fn wanted_expiry(&mut self) -> Result<Option<Expiry>> {
        let ttl = self.take("ttl");
        let deadline = self.number("deadline_ms")?;
        match (ttl, deadline) {
            (None, None) => Ok(None),
            (None, Some(millis)) => Ok(Some(Expiry::At(Timestamp::from_millis(millis)))),
            (Some(Value::Null), None) => Ok(Some(Expiry::Never)),
            (Some(Value::String(text)), None) => {
                let ttl = parse_duration(&text).and_then(Ttl::new);
                Ok(Some(Expiry::After(
                    ttl.map_err(|error| error.with("field", "ttl"))?,
                )))
            }
            (Some(_), None) => {
                Err(Error::invalid("field is not a duration such as \"5m\"").with("field", "ttl"))
            }
            (Some(_), Some(_)) => Err(Error::invalid("give ttl or deadline_ms, not both")),
        }
    }

    /// The bytes to store: of `value`, of `bytes` in base64, or of a whole stored `envelope` in base64.
    pub(crate) fn stored(&mut self, limits: &Limits) -> Result<Bytes> {
        let class = self.word::<StateClass>("class")?;
        let codec = self.word::<Codec>("codec")?;
        let given = (
            self.take("value"),
            self.base64("bytes")?,
            self.base64("envelope")?,
        );
        match given {
            (Some(value), None, None) => {
                encode(&Given::Json(value), class.unwrap_or_default(), codec, limits)
            }
            (None, Some(bytes), None) if codec.is_none() => {
                encode(&Given::Bytes(bytes), class.unwrap_or_default(), None, limits)
            }
            (None, None, Some(envelope)) if class.is_none() && codec.is_none() => accept(envelope, limits),
            (None, None, Some(_)) => Err(Error::invalid(
                "an envelope has its own class and codec; leave these fields out",
            )),
            (None, Some(_), None) => Err(Error::invalid("bytes have no codec; leave this field out")),
            (None, None, None) => Err(missing("value")),
            _ => Err(Error::invalid(
                "more than one value; give one of value, bytes and envelope",
            )),
        }
    }

    fn word<T: std::str::FromStr<Err = Error>>(&mut self, name: &'static str) -> Result<Option<T>> {
        self.text(name)?
            .map(|word| word.parse().map_err(|error: Error| error.with("field", name)))
            .transpose()
    }

    fn base64(&mut self, name: &'static str) -> Result<Option<Vec<u8>>> {
        self.text(name)?
            .map(|text| {
                // The cause would quote a part of the value.
                BASE64
                    .decode(text)
                    .map_err(|_| Error::invalid("field is not base64").with("field", name))
            })
            .transpose()
    }

    /// Refuses what nobody took.
    pub(crate) fn finish(self, known: &'static str) -> Result<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::invalid("unknown field")
                .with("field", name.escape_debug())
                .with("known_fields", known)),
        }
    }
}

pub(crate) fn to_base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

#[cold]
fn missing(name: &'static str) -> Error {
    Error::invalid("field is missing").with("field", name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        Fields::of(value).unwrap()
    }

    #[test]
    fn deadlines() {
        let read = |value| fields(value).expiry();
        let ttl = Ttl::from_millis(300_000).unwrap();
        assert_eq!(read(json!({})).unwrap(), None);
        assert_eq!(read(json!({"ttl": "5m"})).unwrap(), Some(Expiry::After(ttl)));
        assert_eq!(read(json!({"ttl": null})).unwrap(), Some(Expiry::Never));
        let at = Expiry::At(Timestamp::from_millis(9));
        assert_eq!(read(json!({"deadline_ms": 9})).unwrap(), Some(at));
        for wrong in [
            json!({"ttl": "0s"}),
            json!({"ttl": "-5m"}),
            json!({"ttl": -5}),
            json!({"ttl": "18446744073709551616ms"}),
            json!({"ttl": "18446744073709551614ms"}),
            json!({"deadline_ms": u64::MAX}),
            json!({"deadline_ms": -1}),
            json!({"deadline_ms": 1.5}),
            json!({"ttl": "5m", "deadline_ms": 9}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_value_and_no_more() {
        let limits = Limits::default();
        let read = |value| fields(value).stored(&limits);
        assert!(read(json!({"value": null})).is_ok());
        assert!(read(json!({"bytes": "AAEC", "class": "trusted"})).is_ok());
        for wrong in [
            json!({}),
            json!({"value": 1, "bytes": "AA=="}),
            json!({"bytes": "!"}),
            json!({"bytes": 1}),
            json!({"bytes": "AA==", "codec": "json"}),
            json!({"envelope": "AA=="}),
            json!({"value": 1, "class": "secret"}),
            json!({"value": 1, "codec": "bincode"}),
            json!({"value": 1, "class": "sensitive"}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn errors_never_hold_the_value() {
        let limits = Limits::default();
        let wrong = [
            fields(json!({"bytes": "hunter2!"})).stored(&limits).unwrap_err(),
            fields(json!({"scope": ["hunter2"]})).scope().unwrap_err(),
            fields(json!({"by": "hunter2"})).by().unwrap_err(),
            fields(json!({"expect": "hunter2"})).expect().unwrap_err(),
        ];
        for error in wrong {
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn nothing_is_left_over() {
        let mut all = fields(json!({"key": "k", "tll": "5m"}));
        assert_eq!(all.key().unwrap(), "k");
        let error = all.finish("key, ttl").unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown field: field=tll known_fields=key, ttl"
        );
    }
}
