//! Memory that is used again: what is fresh from the operating system costs more than what is written to it, and what
//! threads keep for themselves adds up.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Longer buffers than this, in bytes, are not kept: a chunk of small entries fits.
pub(crate) const KEPT_BYTES: usize = 8 << 20;

/// A capacity for a buffer of `bytes` that is used again, so that one which was long enough for a chunk is so for most others.
pub(crate) fn rounded(bytes: usize) -> usize {
    const STEP_BYTES: usize = 256 << 10;
    bytes.next_multiple_of(STEP_BYTES)
}

/// Things that wait to be used again. There are never more of them than were in use at a time.
#[derive(Debug, Default)]
pub(crate) struct Spare<T>(Mutex<Vec<T>>);

impl<T: Default> Spare<T> {
    pub(crate) fn take(&self) -> T {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.pop().unwrap_or_default()
    }

    pub(crate) fn give(&self, thing: T) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.push(thing);
    }
}

impl<T> Spare<T> {
    /// Keeps so many of them at most, and gives the others' memory back.
    pub(crate) fn keep(&self, most: usize) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let others = spare.len().saturating_sub(most);
        spare.drain(..others);
    }
}

impl<T> Spare<Vec<T>> {
    /// Gives back a buffer, empty. The longest are taken first, and kept: a short one would have to grow.
    pub(crate) fn give_buffer(&self, mut buffer: Vec<T>) {
        buffer.clear();
        let capacity = buffer.capacity();
        if capacity == 0 || capacity * size_of::<T>() > KEPT_BYTES {
            return;
        }
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = spare.partition_point(|other| other.capacity() < capacity);
        spare.insert(place, buffer);
    }
}

/// A buffer that is given back once nobody has a part of it any more.
struct Lent {
    buffer: Vec<u8>,
    to: Arc<Spare<Vec<u8>>>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.to.give_buffer(std::mem::take(&mut self.buffer));
    }
}

impl Spare<Vec<u8>> {
    /// What is in `buffer`, which comes back when the last part of it is dropped.
    pub(crate) fn lend(this: &Arc<Self>, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent {
            buffer,
            to: Arc::clone(this),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_taken_again_unless_it_is_long() {
        let spare = Spare::<Vec<u64>>::default();
        assert_eq!(spare.take().capacity(), 0);
        spare.give_buffer(vec![1; 1000]);
        spare.give_buffer(vec![1; KEPT_BYTES / 8 + 1]);
        let taken = spare.take();
        assert!(taken.is_empty() && (1000..KEPT_BYTES / 8).contains(&taken.capacity()));
        assert_eq!(spare.take().capacity(), 0);
    }

    #[test]
    fn what_is_not_kept_is_gone() {
        let spare = Spare::<Vec<u64>>::default();
        (1..4).for_each(|number| spare.give(vec![number]));
        spare.keep(2);
        assert_eq!(
            [spare.take(), spare.take(), spare.take()],
            [vec![3], vec![2], vec![]]
        );
    }

    #[test]
    fn the_longest_buffers_are_kept_and_taken_first() {
        let spare = Spare::<Vec<u64>>::default();
        for capacity in [10, 1000, 0, 100] {
            spare.give_buffer(Vec::with_capacity(capacity));
        }
        spare.keep(2);
        let taken = [spare.take(), spare.take(), spare.take()].map(|buffer| buffer.capacity());
        assert_eq!(taken, [1000, 100, 0]);
    }

    #[test]
    fn what_is_lent_comes_back_when_its_last_part_is_dropped() {
        let spare = Arc::new(Spare::<Vec<u8>>::default());
        let lent = Spare::lend(&spare, vec![7; 1000]);
        let part = lent.slice(990..);
        drop(lent);
        assert_eq!(spare.take().capacity(), 0);
        assert_eq!(part, [7; 10][..]);
        drop(part);
        assert!(spare.take().capacity() >= 1000);
    }
}
