//! Compression of large records with the workspace's zstd: sled's own is a second one that cannot be linked beside it.

#[cfg(feature = "compression")]
pub(crate) use with_zstd::{compress, decompress};
#[cfg(not(feature = "compression"))]
pub(crate) use without_zstd::{compress, decompress};

/// Fails where compression is wanted and not compiled in.
///
/// # Errors
///
/// `Unsupported`.
pub(crate) fn check(wanted: bool) -> stead_core::Result<()> {
    if wanted && !cfg!(feature = "compression") {
        return Err(missing());
    }
    Ok(())
}

#[cold]
fn missing() -> stead_core::Error {
    stead_core::Error::unsupported(
        "compressed records need the feature `compression` of stead-sled; compile it in",
    )
}

#[cfg(feature = "compression")]
mod with_zstd {
    use stead_core::{Error, Result};

    use crate::record;

    /// Shorter values gain little.
    const FROM_BYTES: usize = 1 << 10;
    /// The longest value that is compressed, and the most that a frame may become: the largest value that a store takes
    /// by default, and room for the record around it.
    const MOST_BYTES: usize = 17 << 20;
    /// zstd's own default: about as fast as the disk.
    const LEVEL: i32 = 3;

    /// The length of `value` and its frame, or `None` where that is no shorter.
    pub(crate) fn compress(value: &[u8]) -> Result<Option<Vec<u8>>> {
        if value.len() < FROM_BYTES || value.len() > MOST_BYTES {
            return Ok(None);
        }
        let Ok(length) = u32::try_from(value.len()) else {
            return Ok(None);
        };
        let frame = zstd::bulk::compress(value, LEVEL)
            .map_err(|cause| Error::internal("zstd cannot compress a record").because(cause))?;
        if frame.len() + 4 >= value.len() {
            return Ok(None);
        }
        let mut body = Vec::with_capacity(4 + frame.len());
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(&frame);
        Ok(Some(body))
    }

    /// The value of a compressed body.
    ///
    /// # Errors
    ///
    /// `Corrupt`, also for what claims or turns out to be longer than anything that is ever compressed.
    pub(crate) fn decompress(body: &[u8]) -> Result<Vec<u8>> {
        let (length, frame) = body.split_first_chunk().ok_or_else(record::damaged)?;
        let length = u32::from_be_bytes(*length) as usize;
        if length > MOST_BYTES {
            return Err(record::damaged().with("size_bytes", length));
        }
        let value =
            zstd::bulk::decompress(frame, length).map_err(|cause| record::damaged().because(cause))?;
        if value.len() != length {
            return Err(record::damaged().with("size_bytes", value.len()));
        }
        Ok(value)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn value_comes_back() {
            let value: Vec<u8> = b"all work and no play ".repeat(100);
            let body = compress(&value).unwrap().unwrap();
            assert!(body.len() < value.len() / 10);
            assert_eq!(decompress(&body).unwrap(), value);
        }

        #[test]
        fn what_gains_nothing_stays_as_it_is() {
            assert_eq!(compress(&[0; FROM_BYTES - 1]).unwrap(), None);
            let random: Vec<u8> = (0..4096_u32)
                .flat_map(|n| crc32fast::hash(&n.to_le_bytes()).to_le_bytes())
                .collect();
            assert_eq!(compress(&random).unwrap(), None);
        }

        #[test]
        fn damaged_and_endless_frames_are_refused() {
            let body = compress(&vec![0; 1 << 20]).unwrap().unwrap();
            let with_length = |length: usize| {
                let mut body = body.clone();
                body[..4].copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
                decompress(&body).unwrap_err().kind()
            };
            let corrupt = stead_core::ErrorKind::Corrupt;
            // A frame that becomes longer than it says is cut off at what it says.
            for length in [0, 1 << 10, (1 << 20) - 1, (1 << 20) + 1, MOST_BYTES + 1] {
                assert_eq!(with_length(length), corrupt, "{length}");
            }
            assert_eq!(decompress(b"\0\0").unwrap_err().kind(), corrupt);
            assert_eq!(decompress(b"\0\0\0\x01none").unwrap_err().kind(), corrupt);
        }
    }
}

#[cfg(not(feature = "compression"))]
mod without_zstd {
    use stead_core::Result;

    use super::missing;

    pub(crate) fn compress(_value: &[u8]) -> Result<Option<Vec<u8>>> {
        Err(missing())
    }

    pub(crate) fn decompress(_body: &[u8]) -> Result<Vec<u8>> {
        Err(missing())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn missing_feature_is_named() {
            let error = decompress(b"").unwrap_err();
            assert_eq!(error.kind(), stead_core::ErrorKind::Unsupported);
            assert!(error.to_string().contains("feature `compression`"), "{error}");
        }
    }
}
