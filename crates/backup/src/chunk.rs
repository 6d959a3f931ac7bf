//! Chunks: the objects that hold what was backed up, each named by its own hash.
//!
//! ```text
//! offset  bytes
//! 0       4      "STBC"
//! 4       1      version: 1
//! 5       1      what is in it: 1 records, 2 index, 3 revisions of partitions
//! 6       1      compression: 0 none, 1 zstd
//! 7       1      0
//! 8       4      length of the content, little-endian
//! 12      4      length of what follows, little-endian
//! 16             the content, compressed or not
//! ```
//!
//! The name is the SHA-256 of the whole object, so that a flipped bit anywhere in it is found.

use std::cell::RefCell;
use std::io::Cursor;

use bytes::Bytes;
use stead_core::{Error, Result};

use crate::hash::Hash;
use crate::spare::rounded;

const MAGIC: &[u8; 4] = b"STBC";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 16;
/// The longest content in bytes: what is allocated to read a chunk.
pub(crate) const MAX_CONTENT_BYTES: usize = 256 << 20;
/// The longest chunk in bytes.
pub(crate) const MAX_BYTES: usize = MAX_CONTENT_BYTES + HEADER_BYTES;
/// Fast, and within a few percent of the next levels on small values.
const LEVEL: i32 = 1;

/// What a chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Records = 1,
    Index = 2,
    Partitions = 3,
}

impl Kind {
    /// The longest content in bytes. A node with all its children, whose keys are the longest, has less than 3 MiB.
    fn max_content_bytes(self) -> usize {
        match self {
            Kind::Records | Kind::Partitions => MAX_CONTENT_BYTES,
            Kind::Index => 4 << 20,
        }
    }
}

/// A chunk as it is named elsewhere: enough to know what to expect before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChunkRef {
    pub(crate) id: Hash,
    /// Bytes of the content.
    pub(crate) content: u32,
    /// Bytes of the object.
    pub(crate) stored: u32,
}

/// An encoded chunk.
pub(crate) struct Chunk {
    pub(crate) named: ChunkRef,
    pub(crate) bytes: Bytes,
}

thread_local! {
    // Made once for each thread: it is as large as the window.
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// What compresses. Its tables are as large as the content: not to be made anew for each chunk.
#[derive(Default)]
pub(crate) struct Compressor(Option<zstd::bulk::Compressor<'static>>);

impl Compressor {
    /// Adds to `out` the compressed `content`.
    fn compress(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let failed = |cause: std::io::Error| Error::internal("compressing a chunk failed").because(cause);
        let compressor = match &mut self.0 {
            Some(compressor) => compressor,
            None => self.0.insert(zstd::bulk::Compressor::new(LEVEL).map_err(failed)?),
        };
        out.reserve(zstd::zstd_safe::compress_bound(content.len()));
        let mut behind = Cursor::new(&mut *out);
        behind.set_position(behind.get_ref().len() as u64);
        compressor
            .compress_to_buffer(content, &mut behind)
            .map(drop)
            .map_err(failed)
    }
}

impl Chunk {
    /// A chunk of `kind` with `content`, compressed where that makes it shorter.
    ///
    /// # Errors
    ///
    /// `Invalid` for content over [`MAX_CONTENT_BYTES`].
    pub(crate) fn encode(kind: Kind, content: &[u8]) -> Result<Self> {
        Self::encode_into(Vec::new(), kind, content, &mut Compressor::default())
    }

    /// As [`encode`](Chunk::encode), in the memory of `bytes`.
    ///
    /// # Errors
    ///
    /// As [`encode`](Chunk::encode).
    pub(crate) fn encode_into(
        mut bytes: Vec<u8>,
        kind: Kind,
        content: &[u8],
        compressor: &mut Compressor,
    ) -> Result<Self> {
        let too_long = || {
            Error::invalid("an entry is larger than a backup can hold")
                .with("size_bytes", content.len())
                .with("limit_bytes", MAX_CONTENT_BYTES)
        };
        if content.len() > MAX_CONTENT_BYTES {
            return Err(too_long());
        }
        let content_bytes = u32::try_from(content.len()).map_err(|_| too_long())?;
        bytes.clear();
        bytes.extend_from_slice(&[0; HEADER_BYTES]);
        compressor.compress(content, &mut bytes)?;
        let is_compressed = bytes.len() - HEADER_BYTES < content.len();
        if !is_compressed {
            bytes.truncate(HEADER_BYTES);
            bytes.extend_from_slice(content);
        }
        let stored = u32::try_from(bytes.len()).map_err(|_| too_long())?;
        let body_bytes = u32::try_from(bytes.len() - HEADER_BYTES).map_err(|_| too_long())?;
        let header = &mut bytes[..HEADER_BYTES];
        header[..4].copy_from_slice(MAGIC);
        header[4..8].copy_from_slice(&[VERSION, kind as u8, u8::from(is_compressed), 0]);
        header[8..12].copy_from_slice(&content_bytes.to_le_bytes());
        header[12..].copy_from_slice(&body_bytes.to_le_bytes());
        let named = ChunkRef {
            id: Hash::of(&bytes),
            content: content_bytes,
            stored,
        };
        Ok(Chunk {
            named,
            bytes: bytes.into(),
        })
    }
}

/// Adds what `body` is the compressed form of to `out`, as far as there is room.
fn decompress(body: &[u8], out: &mut Vec<u8>) -> std::io::Result<usize> {
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        let decompressor = match decompressor {
            Some(decompressor) => decompressor,
            None => decompressor.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor.decompress_to_buffer(body, out)
    })
}

/// The content of the chunk that was read as `bytes`.
///
/// # Errors
///
/// `Corrupt` unless the bytes are what `named` and `kind` say, to the last one. Nothing is allocated before the lengths
/// were compared.
pub(crate) fn decode(named: &ChunkRef, kind: Kind, bytes: &Bytes) -> Result<Bytes> {
    let mut content = Vec::new();
    decode_into(named, kind, bytes, &mut content)?;
    Ok(content.into())
}

/// As [`decode`], into `content`, which is empty.
pub(crate) fn decode_into(named: &ChunkRef, kind: Kind, bytes: &[u8], content: &mut Vec<u8>) -> Result<()> {
    let damaged = |what: &'static str| Error::corrupt(what).with("chunk", named.id);
    if bytes.len() != named.stored as usize {
        return Err(damaged("a chunk has another length than it was written with")
            .with("length_bytes", bytes.len())
            .with("expected_bytes", named.stored));
    }
    if Hash::of(bytes) != named.id {
        return Err(damaged(
            "a chunk is damaged: its hash is not its name; the backups that need it are lost, so make a full one now",
        ));
    }
    // From here on it is as it was written, by whomever.
    let malformed = || damaged("a chunk is malformed or not the one that is named");
    let (header, body) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or_else(malformed)?;
    if &header[..4] != MAGIC {
        return Err(malformed());
    }
    if header[4] != VERSION {
        return Err(
            Error::corrupt("a chunk was written by a newer version; read it with that one")
                .with("chunk", named.id)
                .with("version", header[4]),
        );
    }
    let content_bytes = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    let body_bytes = u32::from_le_bytes([header[12], header[13], header[14], header[15]]);
    let wanted = named.content as usize;
    if header[5] != kind as u8
        || header[7] != 0
        || content_bytes != named.content
        || body_bytes as usize != body.len()
        || wanted > kind.max_content_bytes()
    {
        return Err(malformed());
    }
    match header[6] {
        0 if body.len() == wanted => {
            content.extend_from_slice(body);
            Ok(())
        }
        1 => {
            // A frame that says another length, or none, was not written here: nothing is allocated for it.
            let framed = zstd::zstd_safe::get_frame_content_size(body).ok().flatten();
            if framed != Some(u64::from(named.content)) {
                return Err(malformed());
            }
            content.reserve_exact(rounded(wanted));
            decompress(body, content).map_err(|cause| malformed().because(cause))?;
            if content.len() == wanted {
                Ok(())
            } else {
                Err(malformed())
            }
        }
        _ => Err(malformed()),
    }
}
