//! redb on a disk in memory that records what is done to it.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::StorageBackend;

use super::content::Content;
use super::log::{Log, Node, Op};
use super::tree::Tree;

/// The name of the one file.
const NAME: &str = "state.redb";
/// The first that a walk through such a tree meets.
const FILE: Node = Node(1);

/// A file in memory and the log of what was done to it. Clones are the same file.
#[derive(Clone, Debug)]
pub(crate) struct Memory(Arc<Mutex<Recorded>>);

#[derive(Debug)]
struct Recorded {
    content: Content,
    log: Log,
}

impl Memory {
    /// A disk with an empty file.
    pub(crate) fn empty() -> Tree {
        let mut tree = Tree::default();
        tree.files.insert(NAME.into(), Content::default());
        tree
    }

    /// What is in an image.
    pub(crate) fn holding(image: &Tree) -> Self {
        let content = image.files.get(NAME.as_ref() as &OsStr).cloned();
        let content = content.unwrap_or_default();
        let log = Log::default();
        Memory(Arc::new(Mutex::new(Recorded { content, log })))
    }

    /// Takes down a line that the process said.
    pub(crate) fn say(&self, line: &dyn fmt::Display) {
        self.0.lock().log.push(Op::Acknowledge(line.to_string()));
    }

    /// What was done so far.
    pub(crate) fn log(&self) -> Log {
        self.0.lock().log.clone()
    }
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().content.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let recorded = self.0.lock();
        if offset + out.len() as u64 > recorded.content.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        recorded.content.read(offset, out);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut recorded = self.0.lock();
        recorded.content.set_len(len);
        recorded.log.push(Op::SetLen { file: FILE, len });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut recorded = self.0.lock();
        let covers = recorded.log.ops.len();
        recorded.log.push(Op::Sync { node: FILE, covers });
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut recorded = self.0.lock();
        recorded.content.write(offset, data);
        let data = data.into();
        recorded.log.push(Op::Write {
            file: FILE,
            offset,
            data,
        });
        Ok(())
    }
}
