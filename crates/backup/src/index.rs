//! The tree above the chunks of records: nodes that name up to 1,024 chunks each, with their hashes and first and last keys.
//!
//! ```text
//! level       one byte: 1 where the children are chunks of records
//! count       how many children
//! children    for each: name (32 bytes), digest (32 bytes), length of its content, length of the object, records,
//!             length of the first key, first key, length of the last key, last key
//! ```
//!
//! The digest of a node is the SHA-256 over the byte 1, the level, the number of children in eight bytes, big-endian, and
//! their digests. That of the top node is the root of the backup's Merkle tree.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use stead_core::{Key, KeyRange, Result};

use crate::chunk::{Chunk, ChunkRef, Kind};
use crate::hash::Hash;
use crate::manifest::Root;
use crate::varint::{self, Reader, malformed};

/// The most children of a node.
pub(crate) const FAN_OUT: usize = 1024;
/// More levels than any store fills.
pub(crate) const MAX_LEVEL: u8 = 8;

/// A chunk below a node.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    pub(crate) chunk: ChunkRef,
    pub(crate) digest: Hash,
    pub(crate) records: u64,
    pub(crate) first: Key,
    pub(crate) last: Key,
}

impl Child {
    /// The child as the top of what is below it.
    pub(crate) fn root(&self, level: u8) -> Root {
        Root {
            chunk: self.chunk,
            digest: self.digest,
            level,
            records: self.records,
        }
    }

    /// Whether a key of `range` may be below.
    pub(crate) fn meets(&self, range: &KeyRange) -> bool {
        self.last.as_bytes() >= range.start() && range.end().is_none_or(|end| self.first.as_bytes() < end)
    }
}

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) level: u8,
    pub(crate) children: Vec<Child>,
}

impl Node {
    pub(crate) fn digest(&self) -> Hash {
        let mut hash = Sha256::new();
        hash.update([1, self.level]);
        hash.update((self.children.len() as u64).to_be_bytes());
        for child in &self.children {
            hash.update(child.digest.as_bytes());
        }
        Hash::from_bytes(hash.finalize().into())
    }

    pub(crate) fn records(&self) -> u64 {
        let records = self.children.iter().map(|child| child.records);
        records.fold(0, u64::saturating_add)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.level];
        varint::put(&mut out, self.children.len() as u64);
        for child in &self.children {
            out.extend_from_slice(child.chunk.id.as_bytes());
            out.extend_from_slice(child.digest.as_bytes());
            varint::put(&mut out, u64::from(child.chunk.content));
            varint::put(&mut out, u64::from(child.chunk.stored));
            varint::put(&mut out, child.records);
            for key in [&child.first, &child.last] {
                varint::put(&mut out, key.as_bytes().len() as u64);
                out.extend_from_slice(key.as_bytes());
            }
        }
        out
    }

    /// Reads the node that `root` names from the content of its chunk.
    ///
    /// # Errors
    ///
    /// `Corrupt` unless it is in every way what `root` says, and its children lie one behind the other.
    pub(crate) fn decode(root: &Root, content: &Bytes) -> Result<Self> {
        let node = Self::read(content)?;
        if node.level != root.level || node.records() != root.records || node.digest() != root.digest {
            return Err(malformed());
        }
        Ok(node)
    }

    /// Reads a node, whatever it is the top of.
    pub(crate) fn read(content: &Bytes) -> Result<Self> {
        let mut reader = Reader::new(content);
        let level = reader.byte()?;
        let count = reader.size()?;
        if !(1..=MAX_LEVEL).contains(&level) || count > FAN_OUT {
            return Err(malformed());
        }
        let mut children: Vec<Child> = Vec::with_capacity(count);
        for _ in 0..count {
            let child = read_child(&mut reader)?;
            let behind = children.last().is_none_or(|last| last.last < child.first);
            if !behind || child.first > child.last || child.records == 0 {
                return Err(malformed());
            }
            children.push(child);
        }
        if reader.remaining() > 0 {
            return Err(malformed());
        }
        Ok(Node { level, children })
    }
}

fn read_child(reader: &mut Reader<'_>) -> Result<Child> {
    let id = Hash::from_bytes(reader.array()?);
    let digest = Hash::from_bytes(reader.array()?);
    let length = |number: u64| u32::try_from(number).map_err(|_| malformed());
    let (content, stored) = (length(reader.number()?)?, length(reader.number()?)?);
    let records = reader.number()?;
    let mut key = || {
        let length = reader.size()?;
        Key::from_encoded(reader.bytes(length)?).map_err(|_| malformed())
    };
    Ok(Child {
        chunk: ChunkRef { id, content, stored },
        digest,
        records,
        first: key()?,
        last: key()?,
    })
}

/// Builds the tree from its leaves, left to right.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    /// The unfinished node of each level.
    open: Vec<Vec<Child>>,
}

impl Builder {
    /// Adds a leaf. Gives the nodes that it fills, to be written.
    pub(crate) fn push(&mut self, leaf: Child) -> Result<Vec<Chunk>> {
        let mut written = Vec::new();
        self.add(0, leaf, &mut written)?;
        Ok(written)
    }

    fn add(&mut self, mut level: usize, mut child: Child, written: &mut Vec<Chunk>) -> Result<()> {
        loop {
            if self.open.len() == level {
                self.open.push(Vec::new());
            }
            // A full node is closed once there is another child for its level, so that the top never has a single one.
            if self.open[level].len() < FAN_OUT {
                self.open[level].push(child);
                return Ok(());
            }
            let full = node(level, std::mem::replace(&mut self.open[level], vec![child]));
            let chunk = Chunk::encode(Kind::Index, &full.encode())?;
            child = parent_of(&full, chunk.named).ok_or_else(malformed)?;
            written.push(chunk);
            level += 1;
        }
    }

    /// Closes what is open. Gives the nodes, to be written, and the top.
    pub(crate) fn finish(mut self) -> Result<(Vec<Chunk>, Root)> {
        let mut written = Vec::new();
        let mut level = 0;
        loop {
            let children = self.open.get_mut(level).map(std::mem::take).unwrap_or_default();
            let node = node(level, children);
            let chunk = Chunk::encode(Kind::Index, &node.encode())?;
            let root = Root {
                chunk: chunk.named,
                digest: node.digest(),
                level: node.level,
                records: node.records(),
            };
            let child = parent_of(&node, chunk.named);
            written.push(chunk);
            level += 1;
            match child {
                Some(child) if level < self.open.len() => self.add(level, child, &mut written)?,
                _ => return Ok((written, root)),
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a level holds 1,024 times what the one below holds"
)]
fn node(level: usize, children: Vec<Child>) -> Node {
    Node {
        level: level as u8 + 1,
        children,
    }
}

/// How the level above names a node; nothing for one without children.
fn parent_of(node: &Node, chunk: ChunkRef) -> Option<Child> {
    let (first, last) = (node.children.first()?, node.children.last()?);
    Some(Child {
        chunk,
        digest: node.digest(),
        records: node.records(),
        first: first.first.clone(),
        last: last.last.clone(),
    })
}

#[cfg(test)]
mod tests {
    use stead_core::Partition;

    use super::*;

    fn leaf(number: u32) -> Child {
        let key = Key::new(&Partition::new("p").unwrap(), number.to_be_bytes()).unwrap();
        let id = Hash::of(&number.to_be_bytes());
        let chunk = ChunkRef {
            id,
            content: 1,
            stored: 2,
        };
        Child {
            chunk,
            digest: id,
            records: 3,
            first: key.clone(),
            last: key,
        }
    }

    #[test]
    fn trees_of_every_height_name_all_their_leaves() {
        for leaves in [0, 1, 2, 1023, 1024, 1025, 2048, 2049] {
            let mut builder = Builder::default();
            let mut chunks = Vec::new();
            for number in 0..leaves {
                chunks.extend(builder.push(leaf(number)).unwrap());
            }
            let (rest, root) = builder.finish().unwrap();
            chunks.extend(rest);
            assert_eq!(root.records, u64::from(leaves) * 3);
            assert_eq!(root.level, if leaves > 1024 { 2 } else { 1 }, "{leaves}");
            let mut found = 0;
            let mut below = vec![root];
            while let Some(root) = below.pop() {
                let chunk = chunks.iter().find(|chunk| chunk.named == root.chunk).unwrap();
                let content = crate::chunk::decode(&root.chunk, Kind::Index, &chunk.bytes).unwrap();
                let node = Node::decode(&root, &content).unwrap();
                for child in node.children {
                    match node.level {
                        1 => found += 1,
                        level => below.push(Root {
                            chunk: child.chunk,
                            digest: child.digest,
                            level: level - 1,
                            records: child.records,
                        }),
                    }
                }
            }
            assert_eq!(found, leaves);
        }
    }
}
