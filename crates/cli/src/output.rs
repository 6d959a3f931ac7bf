//! What commands print.

use std::io::{self, BufWriter, Stdout, Write};

use serde::Serialize;

use crate::exit::{Failure, Result};

/// Stdout, and whether people or programs read it.
pub(crate) struct Output {
    as_json: bool,
    out: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new(as_json: bool) -> Self {
        Output {
            as_json,
            out: BufWriter::new(io::stdout()),
        }
    }

    /// Whether `--json` was given.
    pub(crate) fn is_json(&self) -> bool {
        self.as_json
    }

    /// Prints a line for people, or `object` as one line for programs.
    pub(crate) fn either<T: Serialize>(&mut self, text: &str, object: &T) -> Result<()> {
        if self.as_json {
            self.json(object)
        } else {
            self.text(text)
        }
    }

    pub(crate) fn text(&mut self, line: &str) -> Result<()> {
        writeln!(self.out, "{line}").map_err(Failure::printing)
    }

    pub(crate) fn json<T: Serialize>(&mut self, object: &T) -> Result<()> {
        serde_json::to_writer(&mut self.out, object)
            .map_err(io::Error::from)
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(Failure::printing)
    }

    /// Prints bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(Failure::printing)
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(Failure::printing)
    }
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
