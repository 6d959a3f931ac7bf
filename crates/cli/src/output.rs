//! What commands print.

use std::io::{self, Write};

use serde::Serialize;

use crate::exit::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::printer::Printer;

/// What is gathered before it is printed.
const GATHERED_BYTES: usize = 8 << 10;

/// Stdout, and whether people or programs read it. What is printed is gathered until it is passed on or flushed: only
/// these wait for the reader, and can be left.
pub(crate) struct Output {
    as_json: bool,
    gathered: Vec<u8>,
    printer: Printer,
}

impl Output {
    pub(crate) fn new(as_json: bool) -> Result<Self> {
        Ok(Output {
            as_json,
            gathered: Vec::new(),
            printer: Printer::start()?,
        })
    }

    /// Whether `--json` was given.
    pub(crate) fn is_json(&self) -> bool {
        self.as_json
    }

    /// Prints a line for people, or `object` as one line for programs.
    pub(crate) fn either<T: Serialize>(&mut self, text: &str, object: &T) -> Result<()> {
        if self.as_json {
            return self.json(object);
        }
        self.text(text);
        Ok(())
    }

    pub(crate) fn text(&mut self, line: &str) {
        self.gathered.extend_from_slice(line.as_bytes());
        self.gathered.push(b'\n');
    }

    pub(crate) fn json<T: Serialize>(&mut self, object: &T) -> Result<()> {
        serde_json::to_writer(&mut self.gathered, object)
            .map_err(|cause| Failure::printing(io::Error::from(cause)))?;
        self.gathered.push(b'\n');
        Ok(())
    }

    /// Prints bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.gathered.extend_from_slice(bytes);
    }

    /// Passes on what was gathered, if it is much: for commands that print more than fits into memory.
    pub(crate) async fn pass_on(&mut self) -> Result<()> {
        if self.gathered.len() < GATHERED_BYTES {
            return Ok(());
        }
        self.printer.print(&mut self.gathered).await
    }

    /// Waits until everything is printed.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        if !self.gathered.is_empty() {
            self.printer.print(&mut self.gathered).await?;
        }
        self.printer.flush().await
    }

    /// As [`flush`](Output::flush), but does not wait for a reader who takes nothing once the user wants it to end.
    pub(crate) async fn finish(&mut self, interrupt: &Interrupt) -> Result<()> {
        let stuck = self.printer.stuck(interrupt);
        tokio::select! {
            biased;
            flushed = self.flush() => flushed,
            () = stuck => Err(Failure::Interrupted(None)),
        }
    }

    /// For what is printed piece by piece. Nothing may be gathered.
    pub(crate) fn printer(&mut self) -> &mut Printer {
        &mut self.printer
    }
}

/// Prints `bytes` on the spot, where there is nothing to be ended but the process.
pub(crate) fn print_now(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(Failure::printing)
}

/// A remark on stderr that is no error. Nothing can be done where that fails.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "note: {text}");
}

/// A key on one line: control characters are escaped, so that a key cannot draw on the terminal.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            plain.extend(c.escape_default());
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn keys_cannot_draw_on_the_terminal() {
        assert_eq!(plain("a\tb\n\u{1b}[31mç"), "a\\tb\\n\\u{1b}[31mç");
    }
}
