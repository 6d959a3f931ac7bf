//! What is stored under a key.

use std::fmt;

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

#[derive(Clone, Copy)]
struct Header {
    revision: Revision,
    /// `Timestamp::MAX` for none.
    deadline: Timestamp,
    prefix_len: usize,
}

impl Entry {
    /// An entry with a copy of `value`.
    #[must_use]
    #[inline]
    pub fn new(value: &[u8], revision: Revision, deadline: Option<Timestamp>) -> Self {
        let header = Header {
            revision,
            deadline: deadline.unwrap_or(Timestamp::MAX),
            prefix_len: 0,
        };
        Entry(ThinArc::from_header_and_slice(header, value))
    }

    /// An entry whose allocation starts with `prefix`, for backends that keep the key beside the value.
    #[must_use]
    #[inline]
    pub fn with_prefix(prefix: &[u8], value: &[u8], revision: Revision, deadline: Option<Timestamp>) -> Self {
        let header = Header {
            revision,
            deadline: deadline.unwrap_or(Timestamp::MAX),
            prefix_len: prefix.len(),
        };
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
        &self.0.slice[self.0.header.header.prefix_len..]
    }

    /// The bytes that the backend keeps in front of the value.
    #[must_use]
    #[inline]
    pub fn prefix(&self) -> &[u8] {
        &self.0.slice[..self.0.header.header.prefix_len]
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
