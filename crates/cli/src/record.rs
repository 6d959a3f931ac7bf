//! One entry as one line of JSON: what `export` writes, what `import` reads, and what `get --json` and `list --json` show.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use stead::codec::{Codec, DecodeLimits, Envelope, StateClass};
use stead::core::{Entry, Expiry, Key, Limits, Timestamp};
use stead::state::{ClassRules, StateEntry, encode_key};
use stead::{ErrorKind, Result};

use crate::fields::{Fields, to_base64};
use crate::json;
use crate::sorted::Sorted;

/// How much deeper than its value a line of `import` is nested.
const DEPTH_OF_LINE: usize = 1;

/// An entry for readers.
#[derive(Serialize)]
pub(crate) struct Shown<'a> {
    pub(crate) scope: Cow<'a, str>,
    pub(crate) key: Cow<'a, str>,
    #[serde(flatten)]
    content: Content,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
}

/// What a stored value is shown as.
#[derive(Serialize)]
pub(crate) struct Content {
    #[serde(flatten)]
    form: Form,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<StateClass>,
    #[serde(skip_serializing_if = "Option::is_none")]
    codec: Option<Codec>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    Value(#[serde(serialize_with = "crate::sorted::serialize")] Value),
    /// Raw bytes, in base64.
    Bytes(String),
    /// What only its own type can read: the whole stored envelope, in base64.
    Envelope(String),
    /// The same where the envelope is out of reach: its size.
    StoredBytes(usize),
}

impl<'a> Shown<'a> {
    /// What `get --json` and `list --json` print.
    pub(crate) fn of_state(scope: &'a str, entry: &'a StateEntry) -> Result<Self> {
        let class = entry.class();
        let form = if entry.codec() == Codec::Bytes {
            Form::Bytes(to_base64(&entry.bytes()?))
        } else {
            match entry.value() {
                Ok(value) => Form::Value(value),
                Err(error) if error.kind() == ErrorKind::Serialization => {
                    Form::StoredBytes(entry.stored_bytes())
                }
                Err(error) => return Err(error),
            }
        };
        Ok(Shown {
            scope: Cow::Borrowed(scope),
            key: Cow::Borrowed(entry.key()),
            content: Content::new(form, class, entry.codec()),
            deadline_ms: entry.deadline().map(Timestamp::as_millis),
            revision: Some(entry.revision().get()),
        })
    }

    /// What `export` writes: everything that `import` needs to store the same again.
    pub(crate) fn of_stored(
        scope: String,
        key: String,
        entry: &Entry,
        limits: &DecodeLimits,
    ) -> Result<Self> {
        let envelope = Envelope::parse(entry.value(), limits)?;
        let form = match envelope.codec() {
            _ if envelope.schema().is_some() => Form::Envelope(to_base64(entry.value())),
            Codec::Bytes => Form::Bytes(to_base64(envelope.payload())),
            _ => match envelope.decode_value() {
                Ok(value) => Form::Value(value),
                Err(error) if error.kind() == ErrorKind::Serialization => {
                    Form::Envelope(to_base64(entry.value()))
                }
                Err(error) => return Err(error),
            },
        };
        Ok(Shown {
            scope: Cow::Owned(scope),
            key: Cow::Owned(key),
            content: Content::new(form, envelope.class(), envelope.codec()),
            deadline_ms: entry.deadline().map(Timestamp::as_millis),
            revision: None,
        })
    }

    /// The value on one line for people.
    pub(crate) fn text(&self) -> String {
        match &self.content.form {
            Form::Value(value) => Sorted(value).to_string(),
            Form::Bytes(base64) => format!("<bytes in base64: {base64}>"),
            Form::Envelope(_) | Form::StoredBytes(_) => {
                "<a record that only its own type can read>".to_owned()
            }
        }
    }
}

impl Content {
    /// Class and codec are left out where they are the usual ones.
    fn new(form: Form, class: StateClass, codec: Codec) -> Self {
        let whole = matches!(form, Form::Envelope(_));
        let usual = ClassRules::new(&Limits::default()).codec(class) == codec || codec == Codec::Bytes;
        Content {
            form,
            class: (class != StateClass::default() && !whole).then_some(class),
            codec: (!usual && !whole).then_some(codec),
        }
    }
}

/// An entry to be stored, as a line of `import` says.
pub(crate) struct Imported {
    pub(crate) key: Key,
    pub(crate) value: Bytes,
    pub(crate) expiry: Expiry,
}

impl Imported {
    /// Reads a line such as `{"scope":"agent:planner","key":"goal","value":"tidy up","deadline_ms":1767225600000}`.
    pub(crate) fn parse(line: &[u8], limits: &Limits) -> Result<Self> {
        let line = json::parse(line, limits.nesting_depth + DEPTH_OF_LINE)?;
        let mut fields = Fields::of(line)?;
        let key = encode_key(&fields.scope()?, &fields.key()?)?;
        let expiry = fields.expiry()?.unwrap_or(Expiry::Never);
        let value = fields.stored(limits)?;
        // Told by `list --json`; the entry gets a new one.
        fields.take("revision");
        fields.finish("scope, key, value, bytes, envelope, class, codec, ttl, deadline_ms, revision")?;
        // What can be known to fail is refused here, where the line is known.
        limits.check_value(value.len())?;
        Ok(Imported { key, value, expiry })
    }
}
