//! Playing recorded calls to a log.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::super::log::{Kind, Log, Node, Op, ROOT};
use super::super::tree::Tree;
use super::arguments::{self, Argument};
use super::effects::bytes;
use super::line::{self, Line, returned};
use super::opened::{Descriptors, Opened};
use super::paths::{Found, Paths, at, descriptor, flags, number};

/// The descriptor that the process acknowledges on, or the one that it is a copy of.
const OUTPUT: u64 = 1;

/// Makes a log of lines.
pub(crate) struct Replay {
    pub(super) log: Log,
    pub(super) paths: Paths,
    pub(super) descriptors: Descriptors,
    /// How long the files are.
    pub(super) lengths: HashMap<Node, u64>,
    /// The descriptors that the process acknowledges on.
    outputs: HashSet<u64>,
    /// What was written of a line that is not whole yet.
    line: Vec<u8>,
    /// The calls that threads are in.
    entered: HashMap<u32, Entered>,
}

struct Entered {
    call: String,
    arguments: String,
    /// The length of the log at that moment.
    since: usize,
}

impl Replay {
    /// Records what happens below `root`, which is free of symbolic links and holds `base` when the process starts.
    pub(crate) fn new(root: &Path, base: &Tree) -> Self {
        let mut lengths = HashMap::new();
        base.each(&mut |_, node, content| {
            lengths.extend(content.map(|content| (node, content.len())));
        });
        Replay {
            log: Log::default(),
            paths: Paths::new(root, base),
            descriptors: Descriptors::default(),
            lengths,
            outputs: HashSet::from([OUTPUT]),
            line: Vec::new(),
            entered: HashMap::new(),
        }
    }

    pub(crate) fn into_log(self) -> Log {
        self.log
    }

    /// Takes in one line of the tracer.
    ///
    /// # Errors
    ///
    /// What is malformed, and calls that the model does not know and that might change a file.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        let explain = || {
            let front: String = text.chars().take(200).collect();
            anyhow!("cannot follow the recorded line {front}")
        };
        self.take_in(text).with_context(explain)
    }

    fn take_in(&mut self, text: &str) -> Result<()> {
        match line::parse(text)? {
            Line::Other => Ok(()),
            Line::Whole {
                call,
                arguments,
                result,
                ..
            } => {
                let arguments = arguments::parse(arguments)?;
                self.enter(call, &arguments)?;
                self.leave(call, &arguments, result, self.log.ops.len())
            }
            Line::Begun {
                thread,
                call,
                arguments,
            } => {
                // What the call will say of its result is not there yet; what it was asked is.
                if matches!(call, "close" | "write" | "writev") {
                    self.enter(call, &arguments::parse(arguments)?)?;
                }
                let entered = Entered {
                    call: call.to_owned(),
                    arguments: arguments.to_owned(),
                    since: self.log.ops.len(),
                };
                self.entered.insert(thread, entered);
                Ok(())
            }
            Line::Resumed {
                thread,
                call,
                arguments,
                result,
            } => {
                let entered = self.entered.remove(&thread).context("a call that never began")?;
                ensure!(entered.call == call, "another call than the one that began");
                let arguments = arguments::parse(&(entered.arguments + arguments))?;
                self.leave(call, &arguments, result, entered.since)
            }
        }
    }

    /// What happens, or is taken to happen, when a call begins.
    fn enter(&mut self, call: &str, arguments: &[Argument]) -> Result<()> {
        match call {
            // Another thread may be given the number before the call returns.
            "close" => {
                let number = descriptor(arguments.first())?;
                self.descriptors.close(number);
                self.outputs.remove(&number);
            }
            // Who is about to say that something is safe must have made sure before.
            "write" | "writev" if self.outputs.contains(&descriptor(arguments.first())?) => {
                self.acknowledge(&bytes(at(arguments, 1)?)?)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn acknowledge(&mut self, text: &[u8]) -> Result<()> {
        for byte in text {
            if *byte == b'\n' {
                let line = String::from_utf8(std::mem::take(&mut self.line))?;
                self.log.push(Op::Acknowledge(line));
            } else {
                self.line.push(*byte);
            }
        }
        Ok(())
    }

    /// What has happened when a call returns.
    fn leave(&mut self, call: &str, arguments: &[Argument], result: &str, since: usize) -> Result<()> {
        let Some(returned) = returned(result) else {
            return self.failed(call, arguments);
        };
        match call {
            "open" | "creat" | "openat" => self.open(call, arguments, returned),
            "close" | "execve" => Ok(()),
            "dup" | "dup2" | "dup3" => self.duplicate(arguments, returned),
            "fcntl" => self.control(arguments, returned),
            "lseek" => self.with_opened(arguments, |_, opened| {
                opened.borrow_mut().offset = returned;
                Ok(())
            }),
            "read" | "readv" => self.with_opened(arguments, |_, opened| {
                opened.borrow_mut().offset += returned;
                Ok(())
            }),
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" => {
                self.written(call, arguments, returned)
            }
            "fsync" | "fdatasync" => self.with_opened(arguments, |replay, opened| {
                let node = opened.borrow().node;
                replay.log.push(Op::Sync { node, covers: since });
                Ok(())
            }),
            "sync_file_range" => self.with_opened(arguments, |replay, opened| {
                let file = opened.borrow().node;
                replay.log.push(Op::SyncRange { file });
                Ok(())
            }),
            "ftruncate" => {
                let len = number(arguments, 1)?;
                self.with_opened(arguments, |replay, opened| {
                    let file = opened.borrow().node;
                    replay.set_len(file, len);
                    Ok(())
                })
            }
            "fallocate" => self.allocate(arguments),
            "mkdir" | "mkdirat" | "rename" | "renameat" | "renameat2" | "unlink" | "unlinkat" | "rmdir"
            | "link" | "linkat" => self.name(call, arguments),
            "chmod" | "fchmod" | "fchmodat" | "chown" | "fchown" | "fchownat" | "utimensat" => Ok(()),
            "mmap" => self.map(arguments),
            "clone" | "clone3" | "fork" | "vfork" => {
                let thread = arguments
                    .iter()
                    .any(|argument| format!("{argument:?}").contains("CLONE_THREAD"));
                ensure!(thread, "a second process is not modelled");
                Ok(())
            }
            // Between descriptors that are not recorded they change nothing that is.
            "copy_file_range" | "sendfile" | "splice" | "ioctl" => self.refuse_recorded(arguments),
            other => bail!("the call {other} is not modelled"),
        }
    }

    /// A call that failed did nothing, unless it was to make something safe.
    fn failed(&self, call: &str, arguments: &[Argument]) -> Result<()> {
        if matches!(call, "fsync" | "fdatasync" | "sync_file_range")
            && self.descriptors.get(descriptor(arguments.first())?).is_some()
        {
            bail!("a sync failed while recording; use a sound disk");
        }
        Ok(())
    }

    /// Does something with the recorded file of the first argument, if it is one.
    fn with_opened(
        &mut self,
        arguments: &[Argument],
        act: impl FnOnce(&mut Self, &Rc<RefCell<Opened>>) -> Result<()>,
    ) -> Result<()> {
        let number = descriptor(arguments.first())?;
        match self.descriptors.get(number) {
            Some(opened) => act(self, &opened),
            None => self.check_outside(arguments.first()),
        }
    }

    /// A descriptor that is not known must not stand for something that is recorded.
    pub(super) fn check_outside(&self, argument: Option<&Argument>) -> Result<()> {
        if let Some(Argument::Descriptor { target, .. }) = argument {
            ensure!(
                !self.paths.is_inside(target),
                "a descriptor whose opening was not recorded"
            );
        }
        Ok(())
    }

    fn refuse_recorded(&self, arguments: &[Argument]) -> Result<()> {
        let recorded = |argument: &Argument| match argument {
            Argument::Descriptor { target, .. } => self.paths.is_inside(target),
            _ => false,
        };
        ensure!(
            !arguments.iter().any(recorded),
            "the call is not modelled on a recorded file"
        );
        Ok(())
    }

    fn duplicate(&mut self, arguments: &[Argument], copy: u64) -> Result<()> {
        let number = descriptor(arguments.first())?;
        self.descriptors.duplicate(number, copy);
        if self.outputs.contains(&number) {
            self.outputs.insert(copy);
        } else {
            self.outputs.remove(&copy);
        }
        Ok(())
    }

    fn control(&mut self, arguments: &[Argument], returned: u64) -> Result<()> {
        match flags(arguments, 1).first().copied() {
            Some("F_DUPFD" | "F_DUPFD_CLOEXEC") => self.duplicate(arguments, returned),
            Some("F_SETFL") => {
                let append = flags(arguments, 2).contains(&"O_APPEND");
                self.with_opened(arguments, |_, opened| {
                    opened.borrow_mut().append = append;
                    Ok(())
                })
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, call: &str, arguments: &[Argument], opened: u64) -> Result<()> {
        let shift = usize::from(call == "openat");
        let directory = (shift == 1).then(|| at(arguments, 0)).transpose()?;
        let found = self.paths.find(directory, at(arguments, shift)?)?;
        let flags = match call {
            "creat" => vec!["O_WRONLY", "O_CREAT", "O_TRUNC"],
            _ => flags(arguments, shift + 1),
        };
        let has = |flag: &str| flags.contains(&flag);
        let node = match found {
            Found::Outside => {
                self.descriptors.close(opened);
                return Ok(());
            }
            Found::Root => ROOT,
            Found::Node(_, node) => node,
            Found::Nothing(place) => {
                ensure!(has("O_CREAT"), "a file that was there before the recording");
                let kind = Kind::File;
                let node = self.paths.new_node();
                self.paths.set(place.clone(), node);
                self.log.push(Op::Make { place, node, kind });
                node
            }
        };
        ensure!(!has("O_TMPFILE"), "a file without a name is not modelled");
        if has("O_TRUNC") && self.len(node) > 0 {
            self.set_len(node, 0);
        }
        let opened_file = Opened {
            node,
            offset: 0,
            append: has("O_APPEND"),
            synced: has("O_SYNC") || has("O_DSYNC"),
            writable: has("O_WRONLY") || has("O_RDWR"),
        };
        self.descriptors.open(opened, opened_file);
        Ok(())
    }

    pub(super) fn len(&self, file: Node) -> u64 {
        self.lengths.get(&file).copied().unwrap_or(0)
    }

    pub(super) fn set_len(&mut self, file: Node, len: u64) {
        self.lengths.insert(file, len);
        self.log.push(Op::SetLen { file, len });
    }

    pub(super) fn write(&mut self, file: Node, offset: u64, data: Arc<[u8]>) {
        let len = self.len(file).max(offset + data.len() as u64);
        self.lengths.insert(file, len);
        self.log.push(Op::Write { file, offset, data });
    }

    fn map(&self, arguments: &[Argument]) -> Result<()> {
        let shared = flags(arguments, 3)
            .iter()
            .any(|flag| flag.starts_with("MAP_SHARED"));
        let Some(Argument::Descriptor { .. }) = arguments.get(4) else {
            return Ok(());
        };
        let number = descriptor(arguments.get(4))?;
        let writable = match self.descriptors.get(number) {
            Some(opened) => opened.borrow().writable,
            None => return self.check_outside(arguments.get(4)),
        };
        ensure!(
            !(shared && writable),
            "a file that is written to through memory is not modelled"
        );
        Ok(())
    }
}
