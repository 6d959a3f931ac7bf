//! Memory of each thread to encode values in.
//!
//! How long an encoded value gets is known at its end alone. Growing it in memory that is there already and copying it to
//! memory of its size takes one allocation; handing over memory that was too large takes two.

use std::cell::Cell;

use bytes::Bytes;

/// Larger values are handed over as they are, and their memory is not kept.
const LARGE: usize = 4096;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The memory of this thread. Empty for a value that is encoded while another one is, and at the end of a thread.
#[inline]
pub(crate) fn take() -> Vec<u8> {
    SCRATCH.try_with(Cell::take).unwrap_or_default()
}

/// What was encoded in the memory that [`take`] gave, which is given back.
#[inline]
pub(crate) fn into_bytes(encoded: Vec<u8>) -> Bytes {
    if encoded.len() > LARGE {
        return Bytes::from(encoded);
    }
    let bytes = Bytes::copy_from_slice(&encoded);
    if encoded.capacity() <= 2 * LARGE {
        // At the end of a thread there is none to give it back to.
        let _ = SCRATCH.try_with(|scratch| scratch.set(encoded));
    }
    bytes
}
