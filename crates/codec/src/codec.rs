//! How a payload is written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use stead_core::Error;

/// How a payload is written. A property of the stored value, read from its header and from nowhere else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Codec {
    /// Raw bytes, of which Stead knows nothing more.
    Bytes,
    /// JSON text (RFC 8259). The default: readable by every tool and in every later version.
    #[default]
    Json,
    /// MessagePack with the fields by name, so that they may be added and reordered.
    MessagePack,
    /// bincode 2, standard configuration, for typed records only. The smallest and the fastest, and the least
    /// forgiving: fields are told apart by their order alone, and only the type that was written can be read.
    Bincode,
}

impl Codec {
    /// Every codec, in the order of its stored byte.
    pub const ALL: [Codec; 4] = [Codec::Bytes, Codec::Json, Codec::MessagePack, Codec::Bincode];

    /// The codec as a stable lower-case word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Codec::Bytes => "bytes",
            Codec::Json => "json",
            Codec::MessagePack => "messagepack",
            Codec::Bincode => "bincode",
        }
    }

    /// The byte in the header.
    #[must_use]
    #[inline]
    pub(crate) const fn to_byte(self) -> u8 {
        match self {
            Codec::Bytes => 0,
            Codec::Json => 1,
            Codec::MessagePack => 2,
            Codec::Bincode => 3,
        }
    }

    #[inline]
    pub(crate) fn from_byte(byte: u8) -> Option<Codec> {
        Codec::ALL.get(usize::from(byte)).copied()
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Codec {
    type Err = Error;

    /// Reads the word that [`Codec::as_str`] gives, in lower case.
    fn from_str(text: &str) -> Result<Self, Error> {
        Codec::ALL
            .into_iter()
            .find(|codec| codec.as_str() == text)
            .ok_or_else(|| {
                Error::invalid("no such codec; use bytes, json, messagepack or bincode").with("codec", text)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_bytes_lead_back_to_the_codec() {
        for (byte, codec) in (0_u8..).zip(Codec::ALL) {
            assert_eq!(codec.to_byte(), byte);
            assert_eq!(Codec::from_byte(byte), Some(codec));
            assert_eq!(codec.as_str().parse::<Codec>().ok(), Some(codec));
            assert_eq!(
                serde_json::to_value(codec).ok(),
                Some(serde_json::Value::from(codec.as_str()))
            );
        }
        assert_eq!(Codec::from_byte(4), None);
        assert!("JSON".parse::<Codec>().is_err());
    }
}
