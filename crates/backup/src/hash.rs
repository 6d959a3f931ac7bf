//! SHA-256, and how it is written.

use std::fmt;

use sha2::block_api::compress256;
use stead_core::{Error, Result};

/// A SHA-256, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; Hash::BYTES]);

const BLOCK_BYTES: usize = 64;
/// What the hash of nothing begins with (FIPS 180-4, 5.3.3).
const START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

impl Hash {
    /// The length in bytes.
    pub const BYTES: usize = 32;

    /// The hash of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        // All but the blocks themselves is done here: most values have one or two, and what the general way does around
        // them takes half as long again.
        let mut state = START;
        let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
        compress256(&mut state, blocks);
        // Then a bit that is set, and the number of bits in the last eight bytes of a block.
        let mut end = [[0; BLOCK_BYTES]; 2];
        let last = usize::from(rest.len() + 9 > BLOCK_BYTES);
        end[0][..rest.len()].copy_from_slice(rest);
        end[0][rest.len()] = 0x80;
        let bits = (bytes.len() as u64).wrapping_mul(8);
        end[last][BLOCK_BYTES - 8..].copy_from_slice(&bits.to_be_bytes());
        compress256(&mut state, &end[..=last]);
        let mut hash = [0; Self::BYTES];
        for (bytes, word) in hash.as_chunks_mut().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        Hash(hash)
    }

    /// The hash with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Hash(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Reads what [`Display`](fmt::Display) writes, and nothing else: no upper case, no spaces.
    ///
    /// # Errors
    ///
    /// `Corrupt`.
    pub fn parse(text: &str) -> Result<Self> {
        let malformed = || Error::corrupt("malformed hash; 64 lower-case hexadecimal digits are expected");
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return Err(malformed());
        };
        let mut bytes = [0; Self::BYTES];
        if pairs.len() != bytes.len() {
            return Err(malformed());
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high).ok_or_else(malformed)? << 4 | digit(*low).ok_or_else(malformed)?;
        }
        Ok(Hash(bytes))
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Hash::parse(&text).map_err(|error| serde::de::Error::custom(error.message()))
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::Hash;

    #[test]
    fn it_is_sha_256_at_every_length() {
        let bytes: Vec<u8> = (0..=255)
            .cycle()
            .map(|byte: u8| byte.wrapping_mul(7))
            .take(400)
            .collect();
        for length in 0..bytes.len() {
            let wanted: [u8; 32] = Sha256::digest(&bytes[..length]).into();
            assert_eq!(Hash::of(&bytes[..length]).as_bytes(), &wanted, "{length}");
        }
    }

    #[test]
    fn only_what_is_written_is_read() {
        let hash = Hash::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), text);
        assert_eq!(Hash::parse(text).unwrap(), hash);
        for wrong in [
            "",
            &text[1..],
            &text.to_uppercase(),
            &format!("{text}0"),
            &text.replace('b', " "),
        ] {
            assert!(Hash::parse(wrong).is_err(), "{wrong:?}");
        }
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<Hash>(&json).unwrap(), hash);
    }
}
