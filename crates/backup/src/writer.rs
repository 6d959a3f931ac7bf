//! Writing the chunks of a backup: records go in, in the order of their keys, and the top of their tree comes out.

use std::collections::VecDeque;
use std::sync::Arc;

use stead_core::{Error, Key, Result};

use crate::attempt::Attempt;
use crate::chunk::{Chunk, ChunkRef, Compressor, Kind};
use crate::hash::Hash;
use crate::increment::Change;
use crate::index::{Builder, Child};
use crate::manifest::{BackupCounts, Root};
use crate::records::{self, Cutter, LeafHash, Payload, Record, Shape};
use crate::spare::{KEPT_BYTES, Spare};
use crate::task::{Task, blocking};

/// Chunks that are encoded and written at a time: one for each core of a small machine, and as many that wait for the disk.
/// Each holds a few times its content, of about 1 MiB, in memory.
const AT_A_TIME: usize = 4;

/// What chunks are made with, from one to the next.
#[derive(Default)]
struct Tools {
    content: Vec<u8>,
    compressor: Compressor,
}

/// The memory of chunks that were made: of some of them it is kept from one backup to the next.
#[derive(Default)]
pub(crate) struct SpareParts {
    tools: Spare<Tools>,
    blocks: Spare<Vec<Record>>,
    /// Keys that changed.
    pub(crate) changes: Spare<Vec<(Key, Change)>>,
    /// What chunks were written from.
    pub(crate) written: Spare<Vec<u8>>,
}

/// So many of each kind are kept between two backups: an increment seldom makes more chunks at a time.
const KEPT: usize = 2;

impl SpareParts {
    /// Gives back what the next backup may do without.
    pub(crate) fn rest(&self) {
        self.tools.keep(KEPT);
        self.blocks.keep(KEPT);
        self.changes.keep(1);
        self.written.keep(KEPT);
    }
}

/// Cuts records into chunks and writes them, several at a time.
///
/// What was written stays where it is if the writer is dropped: chunks that no backup names are removed by a prune.
pub(crate) struct Writer {
    shape: Shape,
    attempt: Arc<Attempt>,
    cutter: Cutter,
    block: Vec<Record>,
    /// Chunks that are being made.
    jobs: VecDeque<Task<(Child, Task<bool>)>>,
    /// Chunks that are being written.
    writes: VecDeque<(ChunkRef, Task<bool>)>,
    tree: Builder,
    counts: BackupCounts,
}

impl Writer {
    pub(crate) fn new(shape: Shape, attempt: &Arc<Attempt>) -> Self {
        Writer {
            shape,
            attempt: Arc::clone(attempt),
            cutter: Cutter::default(),
            block: attempt.spare.blocks.take(),
            jobs: VecDeque::new(),
            writes: VecDeque::new(),
            tree: Builder::default(),
            counts: BackupCounts::default(),
        }
    }

    /// Adds the records of the next keys.
    pub(crate) async fn push(&mut self, records: impl IntoIterator<Item = Result<Record>>) -> Result<()> {
        for record in records {
            if self.add(record?) {
                self.cut().await?;
            }
        }
        Ok(())
    }

    /// Adds a record to the block. Whether that ends with it.
    fn add(&mut self, record: Record) -> bool {
        self.counts.logical_bytes += record.logical_bytes() as u64;
        match record.payload {
            Payload::Deleted => self.counts.deleted += 1,
            Payload::Expired => self.counts.expired += 1,
            Payload::Entry(_) | Payload::Value(_) => self.counts.entries += 1,
        }
        let ends = self.cutter.ends_behind(&record);
        self.block.push(record);
        ends
    }

    /// Sends the block on its way.
    async fn cut(&mut self) -> Result<()> {
        while self.jobs.len() + self.writes.len() >= AT_A_TIME {
            if self.writes.is_empty() {
                self.take_job().await?;
            }
            self.take_write().await?;
        }
        let block = std::mem::replace(&mut self.block, self.attempt.spare.blocks.take());
        self.make(block);
        Ok(())
    }

    /// Begins to make the chunk of a block.
    fn make(&mut self, block: Vec<Record>) {
        let making = put(Arc::clone(&self.attempt), Arc::new(block), self.shape);
        self.jobs.push_back(Task::spawn(making));
    }

    /// Waits until the first chunk that is being made is, and has the tree name it.
    async fn take_job(&mut self) -> Result<()> {
        let Some(job) = self.jobs.pop_front() else {
            return Ok(());
        };
        let (child, write) = match job.join().await {
            Ok(made) => made,
            Err(error) => return self.failed(error).await,
        };
        self.writes.push_back((child.chunk, write));
        for chunk in self.tree.push(child)? {
            self.put(chunk);
        }
        Ok(())
    }

    /// Waits until the first chunk that is being written is.
    async fn take_write(&mut self) -> Result<()> {
        let Some((named, write)) = self.writes.pop_front() else {
            return Ok(());
        };
        match write.join().await {
            Ok(new) => self.count(&named, new),
            Err(error) => return self.failed(error).await,
        }
        Ok(())
    }

    /// What is on its way shall be there or not when the attempt is taken back.
    async fn failed(&mut self, error: Error) -> Result<()> {
        while let Some(job) = self.jobs.pop_front() {
            if let Ok((child, write)) = job.join().await {
                self.writes.push_back((child.chunk, write));
            }
        }
        while let Some((_, write)) = self.writes.pop_front() {
            let _ = write.join().await;
        }
        Err(error)
    }

    fn put(&mut self, chunk: Chunk) {
        let named = chunk.named;
        self.writes.push_back((named, self.attempt.write(chunk)));
    }

    fn count(&mut self, chunk: &ChunkRef, new: bool) {
        let stored = u64::from(chunk.stored);
        self.counts.chunks += 1;
        self.counts.stored_bytes += stored;
        if new {
            self.counts.new_bytes += stored;
        }
    }

    /// Writes another chunk that belongs to the backup.
    pub(crate) fn extra(&mut self, kind: Kind, content: &[u8]) -> Result<ChunkRef> {
        let chunk = Chunk::encode(kind, content)?;
        let named = chunk.named;
        self.put(chunk);
        Ok(named)
    }

    /// Waits until all is written; [`Attempt::sync`] makes it durable. The top of the tree, and what was counted.
    pub(crate) async fn finish(mut self) -> Result<(Root, BackupCounts)> {
        let block = std::mem::take(&mut self.block);
        if block.is_empty() {
            self.attempt.spare.blocks.give_buffer(block);
        } else {
            self.make(block);
        }
        while !self.jobs.is_empty() {
            self.take_job().await?;
        }
        let (chunks, root) = std::mem::take(&mut self.tree).finish()?;
        for chunk in chunks {
            self.put(chunk);
        }
        while !self.writes.is_empty() {
            self.take_write().await?;
        }
        Ok((root, self.counts))
    }
}

/// Makes the chunk of some records, and begins to write it. Its hashes are made at the same time: a small backup has no more
/// than that to do.
async fn put(attempt: Arc<Attempt>, block: Arc<Vec<Record>>, shape: Shape) -> Result<(Child, Task<bool>)> {
    let hashed = Arc::clone(&block);
    let digest = blocking(move || Ok(digest_of(&hashed)));
    let (spare, compressed) = (Arc::clone(&attempt.spare), Arc::clone(&block));
    let bytes = spare.written.take();
    let chunk = blocking(move || chunk_of(&compressed, shape, bytes, &spare));
    let (digest, chunk) = futures_util::future::try_join(digest, chunk).await?;
    let child = child_of(&block, &chunk, digest)?;
    if let Some(block) = Arc::into_inner(block) {
        attempt.spare.blocks.give_buffer(block);
    }
    Ok((child, attempt.write(chunk)))
}

fn digest_of(block: &[Record]) -> Hash {
    let mut leaf = LeafHash::new();
    for record in block {
        leaf.add(record);
    }
    leaf.finish()
}

/// The chunk of some records, in the memory of `bytes`.
fn chunk_of(block: &[Record], shape: Shape, bytes: Vec<u8>, spare: &SpareParts) -> Result<Chunk> {
    let mut tools = spare.tools.take();
    records::encode(block, shape, &mut tools.content);
    let chunk = Chunk::encode_into(bytes, Kind::Records, &tools.content, &mut tools.compressor);
    tools.content.clear();
    if tools.content.capacity() <= KEPT_BYTES {
        spare.tools.give(tools);
    }
    chunk
}

/// How the tree names the chunk of some records.
fn child_of(block: &[Record], chunk: &Chunk, digest: Hash) -> Result<Child> {
    let (Some(first), Some(last)) = (block.first(), block.last()) else {
        return Err(Error::internal("a chunk of no records"));
    };
    Ok(Child {
        chunk: chunk.named,
        digest,
        records: block.len() as u64,
        first: first.key.clone(),
        last: last.key.clone(),
    })
}
