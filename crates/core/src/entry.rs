//! What is stored under a key.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use triomphe::ThinArc;

use crate::{Revision, Timestamp};

/// A value, the revision of the batch that wrote it, and its deadline if it has one.
///
/// One pointer wide and cheap to clone: the bytes are shared. A backend may keep bytes of its own (such as the key) in
/// the same allocation, in front of the value.
#[derive(Clone)]
pub struct Entry(ThinArc<Header, u8>);

/// As long as entries of usual size.
static ZEROS: [u8; 512] = [0; 512];

struct Header {
    revision: Revision,
    /// `Timestamp::MAX` for none.
    deadline: Timestamp,
    prefix_len: u32,
    /// Beside a length of four bytes it costs no room.
    hint: AtomicU32,
}

impl Header {
    #[inline]
    fn new(prefix_len: u32, revision: Revision, deadline: Option<Timestamp>) -> Self {
        Header {
            revision,
            deadline: deadline.unwrap_or(Timestamp::MAX),
            prefix_len,
            hint: AtomicU32::new(0),
        }
    }
}

impl Entry {
    /// An entry with a copy of `value`.
    #[must_use]
    #[inline]
    pub fn new(value: &[u8], revision: Revision, deadline: Option<Timestamp>) -> Self {
        let header = Header::new(0, revision, deadline);
        Entry(ThinArc::from_header_and_slice(header, value))
    }

    /// An entry whose allocation starts with `prefix`, for backends that keep the key beside the value.
    ///
    /// # Panics
    ///
    /// When `prefix` is longer than 32 bits can count.
    #[must_use]
    #[inline]
    pub fn with_prefix(prefix: &[u8], value: &[u8], revision: Revision, deadline: Option<Timestamp>) -> Self {
        let prefix_len = u32::try_from(prefix.len()).expect("a prefix is a key or the like");
        let header = Header::new(prefix_len, revision, deadline);
        let len = prefix.len() + value.len();
        let Some(zeros) = ZEROS.get(..len) else {
            return Entry(ThinArc::from_header_and_slice(header, &[prefix, value].concat()));
        };
        // A thin allocation is made from one slice. Filling it in place is the cheap way for entries of usual size: joining
        // the two elsewhere would have the copy wait for what was just written.
        let mut entry = ThinArc::from_header_and_slice(header, zeros);
        entry.with_arc_mut(|entry| {
            if let Some(entry) = triomphe::Arc::get_mut(entry) {
                let (front, back) = entry.slice_mut().split_at_mut(prefix.len());
                front.copy_from_slice(prefix);
                back.copy_from_slice(value);
            }
        });
        Entry(entry)
    }

    /// The value's bytes.
    #[must_use]
    #[inline]
    pub fn value(&self) -> &[u8] {
        &self.0.slice[self.prefix_len()..]
    }

    /// The bytes that the backend keeps in front of the value.
    #[must_use]
    #[inline]
    pub fn prefix(&self) -> &[u8] {
        &self.0.slice[..self.prefix_len()]
    }

    #[inline]
    fn prefix_len(&self) -> usize {
        self.0.header.header.prefix_len as usize
    }

    /// The revision of the batch that wrote this entry.
    #[must_use]
    #[inline]
    pub fn revision(&self) -> Revision {
        self.0.header.header.revision
    }

    /// When the entry becomes invisible, or `None` if it lives until it is deleted.
    #[must_use]
    #[inline]
    pub fn deadline(&self) -> Option<Timestamp> {
        let deadline = self.0.header.header.deadline;
        (deadline != Timestamp::MAX).then_some(deadline)
    }

    /// What the backend last noted of the entry with [`set_hint`](Entry::set_hint); 0 before.
    #[must_use]
    #[inline]
    pub fn hint(&self) -> u32 {
        self.0.header.header.hint.load(Ordering::Relaxed)
    }

    /// Notes a number with the entry and all its clones, such as where in an index it stands. Nothing orders it with
    /// anything else: who reads it has to look whether it is right.
    #[inline]
    pub fn set_hint(&self, hint: u32) {
        self.0.header.header.hint.store(hint, Ordering::Relaxed);
    }

    /// Whether two entries are the very same allocation.
    #[must_use]
    #[inline]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0.ptr(), other.0.ptr())
    }
}

/// Equal value, revision and deadline.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.revision() == other.revision()
            && self.deadline() == other.deadline()
            && self.value() == other.value()
    }
}

impl Eq for Entry {}

/// Shows lengths and numbers, never the value.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("revision", &self.revision().get())
            .field("deadline", &self.deadline())
            .field("value_bytes", &self.value().len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hint_belongs_to_the_entry_and_its_clones_and_is_no_part_of_what_is_stored() {
        let entry = Entry::with_prefix(b"key", b"value", Revision::new(7), None);
        let (clone, other) = (entry.clone(), Entry::new(b"value", Revision::new(7), None));
        assert_eq!(entry.hint(), 0);
        entry.set_hint(u32::MAX);
        assert_eq!((clone.hint(), other.hint()), (u32::MAX, 0));
        assert_eq!((entry.prefix(), entry.value()), (&b"key"[..], &b"value"[..]));
        assert!(entry == other);
    }

    #[test]
    fn hint_takes_no_room() {
        assert_eq!(size_of::<Header>(), 3 * size_of::<u64>());
    }
}
