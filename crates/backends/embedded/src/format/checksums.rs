//! Comparing the checksums of many records at once.
//!
//! A checksum of a short record is mostly its beginning and its end, each of which waits for what was before: taking
//! 140 bytes in three pieces took a third of what a scan on redb took for a record. A long run of bytes costs a tenth of
//! that for each of them. So a scan strings its records together and takes one checksum of the string.
//!
//! That finds what the single checksums find. A CRC is a remainder: who appends the remainder of a message to it gets
//! a message whose remainder is zero, and after such a message the next one begins as if it were the first. A string of
//! sound records has the remainder zero, then, and a damaged one among them leaves what is zero only if the record's own
//! checksum fits it: what follows shifts it, and nothing but zero is shifted to zero. Only if several records of a string
//! are damaged may they hide each other, as seldom as damage is hidden from one checksum.
//!
//! CRC-32 begins with all bits set instead of none, and gives the complement of the remainder. In a string, the first
//! four bytes of each message are complemented, which is the same as beginning with all bits set, and the complement of
//! the checksum follows it, lowest byte first.

use stead_core::Result;

use super::data::damaged;

/// A string is compared when it is as long as this: it shall stay in the cache.
const STRING_BYTES: usize = 4 << 10;

/// From this size on, a record is compared by itself: it would cost more to copy it into a string.
pub(super) const LONG_BYTES: usize = 1 << 10;

/// The checksums that are still to be compared. Whoever hands out what they are of calls [`compare`](Checksums::compare)
/// first.
pub(crate) struct Checksums {
    records: usize,
    string: Vec<u8>,
    used: usize,
}

impl Checksums {
    /// For about so many records.
    pub(crate) fn for_about(records: usize) -> Self {
        Checksums {
            records,
            string: Vec::new(),
            used: 0,
        }
    }

    /// Adds the message that is made of `pieces`, and the checksum that was stored with it.
    ///
    /// # Errors
    ///
    /// `Corrupt` if those that were added before are not what was written.
    #[inline]
    pub(super) fn add(&mut self, pieces: [&[u8]; 3], stored: u32) -> Result<()> {
        let length = pieces.iter().map(|piece| piece.len()).sum::<usize>() + size_of::<u32>();
        if self.string.len() - self.used < length {
            self.make_room(length)?;
        }
        let place = &mut self.string[self.used..][..length];
        let mut rest = &mut *place;
        for piece in pieces {
            let (here, behind) = rest.split_at_mut(piece.len());
            here.copy_from_slice(piece);
            rest = behind;
        }
        rest.copy_from_slice(&(!stored).to_le_bytes());
        if let Some(first) = place.first_chunk_mut::<4>() {
            *first = (!u32::from_ne_bytes(*first)).to_ne_bytes();
        }
        self.used += length;
        Ok(())
    }

    #[cold]
    fn make_room(&mut self, length: usize) -> Result<()> {
        self.compare()?;
        if self.string.len() < length {
            let wanted = length.saturating_mul(self.records).min(STRING_BYTES);
            self.string.resize(wanted.max(length), 0);
        }
        Ok(())
    }

    /// Compares the checksums that were added since the last time.
    ///
    /// # Errors
    ///
    /// `Corrupt` if a record is not what was written.
    pub(crate) fn compare(&mut self) -> Result<()> {
        // The hasher complements what it is given and what it gives: this begins and ends with zero.
        let mut remainder = crc32fast::Hasher::new_with_initial(!0);
        remainder.update(&self.string[..self.used]);
        self.used = 0;
        if remainder.finalize() == !0 {
            Ok(())
        } else {
            Err(damaged())
        }
    }
}
