//! What was done to a disk, in the order in which it was done.

use std::ffi::OsString;
use std::sync::Arc;

/// A file or directory, whatever it is called at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Node(pub(crate) u32);

/// The directory in which the store's own is made. It is there from the beginning, and so is its name.
pub(crate) const ROOT: Node = Node(0);

/// A place in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) directory: Node,
    pub(crate) name: OsString,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
}

/// One thing that was done, or that the process told the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// A new file or directory under a name.
    Make { place: Place, node: Node, kind: Kind },
    /// A further name for a file.
    Link { place: Place, node: Node },
    /// Another name, in place of what was there.
    Rename { from: Place, to: Place, node: Node },
    /// A name less.
    Remove { place: Place },
    /// Bytes of a file. Behind its end, they make it longer.
    Write {
        file: Node,
        offset: u64,
        data: Arc<[u8]>,
    },
    /// Another length of a file.
    SetLen { file: Node, len: u64 },
    /// What was done to the node before the position `covers` of the log was made durable by now. Between the two the
    /// call was under way, which is no guarantee.
    Sync { node: Node, covers: usize },
    /// Bytes of a file were handed to the device, without its metadata and without waiting for its cache.
    SyncRange { file: Node },
    /// A line that the process wrote to those who rely on it.
    Acknowledge(String),
}

/// What was done to a disk from its beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) ops: Vec<Op>,
}

impl Log {
    pub(crate) fn push(&mut self, op: Op) {
        self.ops.push(op);
    }

    /// The lines that were acknowledged before a position.
    pub(crate) fn acknowledged(&self, before: usize) -> impl Iterator<Item = &str> {
        self.ops[..before].iter().filter_map(|op| match op {
            Op::Acknowledge(line) => Some(line.as_str()),
            _ => None,
        })
    }
}
