//! Small objects: a line of JSON, and a line with its SHA-256.
//!
//! The JSON has no spaces, its members stand in the documented order, and there is no other way to write the same: an object
//! that would be written otherwise is refused.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use stead_core::{Error, Result};

use crate::hash::Hash;

/// The longest sealed object in bytes: what is read of one before its content is known.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// The object that holds `value`, and its hash: that of the first line.
///
/// # Errors
///
/// `Invalid` where it would be longer than [`MAX_BYTES`].
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<(Bytes, Hash)> {
    let failed = |cause: serde_json::Error| {
        Error::internal("encoding an object of the repository failed").because(cause)
    };
    let mut bytes = serde_json::to_vec(value).map_err(failed)?;
    let hash = Hash::of(&bytes);
    bytes.extend_from_slice(format!("\n{hash}\n").as_bytes());
    if bytes.len() > MAX_BYTES {
        return Err(
            Error::invalid("what describes the backup is too long; give it fewer and shorter tags")
                .with("size_bytes", bytes.len())
                .with("limit_bytes", MAX_BYTES),
        );
    }
    Ok((bytes.into(), hash))
}

/// Reads what [`encode`] gave.
///
/// # Errors
///
/// `Corrupt` for anything else.
pub(crate) fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<(T, Hash)> {
    let damaged = || Error::corrupt("an object of the repository is damaged");
    if bytes.len() > MAX_BYTES {
        return Err(damaged()
            .with("size_bytes", bytes.len())
            .with("limit_bytes", MAX_BYTES));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| damaged())?;
    let (json, rest) = text.split_once('\n').ok_or_else(damaged)?;
    let seal = rest.strip_suffix('\n').ok_or_else(damaged)?;
    let hash = Hash::of(json.as_bytes());
    if Hash::parse(seal).map_err(|_| damaged())? != hash {
        return Err(damaged());
    }
    // From here on it is as it was written, by whomever.
    let malformed = || Error::corrupt("an object of the repository is malformed, or of a newer version");
    let value: T = serde_json::from_str(json).map_err(|cause| malformed().because(cause))?;
    let again = serde_json::to_vec(&value).map_err(|cause| malformed().because(cause))?;
    if again != json.as_bytes() {
        return Err(malformed());
    }
    Ok((value, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        name: String,
        number: Option<u64>,
    }

    fn sealed(json: &str) -> Vec<u8> {
        format!("{json}\n{}\n", Hash::of(json.as_bytes())).into_bytes()
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_found() {
        let sample = Sample {
            name: "näme".to_owned(),
            number: Some(7),
        };
        let (bytes, hash) = encode(&sample).unwrap();
        assert_eq!(decode::<Sample>(&bytes).unwrap(), (sample, hash));
        for length in 0..bytes.len() {
            assert!(decode::<Sample>(&bytes[..length]).is_err(), "{length}");
            for bit in 0..8 {
                let mut flipped = bytes.to_vec();
                flipped[length] ^= 1 << bit;
                assert!(decode::<Sample>(&flipped).is_err(), "{length} {bit}");
            }
        }
    }

    #[test]
    fn there_is_one_way_to_write_it() {
        assert!(decode::<Sample>(&sealed(r#"{"name":"a","number":1}"#)).is_ok());
        let others = [
            r#"{"name":"a", "number":1}"#,
            r#"{"number":1,"name":"a"}"#,
            r#"{"name":"a"}"#,
            r#"{"name":"\u0061","number":1}"#,
            r#"{"name":"a","number":1,"more":2}"#,
            r#"{"name":"a","number":1}  "#,
        ];
        for other in others {
            assert!(decode::<Sample>(&sealed(other)).is_err(), "{other}");
        }
        let deep = format!("{}{}", "[".repeat(300_000), "]".repeat(300_000));
        assert!(decode::<Sample>(&sealed(&deep)).is_err());
    }
}
