//! Calls that write or rename.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};

use super::super::log::{Kind, Op};
use super::arguments::Argument;
use super::calls::Replay;
use super::paths::{Found, at, descriptor, flags, number};

impl Replay {
    pub(super) fn written(&mut self, call: &str, arguments: &[Argument], count: u64) -> Result<()> {
        let Some(opened) = self.descriptors.get(descriptor(arguments.first())?) else {
            return self.check_outside(arguments.first());
        };
        let mut data = bytes(at(arguments, 1)?)?;
        ensure!(data.len() as u64 >= count, "a call wrote more than it was given");
        data.truncate(usize::try_from(count)?);
        let mut opened = opened.borrow_mut();
        let file = opened.node;
        let offset = match call {
            "write" | "writev" => {
                if opened.append {
                    opened.offset = self.len(file);
                }
                let offset = opened.offset;
                opened.offset += count;
                offset
            }
            // pwrite appends as well on a file opened for that.
            _ if opened.append => self.len(file),
            "pwrite64" => number(arguments, 3)?,
            "pwritev" | "pwritev2" => number(arguments, 3)?,
            other => bail!("the call {other} is not modelled"),
        };
        if !data.is_empty() {
            self.write(file, offset, data.into());
        }
        if opened.synced {
            let covers = self.log.ops.len();
            self.log.push(Op::Sync { node: file, covers });
        }
        Ok(())
    }

    pub(super) fn allocate(&mut self, arguments: &[Argument]) -> Result<()> {
        let Some(opened) = self.descriptors.get(descriptor(arguments.first())?) else {
            return self.check_outside(arguments.first());
        };
        let file = opened.borrow().node;
        let flags = flags(arguments, 1);
        let (offset, len) = (number(arguments, 2)?, number(arguments, 3)?);
        let keeps_size = flags.contains(&"FALLOC_FL_KEEP_SIZE");
        let zeroes = flags
            .iter()
            .any(|flag| matches!(*flag, "FALLOC_FL_PUNCH_HOLE" | "FALLOC_FL_ZERO_RANGE"));
        for flag in &flags {
            ensure!(
                matches!(
                    *flag,
                    "0" | "FALLOC_FL_KEEP_SIZE" | "FALLOC_FL_PUNCH_HOLE" | "FALLOC_FL_ZERO_RANGE"
                ),
                "the allocation {flag} is not modelled"
            );
        }
        let end = offset + len;
        if zeroes {
            let zeros = end.min(self.len(file)).saturating_sub(offset);
            if zeros > 0 {
                let zeros: Arc<[u8]> = vec![0; usize::try_from(zeros)?].into();
                self.write(file, offset, zeros);
            }
        }
        if !keeps_size && end > self.len(file) {
            self.set_len(file, end);
        }
        Ok(())
    }

    pub(super) fn name(&mut self, call: &str, arguments: &[Argument]) -> Result<()> {
        let relative = call.ends_with("at") || call.ends_with("at2");
        let path = |number: usize| {
            let position = if relative { 2 * number + 1 } else { number };
            let directory = relative.then(|| at(arguments, 2 * number)).transpose()?;
            self.paths.find(directory, at(arguments, position)?)
        };
        let first = path(0)?;
        match call {
            "mkdir" | "mkdirat" => match first {
                Found::Nothing(place) => {
                    let kind = Kind::Directory;
                    let node = self.paths.new_node();
                    self.paths.set(place.clone(), node);
                    self.log.push(Op::Make { place, node, kind });
                    Ok(())
                }
                Found::Outside => Ok(()),
                other => bail!("a directory was made where something is: {other:?}"),
            },
            "unlink" | "unlinkat" | "rmdir" => match first {
                Found::Node(place, _) => {
                    self.paths.remove(&place);
                    self.log.push(Op::Remove { place });
                    Ok(())
                }
                Found::Outside => Ok(()),
                other => bail!("something was removed that was not there: {other:?}"),
            },
            _ => {
                let second = path(1)?;
                if call.starts_with("rename") {
                    let refused = flags(arguments, 4).contains(&"RENAME_EXCHANGE");
                    ensure!(!refused, "exchanging two names is not modelled");
                    self.rename(first, second)
                } else {
                    self.link(first, second)
                }
            }
        }
    }

    fn rename(&mut self, from: Found, to: Found) -> Result<()> {
        let (from, node) = match (from, &to) {
            (Found::Node(from, node), _) => (from, node),
            (Found::Outside, Found::Outside) => return Ok(()),
            other => bail!("renaming {other:?} is not modelled"),
        };
        let (Found::Node(to, _) | Found::Nothing(to)) = to else {
            bail!("renaming to {to:?} is not modelled");
        };
        if from == to {
            return Ok(());
        }
        self.paths.remove(&from);
        self.paths.set(to.clone(), node);
        self.log.push(Op::Rename { from, to, node });
        Ok(())
    }

    fn link(&mut self, from: Found, to: Found) -> Result<()> {
        match (from, to) {
            (Found::Node(_, node), Found::Nothing(place)) => {
                self.paths.set(place.clone(), node);
                self.log.push(Op::Link { place, node });
                Ok(())
            }
            (Found::Outside, Found::Outside) => Ok(()),
            other => bail!("linking {other:?} is not modelled"),
        }
    }
}

/// The bytes that a call was given: one string, or a list of pieces.
pub(super) fn bytes(argument: &Argument) -> Result<Vec<u8>> {
    match argument {
        Argument::Text(text) => Ok(text.clone()),
        Argument::List(pieces) => {
            let mut all = Vec::new();
            for piece in pieces {
                let Argument::Fields(fields) = piece else {
                    bail!("a piece that is none");
                };
                let (_, base) = fields
                    .iter()
                    .find(|(name, _)| name == "iov_base")
                    .context("a piece without bytes")?;
                all.extend(bytes(base)?);
            }
            Ok(all)
        }
        _ => bail!("no bytes to write"),
    }
}
