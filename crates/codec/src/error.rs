//! What the formats' errors become.
//!
//! serde's messages quote the value that did not fit (`invalid type: string "hunter2", expected u64`), and a stored
//! value may be a secret. So no format's error is passed on, neither as text nor as a cause: only the parts of it
//! that come from the type and not from the value.

use std::any::type_name;

use stead_core::Error;

use crate::guard::Refusal;
use crate::{Codec, DecodeLimits};

/// The error for what a guard refused.
#[cold]
pub(crate) fn refused(refusal: Refusal, codec: Codec, limits: &DecodeLimits) -> Error {
    match refusal {
        Refusal::TooDeep => Error::invalid("value is nested deeper than the limit; flatten it")
            .with("limit_levels", limits.depth()),
        Refusal::EndlessWrappers => {
            Error::serialization("type contains itself through options or newtypes alone; it has no end")
        }
        Refusal::NotFinite => Error::serialization(
            "float is NaN or infinite, which dynamic values and JSON cannot hold; use a typed value in messagepack or bincode",
        ),
        Refusal::Dynamic(name) => Error::unsupported(
            "bincode cannot read dynamic values back; write them as json or messagepack",
        )
        .with("type", name),
        Refusal::SkippedField(name) => Error::unsupported(
            "bincode tells fields apart by their order and cannot leave one out; drop `skip_serializing_if` or use messagepack",
        )
        .with("field", name),
        Refusal::UnknownLength => Error::unsupported(
            "bincode needs the length of a sequence or map beforehand; drop `flatten` or use messagepack",
        ),
        Refusal::TooManyElements => Error::invalid("sequence has more elements than the limit")
            .with("limit_elements", limits.output_bytes),
    }
    .with("codec", codec)
}

/// The error for a payload beyond the limit.
#[cold]
pub(crate) fn too_large(size_bytes: Option<usize>, limits: &DecodeLimits) -> Error {
    let error = Error::invalid("value is larger than the limit");
    let error = match size_bytes {
        Some(size_bytes) => error.with("size_bytes", size_bytes),
        None => error,
    };
    error.with("limit_bytes", limits.output_bytes)
}

/// The error for a value of type `T` that could not be written.
#[cold]
pub(crate) fn not_written<T: ?Sized>(codec: Codec, message: &str) -> Error {
    let reason = match message {
        "key must be a string" => "; map keys must be strings, numbers, booleans or unit variants",
        _ => "",
    };
    Error::serialization(format!("value cannot be encoded{reason}"))
        .with("codec", codec)
        .with("type", type_name::<T>())
}

/// The error for a payload that could not be read as `T`.
#[cold]
pub(crate) fn not_read<T: ?Sized>(codec: Codec, message: &str) -> Error {
    Error::serialization(format!(
        "stored value cannot be read as the type asked for: {}",
        without_values(message)
    ))
    .with("codec", codec)
    .with("type", type_name::<T>())
}

/// The part of a serde message that comes from the type.
fn without_values(message: &str) -> String {
    // serde_json appends the place.
    let message = match message.rfind(" at line ") {
        Some(place) => &message[..place],
        None => message,
    };
    // What follows the last ", expected " is the type's own words; the value, which may hold the same words, is before.
    let expected = message.rfind(", expected ").map(|place| &message[place + 2..]);
    for lead in ["invalid type: ", "invalid value: "] {
        if let Some(rest) = message.strip_prefix(lead) {
            // `string "..."`, `integer `5``: the kind ends where the quotation begins.
            let kind = rest.split(['"', '`', ',']).next().unwrap_or_default().trim_end();
            return format!("{lead}{kind}, {}", expected.unwrap_or("expected another"));
        }
    }
    for lead in ["unknown field", "unknown variant"] {
        if message.starts_with(lead) {
            return format!("{lead}, {}", expected.unwrap_or("expected none"));
        }
    }
    const SAFE: [&str; 3] = ["missing field `", "duplicate field `", "invalid length "];
    if SAFE.iter().any(|lead| message.starts_with(lead)) {
        return message.to_owned();
    }
    "its contents were refused by the type".to_owned()
}

#[cfg(test)]
mod tests {
    use super::without_values;

    #[test]
    fn messages_keep_the_type_and_lose_the_value() {
        let cases = [
            (
                "invalid type: string \"hunter2\", expected u64 at line 1 column 9",
                "invalid type: string, expected u64",
            ),
            (
                "invalid type: string \"a, expected b\", expected u64",
                "invalid type: string, expected u64",
            ),
            (
                "invalid value: integer `4711`, expected u8",
                "invalid value: integer, expected u8",
            ),
            (
                "invalid type: null, expected a string",
                "invalid type: null, expected a string",
            ),
            (
                "unknown variant `hunter2`, expected `a` or `b`",
                "unknown variant, expected `a` or `b`",
            ),
            (
                "unknown field `hunter2`, there are no fields",
                "unknown field, expected none",
            ),
            ("missing field `name` at line 1 column 2", "missing field `name`"),
            (
                "invalid length 3, expected a tuple of size 2",
                "invalid length 3, expected a tuple of size 2",
            ),
            ("hunter2 is not a date", "its contents were refused by the type"),
        ];
        for (message, wanted) in cases {
            assert_eq!(without_values(message), wanted);
        }
    }
}
