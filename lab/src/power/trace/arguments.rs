//! The arguments of a call, as `strace -xx -y` writes them.

use anyhow::{Context as _, Result, bail, ensure};

/// One argument.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Argument {
    /// A string, byte for byte.
    Text(Vec<u8>),
    /// A descriptor and what it stands for.
    Descriptor {
        number: Descriptor,
        target: Vec<u8>,
    },
    List(Vec<Argument>),
    /// A structure, of which the fields are kept in their order.
    Fields(Vec<(String, Argument)>),
    /// Numbers, flags and whatever else.
    Word(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Descriptor {
    Number(u64),
    /// The working directory.
    Here,
}

/// Reads the arguments of a call.
///
/// # Errors
///
/// What is malformed, and strings that the tracer cut short.
pub(super) fn parse(text: &str) -> Result<Vec<Argument>> {
    let mut reader = Reader { rest: text };
    let arguments = reader.list(None)?;
    ensure!(reader.rest.is_empty(), "something behind the arguments");
    Ok(arguments)
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn skip(&mut self, what: &str) -> bool {
        let rest = self.rest.trim_start();
        match rest.strip_prefix(what) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn list(&mut self, end: Option<&str>) -> Result<Vec<Argument>> {
        let mut found = Vec::new();
        loop {
            if self.at_end(end) {
                return Ok(found);
            }
            found.push(self.argument()?);
            if !self.skip(",") {
                ensure!(self.at_end(end), "no comma between arguments");
                return Ok(found);
            }
        }
    }

    fn at_end(&mut self, end: Option<&str>) -> bool {
        match end {
            Some(end) => self.skip(end),
            None => self.rest.trim_start().is_empty(),
        }
    }

    fn argument(&mut self) -> Result<Argument> {
        if self.skip("\"") {
            let (text, rest) = self.rest.split_once('"').context("no end of a string")?;
            self.rest = rest;
            ensure!(!rest.starts_with("..."), "the tracer cut a string short");
            return Ok(Argument::Text(unescape(text)?));
        }
        if self.skip("[") {
            return Ok(Argument::List(self.list(Some("]"))?));
        }
        if self.skip("{") {
            let before = self.fields()?;
            // What the call made of a structure stands behind it.
            if self.skip("=>") {
                self.argument()?;
            }
            return Ok(before);
        }
        self.word()
    }

    fn fields(&mut self) -> Result<Argument> {
        let mut found = Vec::new();
        loop {
            if self.skip("}") {
                return Ok(Argument::Fields(found));
            }
            if self.skip("...") {
                continue;
            }
            let (name, rest) = self.rest.split_once('=').context("no name of a field")?;
            let name = name.trim().to_owned();
            self.rest = rest;
            found.push((name, self.argument()?));
            if !self.skip(",") {
                ensure!(self.skip("}"), "no end of a structure");
                return Ok(Argument::Fields(found));
            }
        }
    }

    fn word(&mut self) -> Result<Argument> {
        self.rest = self.rest.trim_start();
        let mut depth = 0_u32;
        let mut end = self.rest.len();
        for (at, letter) in self.rest.char_indices() {
            match letter {
                '<' | '(' | '[' | '{' => depth += 1,
                '>' | ')' | '}' if depth > 0 => depth -= 1,
                ']' if depth > 0 => depth -= 1,
                ',' | ']' | '}' if depth == 0 => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        let word = word.trim();
        if let Some((number, target)) = word.split_once('<')
            && let Some((target, _)) = target.rsplit_once('>')
        {
            let number = match number {
                "AT_FDCWD" => Some(Descriptor::Here),
                number => number.parse().ok().map(Descriptor::Number),
            };
            if let Some(number) = number {
                let target = unescape(target)?;
                return Ok(Argument::Descriptor { number, target });
            }
        }
        Ok(Argument::Word(word.to_owned()))
    }
}

/// The bytes of a string in hexadecimal; what is not escaped stands for itself.
fn unescape(text: &str) -> Result<Vec<u8>> {
    // Recordings are long, and most of them are this.
    let digit = |letter: u8| match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    };
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text.as_bytes();
    loop {
        match rest {
            [] => return Ok(bytes),
            [b'\\', b'x', high, low, after @ ..] => {
                let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
                    bail!("a malformed escape in a string");
                };
                bytes.push(high << 4 | low);
                rest = after;
            }
            [b'\\', ..] => bail!("an escape other than hexadecimal in a string"),
            [byte, after @ ..] => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Argument {
        Argument::Word(text.to_owned())
    }

    #[test]
    fn reads_what_strace_writes() {
        let arguments =
            parse(r#"4<\x2f\x61>, [{iov_base="\x61\x62", iov_len=2}, {iov_base="", iov_len=0}], 2"#);
        let piece = |text: &[u8], len: &str| {
            Argument::Fields(vec![
                ("iov_base".to_owned(), Argument::Text(text.to_vec())),
                ("iov_len".to_owned(), word(len)),
            ])
        };
        assert_eq!(
            arguments.unwrap(),
            [
                Argument::Descriptor {
                    number: Descriptor::Number(4),
                    target: b"/a".to_vec()
                },
                Argument::List(vec![piece(b"ab", "2"), piece(b"", "0")]),
                word("2"),
            ]
        );
        assert_eq!(
            parse(r#"AT_FDCWD<\x2f>, "\x64", O_RDWR|O_CREAT, 0644"#).unwrap(),
            [
                Argument::Descriptor {
                    number: Descriptor::Here,
                    target: b"/".to_vec()
                },
                Argument::Text(b"d".to_vec()),
                word("O_RDWR|O_CREAT"),
                word("0644"),
            ]
        );
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(
            parse("{flags=CLONE_VM|CLONE_THREAD, child_tid=0x7f, exit_signal=0, ...} => {parent_tid=[20143]}, 88")
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn refuses_a_string_that_was_cut() {
        assert!(parse(r#"3<\x2f\x61>, "\x61"..., 4096"#).is_err());
        assert!(parse(r#"3, "\n", 1"#).is_err());
    }
}
