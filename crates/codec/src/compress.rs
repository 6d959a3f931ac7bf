//! zstd, with its output bounded before it begins.

use std::cell::RefCell;
use std::io::Cursor;

use stead_core::{Error, Result};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{find_frame_compressed_size, get_frame_content_size};

/// Above this level a compressor holds tens of megabytes, which a thread must not keep for later.
const KEPT_LEVEL: i32 = 3;

thread_local! {
    // Making a context costs more than compressing a few kilobytes.
    static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// `payload` compressed into at most `room_bytes` behind `head` bytes of zeroes, or `None` where it needs more.
///
/// One frame with its content size in its header.
///
/// # Errors
///
/// `Internal` when zstd cannot be set up.
pub(crate) fn compress(
    payload: &[u8],
    level: i32,
    head: usize,
    room_bytes: usize,
) -> Result<Option<Vec<u8>>> {
    if level > KEPT_LEVEL {
        return squeeze(&mut compressor(level)?, payload, head, room_bytes);
    }
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some((kept_level, compressor)) if *kept_level == level => compressor,
            _ => &mut kept.insert((level, compressor(level)?)).1,
        };
        squeeze(compressor, payload, head, room_bytes)
    })
}

fn compressor(level: i32) -> Result<Compressor<'static>> {
    Compressor::new(level).map_err(|error| Error::internal("zstd refused its settings").because(error))
}

fn squeeze(
    compressor: &mut Compressor<'_>,
    payload: &[u8],
    head: usize,
    room_bytes: usize,
) -> Result<Option<Vec<u8>>> {
    // zstd gives up where it has no room for the result, so what does not shrink costs no more than the attempt.
    let mut out = Vec::with_capacity(head + room_bytes);
    out.resize(head, 0);
    let mut cursor = Cursor::new(out);
    cursor.set_position(head as u64);
    if compressor.compress_to_buffer(payload, &mut cursor).is_err() {
        return Ok(None);
    }
    let mut out = cursor.into_inner();
    if out.len() - head > room_bytes {
        return Ok(None);
    }
    out.shrink_to_fit();
    Ok(Some(out))
}

/// The `size_bytes` bytes that `frame` holds. The caller has checked the size against its limit.
///
/// Nothing is allocated before the frame's own header agrees with `size_bytes`, and the output has room for no more.
/// The frame is decoded in one pass, for which the output is the window: no window of the frame's choosing is
/// allocated.
///
/// # Errors
///
/// `Corrupt` where `frame` is not exactly one frame of exactly that content.
pub(crate) fn decompress(frame: &[u8], size_bytes: usize) -> Result<Vec<u8>> {
    let declared = get_frame_content_size(frame).ok().flatten();
    if declared != Some(size_bytes as u64) {
        return Err(damaged(size_bytes));
    }
    if find_frame_compressed_size(frame) != Ok(frame.len()) {
        return Err(damaged(size_bytes));
    }
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            None => {
                let decompressor = Decompressor::new()
                    .map_err(|error| Error::internal("zstd refused its settings").because(error))?;
                kept.insert(decompressor)
            }
        };
        let mut out = Vec::new();
        out.try_reserve_exact(size_bytes).map_err(|error| {
            Error::full("not enough memory to decompress the value")
                .with("size_bytes", size_bytes)
                .because(error)
        })?;
        match decompressor.decompress_to_buffer(frame, &mut out) {
            Ok(written) if written == size_bytes => Ok(out),
            _ => Err(damaged(size_bytes)),
        }
    })
}

#[cold]
fn damaged(size_bytes: usize) -> Error {
    Error::corrupt("compressed value is not one zstd frame of the stored length")
        .with("size_bytes", size_bytes)
}
