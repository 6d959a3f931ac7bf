//! A log as text, so that an image can be built once more from the same recording.

use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::str::FromStr;

use anyhow::{Context as _, Error, Result, bail};
use stead_conformance::crash::Work;

use super::log::{Kind, Log, Node, Op, Place};
use super::recording::Recording;
use super::tree::Tree;

impl Recording {
    /// The recording as text, without what was on the disk at its beginning.
    pub(crate) fn to_text(&self) -> String {
        let Work {
            load,
            seed,
            from,
            count,
            window,
        } = self.work;
        let first = self.first;
        format!("{load} {seed} {from} {count} {window} {first}\n{}", self.log)
    }

    /// Reads what [`to_text`](Recording::to_text) wrote.
    ///
    /// # Errors
    ///
    /// A malformed line, which is named.
    pub(crate) fn from_text(text: &str, base: Tree) -> Result<Self> {
        let (head, log) = text.split_once('\n').context("no recording")?;
        let words: Vec<&str> = head.split(' ').collect();
        let [load, seed, from, count, window, first] = words[..] else {
            bail!("malformed head of a recording");
        };
        Ok(Recording {
            work: Work {
                load: load.parse()?,
                seed: seed.parse()?,
                from: from.parse()?,
                count: count.parse()?,
                window: window.parse()?,
            },
            base,
            log: log.parse()?,
            first: first.parse()?,
        })
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))
    }
}

impl FromStr for Log {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut log = Log::default();
        for (number, line) in text.lines().enumerate() {
            let op = parse(line).with_context(|| format!("malformed recording, line {}", number + 1))?;
            log.push(op);
        }
        Ok(log)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Make { place, node, kind } => {
                let kind = match kind {
                    Kind::File => "file",
                    Kind::Directory => "directory",
                };
                write!(f, "make {kind} {place} {}", node.0)
            }
            Op::Link { place, node } => write!(f, "link {place} {}", node.0),
            Op::Rename { from, to, node } => write!(f, "rename {from} {to} {}", node.0),
            Op::Remove { place } => write!(f, "remove {place}"),
            Op::Write { file, offset, data } => write!(f, "write {} {offset} {}", file.0, Hex(data)),
            Op::SetLen { file, len } => write!(f, "set-len {} {len}", file.0),
            Op::Sync { node, covers } => write!(f, "sync {} {covers}", node.0),
            Op::SyncRange { file } => write!(f, "sync-range {}", file.0),
            Op::Acknowledge(line) => write!(f, "say {}", Hex(line.as_bytes())),
        }
    }
}

/// The number of the directory and the name.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.directory.0, Hex(self.name.as_bytes()))
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut line = String::with_capacity(self.0.len() * 2 + 1);
        // Even nothing is a word.
        line.push('x');
        for byte in self.0 {
            line.push(char::from(DIGITS[usize::from(byte >> 4)]));
            line.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        f.write_str(&line)
    }
}

fn parse(line: &str) -> Result<Op> {
    let words: Vec<&str> = line.split(' ').collect();
    Ok(match words[..] {
        ["make", kind, at, id] => Op::Make {
            place: place(at)?,
            node: node(id)?,
            kind: match kind {
                "file" => Kind::File,
                "directory" => Kind::Directory,
                _ => bail!("no kind"),
            },
        },
        ["link", at, id] => Op::Link {
            place: place(at)?,
            node: node(id)?,
        },
        ["rename", from, to, id] => Op::Rename {
            from: place(from)?,
            to: place(to)?,
            node: node(id)?,
        },
        ["remove", at] => Op::Remove { place: place(at)? },
        ["write", file, offset, data] => Op::Write {
            file: node(file)?,
            offset: offset.parse()?,
            data: unhex(data)?.into(),
        },
        ["set-len", file, len] => Op::SetLen {
            file: node(file)?,
            len: len.parse()?,
        },
        ["sync", id, covers] => Op::Sync {
            node: node(id)?,
            covers: covers.parse()?,
        },
        ["sync-range", file] => Op::SyncRange { file: node(file)? },
        ["say", line] => Op::Acknowledge(String::from_utf8(unhex(line)?)?),
        _ => bail!("no such operation"),
    })
}

fn node(word: &str) -> Result<Node> {
    Ok(Node(word.parse()?))
}

fn place(word: &str) -> Result<Place> {
    let (directory, name) = word.split_once('/').context("no place")?;
    Ok(Place {
        directory: node(directory)?,
        name: std::ffi::OsString::from_vec(unhex(name)?),
    })
}

fn unhex(word: &str) -> Result<Vec<u8>> {
    let digits = word.strip_prefix('x').context("no bytes")?.as_bytes();
    let digit = |letter: u8| char::from(letter).to_digit(16).context("no digit");
    digits
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => Ok(u8::try_from(digit(high)? * 16 + digit(low)?)?),
            _ => bail!("half a byte"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was() {
        let file = Node(2);
        let place = |name: &[u8]| Place {
            directory: Node(1),
            name: std::ffi::OsString::from_vec(name.to_vec()),
        };
        let log = Log {
            ops: vec![
                Op::Make {
                    place: place(b"a b\xff"),
                    node: file,
                    kind: Kind::File,
                },
                Op::Write {
                    file,
                    offset: 7,
                    data: (*b"\0x\n").into(),
                },
                Op::SetLen { file, len: 9 },
                Op::Sync {
                    node: file,
                    covers: 2,
                },
                Op::SyncRange { file },
                Op::Acknowledge("ack 1 durable".to_owned()),
                Op::Link {
                    place: place(b""),
                    node: file,
                },
                Op::Rename {
                    from: place(b"a b\xff"),
                    to: place(b"c"),
                    node: file,
                },
                Op::Remove { place: place(b"c") },
            ],
        };
        let recording = Recording {
            work: super::super::recording::work(3, 4),
            base: Tree::default(),
            log,
            first: 2,
        };
        let text = recording.to_text();
        let again = Recording::from_text(&text, Tree::default()).unwrap();
        assert_eq!(again.log.ops, recording.log.ops, "{text}");
        assert_eq!((again.work, again.first), (recording.work, recording.first));
        assert!("write 1 2 3".parse::<Log>().is_err());
    }
}
