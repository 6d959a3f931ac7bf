//! Partitions, and the revisions at which a snapshot sees them.
//!
//! ```text
//! length of the partition, the partition, its revision; one behind the other, in the order of the partitions
//! ```

use stead_core::{KeyRange, Partition, Result, Revision, Snapshot};

use crate::chunk::Kind;
use crate::create::HIDDEN;
use crate::manifest::Reach;
use crate::varint::{self, malformed};
use crate::writer::Writer;

/// Partitions that are listed at a time.
const LISTED: usize = 256;

/// The partitions that a snapshot has entries in, in order.
pub(crate) struct Listing<'a> {
    view: &'a dyn Snapshot,
    rest: KeyRange,
    page: std::vec::IntoIter<Partition>,
}

impl<'a> Listing<'a> {
    pub(crate) fn new(view: &'a dyn Snapshot) -> Self {
        Listing {
            view,
            rest: KeyRange::all(),
            page: Vec::new().into_iter(),
        }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Partition>> {
        loop {
            if let Some(partition) = self
                .page
                .find(|partition| !partition.as_bytes().starts_with(HIDDEN))
            {
                return Ok(Some(partition));
            }
            let page = self.view.partitions(&self.rest, LISTED).await?;
            let Some(last) = page.last() else {
                return Ok(None);
            };
            self.rest = self.rest.after_partition(last);
            self.page = page.into_iter();
        }
    }
}

/// How far a backup reaches, partition by partition.
#[derive(Default)]
pub(crate) struct Reached {
    content: Vec<u8>,
    highest: Revision,
}

impl Reached {
    /// Adds the next partition.
    pub(crate) fn push(&mut self, partition: &Partition, revision: Revision) {
        self.highest = self.highest.max(revision);
        varint::put(&mut self.content, partition.as_bytes().len() as u64);
        self.content.extend_from_slice(partition.as_bytes());
        varint::put(&mut self.content, revision.get());
    }

    /// Writes what was added.
    pub(crate) fn finish(self, writer: &mut Writer) -> Result<Reach> {
        Ok(Reach::Partitions {
            chunk: writer.extra(Kind::Partitions, &self.content)?,
            highest: self.highest.get(),
        })
    }
}

/// Reads what [`Reached`] wrote.
pub(crate) struct Reader<'a> {
    rest: varint::Reader<'a>,
    last: Option<Partition>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(content: &'a [u8]) -> Self {
        Reader {
            rest: varint::Reader::new(content),
            last: None,
        }
    }

    /// The next partition.
    ///
    /// # Errors
    ///
    /// `Corrupt` for what is none, or is not behind the one before.
    pub(crate) fn next(&mut self) -> Result<Option<(Partition, Revision)>> {
        if self.rest.remaining() == 0 {
            return Ok(None);
        }
        let length = self.rest.size()?;
        let partition = Partition::new(self.rest.bytes(length)?).map_err(|_| malformed())?;
        let revision = Revision::new(self.rest.number()?);
        if self.last.as_ref().is_some_and(|last| *last >= partition) {
            return Err(malformed());
        }
        self.last = Some(partition.clone());
        Ok(Some((partition, revision)))
    }
}

/// That `content` is such, and `highest` the highest revision in it.
///
/// # Errors
///
/// `Corrupt` otherwise.
pub(crate) fn check(content: &[u8], highest: u64) -> Result<()> {
    let mut reader = Reader::new(content);
    let mut found = Revision::ZERO;
    while let Some((_, revision)) = reader.next()? {
        found = found.max(revision);
    }
    if found.get() == highest {
        Ok(())
    } else {
        Err(malformed())
    }
}
