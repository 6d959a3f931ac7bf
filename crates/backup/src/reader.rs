//! Reading the chunks of a backup: the top of a tree goes in, and records come out, in the order of their keys.

use std::collections::VecDeque;
use std::sync::Arc;

use stead_core::{Key, KeyRange, Result};

use crate::chunk::{self, Kind};
use crate::index::{Child, Node};
use crate::manifest::Root;
use crate::records::{Record, Rows, Shape, Table};
use crate::repository::Repository;
use crate::spare::{KEPT_BYTES, Spare};
use crate::task::{Task, blocking, sized};
use crate::varint::malformed;

/// Chunks that are read at a time.
const AT_A_TIME: usize = 3;

/// Bytes of content beyond which only one chunk is read at a time: that of one may be as long as an entry can be.
const AHEAD_BYTES: usize = 16 << 20;

/// Reads the records of a tree that lie in a range, or what `make` makes of those of each chunk. Every byte that is read is
/// compared with the hashes above it.
pub(crate) struct Reader<T = Vec<Record>> {
    make: Make<T>,
    shape: Shape,
    /// Whether the digests of chunks were compared before, by whoever has this reader.
    verified: bool,
    leaves: Leaves,
    /// A tree whose chunks are left out.
    other: Option<Other>,
    /// Chunks on their way, with the length of their content.
    jobs: VecDeque<(usize, Task<T>)>,
    /// The next chunk, which is too long to be read beside those.
    held: Option<Child>,
    ahead_bytes: usize,
    memory: Arc<Memory>,
}

/// Memory to read chunks into. There are no more of each than chunks that are read at a time, and for their contents as many more
/// as there are chunks whose values are in use; kept by the threads that read, of which there may be many, they would add up.
#[derive(Default)]
struct Memory {
    contents: Arc<Spare<Vec<u8>>>,
    buffers: Spare<Buffers>,
}

#[derive(Default)]
struct Buffers {
    /// The chunk as it is stored, where it is in a directory.
    stored: Vec<u8>,
    rows: Rows,
}

/// Runs `work` with buffers, of which that for bytes is empty.
fn with_buffers<T>(spare: &Spare<Buffers>, work: impl FnOnce(&mut Buffers) -> T) -> T {
    let mut buffers = spare.take();
    buffers.stored.clear();
    let done = work(&mut buffers);
    if buffers.stored.capacity() + buffers.rows.memory() <= KEPT_BYTES {
        spare.give(buffers);
    }
    done
}

/// Makes of the records of a chunk what is wanted of those in a range.
type Make<T> = fn(&Table<'_>, &KeyRange) -> Result<T>;

/// What the records of a chunk come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) records: u64,
    /// Those that have no value any more.
    pub(crate) removals: u64,
    /// Bytes of keys and values.
    pub(crate) logical_bytes: u64,
}

impl Tally {
    fn of(table: &Table<'_>) -> Self {
        let mut tally = Tally {
            records: table.len() as u64,
            removals: 0,
            logical_bytes: 0,
        };
        for row in table.rows() {
            let value = row.cell.value();
            tally.removals += u64::from(value.is_none());
            tally.logical_bytes += (row.key.len() + value.map_or(0, <[u8]>::len)) as u64;
        }
        tally
    }
}

impl Reader<Tally> {
    /// Reads all of a tree, and gives what each of its chunks comes to.
    pub(crate) fn tallies(repository: &Repository, root: Root, shape: Shape) -> Self {
        let make: Make<Tally> = |table, _| Ok(Tally::of(table));
        Reader::making(make, repository, root, shape, KeyRange::all())
    }
}

impl Reader {
    pub(crate) fn new(repository: &Repository, root: Root, shape: Shape, range: KeyRange) -> Self {
        let make: Make<Vec<Record>> = |table, range| table.records(range);
        Reader::making(make, repository, root, shape, range)
    }

    /// The records of the next chunk that has some in the range; none when all were read.
    ///
    /// # Errors
    ///
    /// As [`next`](Reader::next).
    pub(crate) async fn block(&mut self) -> Result<Vec<Record>> {
        while let Some(block) = self.next().await? {
            if !block.is_empty() {
                return Ok(block);
            }
        }
        Ok(Vec::new())
    }
}

impl<T: Send + 'static> Reader<T> {
    fn making(make: Make<T>, repository: &Repository, root: Root, shape: Shape, range: KeyRange) -> Self {
        Reader {
            make,
            shape,
            verified: false,
            leaves: Leaves::new(repository, root, range),
            other: None,
            jobs: VecDeque::new(),
            held: None,
            ahead_bytes: AHEAD_BYTES,
            memory: Arc::default(),
        }
    }

    /// For a tree all chunks of which were compared with their digests before. Their names, which are hashes of their bytes,
    /// are compared still: what has the same bytes has the same digest.
    pub(crate) fn verified(mut self) -> Self {
        self.verified = true;
        self
    }

    /// Reads less ahead, beside so many other readers.
    pub(crate) fn among(mut self, readers: usize) -> Self {
        self.ahead_bytes /= readers.max(1);
        self
    }

    /// Leaves out, unread, the chunks whose records the tree of `other` has in a chunk as well.
    pub(crate) fn without(mut self, other: Root) -> Self {
        self.other = Some(Other {
            leaves: Leaves::new(&self.leaves.repository, other, self.leaves.range.clone()),
            head: None,
        });
        self
    }

    /// What the next chunk gives that may have records in the range; `None` when all were read.
    ///
    /// # Errors
    ///
    /// `Corrupt` where a chunk is missing or damaged, or is not what the tree says.
    pub(crate) async fn next(&mut self) -> Result<Option<T>> {
        let mut ahead: usize = self.jobs.iter().map(|(bytes, _)| bytes).sum();
        while self.jobs.len() < AT_A_TIME {
            let held = self.held.take();
            let Some(leaf) = (if held.is_some() {
                held
            } else {
                self.next_leaf().await?
            }) else {
                break;
            };
            let bytes = leaf.chunk.content as usize;
            if ahead > 0 && ahead.saturating_add(bytes) > self.ahead_bytes {
                self.held = Some(leaf);
                break;
            }
            ahead += bytes;
            let wanted = Wanted {
                leaf,
                shape: self.shape,
                verified: self.verified,
                make: self.make,
                range: self.leaves.range.clone(),
                memory: Arc::clone(&self.memory),
            };
            let job = Task::spawn(read(self.leaves.repository.clone(), wanted));
            self.jobs.push_back((bytes, job));
        }
        match self.jobs.pop_front() {
            Some((_, job)) => job.join().await.map(Some),
            None => Ok(None),
        }
    }

    /// The next chunk to read.
    async fn next_leaf(&mut self) -> Result<Option<Child>> {
        loop {
            let leaf = self.leaves.next().await?;
            let (Some(found), Some(other)) = (&leaf, &mut self.other) else {
                return Ok(leaf);
            };
            if !other.has(found).await? {
                return Ok(leaf);
            }
        }
    }
}

/// The chunks of records of a tree that may have some in a range, in the order of their keys.
struct Leaves {
    repository: Repository,
    range: KeyRange,
    /// Nodes whose children were not all visited, the top first.
    path: Vec<Visit>,
    top: Option<Root>,
}

struct Visit {
    level: u8,
    children: std::vec::IntoIter<Child>,
}

impl Leaves {
    fn new(repository: &Repository, root: Root, range: KeyRange) -> Self {
        Leaves {
            repository: repository.clone(),
            range,
            path: Vec::new(),
            top: Some(root),
        }
    }

    async fn next(&mut self) -> Result<Option<Child>> {
        if let Some(top) = self.top.take() {
            self.visit(&top, None).await?;
        }
        while let Some(visit) = self.path.last_mut() {
            let level = visit.level;
            let Some(child) = visit.children.find(|child| child.meets(&self.range)) else {
                self.path.pop();
                continue;
            };
            if level == 1 {
                return Ok(Some(child));
            }
            self.visit(&child.root(level - 1), Some((&child.first, &child.last)))
                .await?;
        }
        Ok(None)
    }

    async fn visit(&mut self, root: &Root, bounds: Option<(&Key, &Key)>) -> Result<()> {
        let node = read_node(&self.repository, root, bounds).await?;
        self.path.push(Visit {
            level: node.level,
            children: node.children.into_iter(),
        });
        Ok(())
    }
}

/// A tree that another one is compared with, chunk by chunk.
struct Other {
    leaves: Leaves,
    /// The first of its chunks that is not before those that were asked for.
    head: Option<Child>,
}

impl Other {
    /// Whether the tree has a chunk with the records of `leaf`. To be asked in the order of keys.
    async fn has(&mut self, leaf: &Child) -> Result<bool> {
        while self.head.as_ref().is_none_or(|head| head.first < leaf.first) {
            self.head = self.leaves.next().await?;
            if self.head.is_none() {
                return Ok(false);
            }
        }
        let same =
            |head: &Child| head.digest == leaf.digest && head.first == leaf.first && head.last == leaf.last;
        Ok(self.head.as_ref().is_some_and(same))
    }
}

/// The node that `root` names, whose first and last keys are `bounds`: those that the node above says, which decide what
/// is read of a range.
pub(crate) async fn read_node(
    repository: &Repository,
    root: &Root,
    bounds: Option<(&Key, &Key)>,
) -> Result<Node> {
    let content = repository.get_chunk(&root.chunk, Kind::Index).await?;
    let at = |error: stead_core::Error| error.with("chunk", root.chunk.id);
    let node = Node::decode(root, &content).map_err(at)?;
    let found = (
        node.children.first().map(|child| &child.first),
        node.children.last().map(|child| &child.last),
    );
    match bounds {
        Some((first, last)) if found != (Some(first), Some(last)) => Err(at(malformed())),
        _ => Ok(node),
    }
}

/// What is to be made of the records of a chunk.
struct Wanted<T> {
    leaf: Child,
    shape: Shape,
    verified: bool,
    make: Make<T>,
    range: KeyRange,
    memory: Arc<Memory>,
}

/// What the records of a chunk give, if they are what the tree says.
async fn read<T: Send + 'static>(repository: Repository, wanted: Wanted<T>) -> Result<T> {
    if repository.location().local().is_some() {
        // Each step on a thread of its own would take longer than to wait for the disk here.
        return blocking(move || {
            with_buffers(&wanted.memory.buffers, |Buffers { stored, rows }| {
                repository.chunk_file(&wanted.leaf.chunk, stored)?;
                wanted.of(stored, rows)
            })
        })
        .await;
    }
    let bytes = repository.chunk_bytes(&wanted.leaf.chunk).await?;
    let bytes_of_content = wanted.leaf.chunk.content as usize;
    sized(bytes_of_content, move || {
        with_buffers(&wanted.memory.buffers, |Buffers { rows, .. }| {
            wanted.of(&bytes, rows)
        })
    })
    .await
}

impl<T> Wanted<T> {
    fn of(&self, stored: &[u8], rows: &mut Rows) -> Result<T> {
        let leaf = &self.leaf;
        let at = |error: stead_core::Error| error.with("chunk", leaf.chunk.id);
        let mut content = self.memory.contents.take();
        chunk::decode_into(&leaf.chunk, Kind::Records, stored, &mut content)?;
        let content = Spare::lend(&self.memory.contents, content);
        let table = rows.decode(&content, self.shape).map_err(at)?;
        let right = table.len() as u64 == leaf.records
            && (self.verified || table.digest() == leaf.digest)
            && table.bounds() == Some((leaf.first.as_bytes(), leaf.last.as_bytes()));
        if right {
            (self.make)(&table, &self.range)
        } else {
            Err(at(malformed()))
        }
    }
}
