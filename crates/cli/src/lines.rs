//! Lines from a file or from stdin, read on a thread of their own and bounded in length and in number.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use stead::core::Limits;
use stead::{Error, Result};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// A line, and its share of the memory that lines under way may take. Keep the share until the line is dealt with.
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: u64,
    /// The bytes without their line feed, or why they are none.
    pub(crate) text: Result<Vec<u8>>,
    /// Bytes of the source that have been read, this line included.
    pub(crate) position: u64,
    pub(crate) share: OwnedSemaphorePermit,
}

/// Lines that wait to be taken.
const WAITING_LINES: usize = 256;
/// What lines under way take in KiB; a longer line goes alone.
const BUDGET_KIB: u32 = 64 << 10;

/// The longest line: a value at the limit in which every byte is escaped, or a batch at the limit, and something for the
/// key.
pub(crate) fn longest(limits: &Limits) -> usize {
    const KEY_AND_FIELDS: usize = 64 << 10;
    limits
        .value_bytes
        .saturating_mul(6)
        .max(limits.batch_bytes)
        .saturating_add(KEY_AND_FIELDS)
}

/// Reads the lines of `source` on a thread of their own; blank ones are counted and left out. A line beyond `limit` is
/// skipped and comes as an error. A failure to read comes as an error and is the end.
pub(crate) fn read<R: Read + Send + 'static>(source: R, limit: usize) -> Result<mpsc::Receiver<Line>> {
    let (sender, receiver) = mpsc::channel(WAITING_LINES);
    let budget = Arc::new(Semaphore::new(BUDGET_KIB as usize));
    let runtime = Handle::current();
    std::thread::Builder::new()
        .name("stead-lines".to_owned())
        .spawn(move || {
            let mut lines = Lines::new(source, limit);
            while let Some((number, text)) = lines.next() {
                let length = text.as_ref().map_or(0, Vec::len);
                let kib = u32::try_from(length >> 10).map_or(BUDGET_KIB, |kib| (kib + 1).min(BUDGET_KIB));
                let Ok(share) = runtime.block_on(Arc::clone(&budget).acquire_many_owned(kib)) else {
                    return;
                };
                let position = lines.position;
                let line = Line {
                    number,
                    text,
                    position,
                    share,
                };
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        })
        .map_err(|cause| Error::unavailable("the system gives no thread to read with").because(cause))?;
    Ok(receiver)
}

struct Lines<R> {
    source: BufReader<R>,
    limit: usize,
    number: u64,
    position: u64,
    over: bool,
}

impl<R: Read> Lines<R> {
    fn new(source: R, limit: usize) -> Self {
        Lines {
            source: BufReader::with_capacity(64 << 10, source),
            limit,
            number: 0,
            position: 0,
            over: false,
        }
    }

    /// The next line that is not blank, with its number.
    fn next(&mut self) -> Option<(u64, Result<Vec<u8>>)> {
        while !self.over {
            self.number += 1;
            match self.line() {
                Ok(None) => self.over = true,
                Ok(Some(line)) if line.trim_ascii().is_empty() => {}
                Ok(Some(line)) => return Some((self.number, Ok(line))),
                Err(error) => return Some((self.number, Err(error))),
            }
        }
        None
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut seen = false;
        let mut too_long = false;
        loop {
            let buffer = match self.source.fill_buf() {
                Ok(buffer) => buffer,
                Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(cause) => {
                    self.over = true;
                    return Err(Error::invalid("cannot read the line")
                        .with("reason", cause.kind())
                        .because(cause));
                }
            };
            if buffer.is_empty() {
                break;
            }
            seen = true;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            too_long |= line.len() + part.len() > self.limit;
            if !too_long {
                line.extend_from_slice(part);
            }
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.source.consume(used);
            self.position += used as u64;
            if end.is_some() {
                break;
            }
        }
        if too_long {
            return Err(Error::invalid("line is longer than the limit").with("limit_bytes", self.limit));
        }
        Ok(seen.then_some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8], limit: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut lines = Lines::new(text, limit);
        std::iter::from_fn(|| lines.next())
            .map(|(number, line)| (number, line.ok()))
            .collect()
    }

    #[test]
    fn lines_are_numbered_as_in_an_editor() {
        assert_eq!(
            all(b"one\n\n  \r\nfour\nfive", 100),
            [
                (1, Some(b"one".to_vec())),
                (4, Some(b"four".to_vec())),
                (5, Some(b"five".to_vec()))
            ]
        );
        assert_eq!(all(b"", 100), []);
        assert_eq!(all(b"\n\n", 100), []);
    }

    #[test]
    fn a_line_beyond_the_limit_is_skipped_and_named() {
        let mut text = vec![b'x'; 200_000];
        text.extend_from_slice(b"\nshort\n12345\n123456");
        assert_eq!(
            all(&text, 5),
            [
                (1, None),
                (2, Some(b"short".to_vec())),
                (3, Some(b"12345".to_vec())),
                (4, None)
            ]
        );
    }

    #[tokio::test]
    async fn all_lines_come_in_order() {
        let text: Vec<u8> = (0..5_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        let mut lines = read(std::io::Cursor::new(text.clone()), 100).unwrap();
        let mut wanted = 0;
        while let Some(line) = lines.recv().await {
            assert_eq!(line.text.unwrap(), wanted.to_string().into_bytes());
            wanted += 1;
            assert_eq!(line.number, wanted);
            if wanted == 5_000 {
                assert_eq!(line.position, text.len() as u64);
            }
        }
        assert_eq!(wanted, 5_000);
    }
}
