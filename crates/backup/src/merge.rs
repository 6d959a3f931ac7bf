//! A chain of backups, read as what it gives.

use stead_core::{Error, Result, Revision};

use crate::manifest::{BackupKind, Manifest};
use crate::reader::Reader;
use crate::records::{Payload, Record, Shape};
use crate::repository::Repository;
use crate::restore::Selection;

/// Which part of the last increment counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upto {
    /// All of it.
    End,
    /// What had changed by this revision.
    Revision(Revision),
}

/// The entries that a chain of backups gives, in the order of their keys. Of a key that several have, the newest counts.
pub(crate) struct Merge {
    /// The full backup first.
    layers: Vec<Layer>,
    upto: Upto,
    selection: Selection,
    /// What was read and not given one by one yet.
    block: std::vec::IntoIter<Record>,
}

/// Entries of a block of several layers, and about how many bytes of keys and values it has at most. One of a single layer
/// is a chunk.
const BLOCK_ENTRIES: usize = 8 << 10;
const BLOCK_BYTES: usize = 1 << 20;

struct Layer {
    reader: Reader,
    block: std::iter::Peekable<std::vec::IntoIter<Record>>,
    ended: bool,
}

impl Layer {
    /// Has the next record ready, if there is one.
    async fn fill(&mut self) -> Result<()> {
        while self.block.peek().is_none() && !self.ended {
            let block = self.reader.block().await?;
            self.ended = block.is_empty();
            self.block = block.into_iter().peekable();
        }
        Ok(())
    }
}

/// How the records of a backup are encoded.
pub(crate) fn shape_of(manifest: &Manifest) -> Shape {
    match manifest.kind {
        BackupKind::Full => Shape::Full,
        BackupKind::Incremental | BackupKind::Differential => Shape::Increment,
    }
}

impl Merge {
    pub(crate) fn new(
        repository: &Repository,
        chain: &[&Manifest],
        selection: &Selection,
        upto: Upto,
    ) -> Self {
        let layers = chain.iter().map(|manifest| Layer {
            reader: Reader::new(
                repository,
                manifest.root.clone(),
                shape_of(manifest),
                selection.range.clone(),
            )
            .among(chain.len()),
            block: Vec::new().into_iter().peekable(),
            ended: false,
        });
        Merge {
            layers: layers.collect(),
            upto,
            selection: selection.clone(),
            block: Vec::new().into_iter(),
        }
    }

    /// For a chain all of whose bytes were verified before.
    pub(crate) fn verified(mut self) -> Self {
        let layers = self.layers.into_iter().map(|layer| Layer {
            reader: layer.reader.verified(),
            ..layer
        });
        self.layers = layers.collect();
        self
    }

    /// The next entry; `None` when all were read.
    ///
    /// # Errors
    ///
    /// As [`block`](Merge::block).
    pub(crate) async fn next(&mut self) -> Result<Option<Record>> {
        loop {
            if let Some(record) = self.block.next() {
                return Ok(Some(record));
            }
            let block = self.block().await?;
            if block.is_empty() {
                return Ok(None);
            }
            self.block = block.into_iter();
        }
    }

    /// The next entries; none when all were read.
    ///
    /// # Errors
    ///
    /// `Corrupt` where a chunk is missing or damaged; `Invalid` where the revision to stop at lies between two changes of one
    /// key, of which the last increment has only the second.
    pub(crate) async fn block(&mut self) -> Result<Vec<Record>> {
        if let ([layer], Upto::End) = (&mut self.layers[..], self.upto) {
            // Most restores are of a full backup alone, all records of which are entries.
            loop {
                let mut block = layer.reader.block().await?;
                let ended = block.is_empty();
                if self.selection.filter.is_some() {
                    thin_out(&mut block, |record| self.selection.picks(&record.key));
                }
                if ended || !block.is_empty() {
                    return Ok(block);
                }
            }
        }
        let (mut block, mut bytes) = (Vec::new(), 0);
        while block.len() < BLOCK_ENTRIES && bytes < BLOCK_BYTES {
            let Some(record) = self.merged().await? else {
                break;
            };
            bytes += record.logical_bytes();
            block.push(record);
        }
        Ok(block)
    }

    /// The next entry of several layers.
    async fn merged(&mut self) -> Result<Option<Record>> {
        loop {
            for layer in &mut self.layers {
                layer.fill().await?;
            }
            let last = self.layers.len() - 1;
            let mut newest: Option<Record> = None;
            let lowest = self
                .layers
                .iter_mut()
                .filter_map(|layer| layer.block.peek())
                .map(|record| &record.key);
            let Some(lowest) = lowest.min().cloned() else {
                return Ok(None);
            };
            let picked = self.selection.picks(&lowest);
            for (index, layer) in self.layers.iter_mut().enumerate() {
                let Some(record) = layer.block.next_if(|record| record.key == lowest) else {
                    continue;
                };
                if picked && (index < last || self.upto.includes(&record)?) {
                    newest = Some(record);
                }
            }
            match newest {
                Some(mut record) if matches!(record.payload, Payload::Entry(_) | Payload::Value(_)) => {
                    // Of the chunks of each layer few values may be left.
                    record.detach();
                    return Ok(Some(record));
                }
                _ => {}
            }
        }
    }
}

/// Leaves out of a block, which is of one chunk, the records that are not wanted. Where that is the greater part, the others
/// get memory of their own.
pub(crate) fn thin_out(block: &mut Vec<Record>, is_wanted: impl Fn(&Record) -> bool) {
    let bytes = |block: &[Record]| block.iter().map(Record::logical_bytes).sum::<usize>();
    let before = bytes(block);
    block.retain(is_wanted);
    if 2 * bytes(block) < before {
        block.iter_mut().for_each(Record::detach);
    }
}

impl Upto {
    fn includes(self, record: &Record) -> Result<bool> {
        match self {
            Upto::End => Ok(true),
            Upto::Revision(upto) if record.revision <= upto => Ok(true),
            Upto::Revision(upto) if upto < record.first => Ok(false),
            Upto::Revision(upto) => Err(Error::invalid(
                "the state at this revision is not known: a key changed before it and again behind it, and the backup has \
                 only the later value; name a revision outside of this span, or a backup",
            )
            .with("revision", upto)
            .with("span_from", record.first)
            .with("span_to", record.revision)),
        }
    }
}
