//! The VALUE of a command line: JSON, text or bytes, given in place, in a file or on stdin.

use std::fs::File;
use std::io::{self, Read};

use clap::Args;
use serde_json::Value;
use stead::core::Limits;
use stead::{Error, Result};

use crate::json::{self, Refusal};

/// How VALUE is to be read.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// Take VALUE as a string, also where it looks like JSON
    #[arg(long, conflicts_with = "bytes")]
    string: bool,
    /// Take VALUE as raw bytes (print them again with `get --raw`)
    #[arg(long)]
    bytes: bool,
}

/// A value to be stored.
#[derive(Debug, PartialEq)]
pub(crate) enum Given {
    Json(Value),
    Bytes(Vec<u8>),
}

impl Reading {
    /// The value that `argument` stands for: itself, `-` for stdin, `@FILE` for a file.
    ///
    /// Blocks while stdin is read.
    pub(crate) fn read(self, argument: &str, limits: &Limits) -> Result<Given> {
        let limit = limits.value_bytes;
        let content = match argument.strip_prefix('@') {
            _ if argument == "-" => all_of(io::stdin().lock(), "-", limit)?,
            Some(path) => {
                let file = File::open(path).map_err(|cause| unreadable(path, cause))?;
                all_of(file, path, limit)?
            }
            None => argument.as_bytes().to_vec(),
        };
        self.interpret(content, limits)
    }

    fn interpret(self, content: Vec<u8>, limits: &Limits) -> Result<Given> {
        limits.check_value(content.len())?;
        if self.bytes {
            return Ok(Given::Bytes(content));
        }
        if !self.string {
            match json::parse(&content, limits.nesting_depth) {
                Ok(value) => return Ok(Given::Json(value)),
                Err(Refusal::Refused(error)) => return Err(error),
                Err(Refusal::NotJson(error)) if is_meant_as_json(&content) => {
                    return Err(Error::invalid(format!(
                        "value begins as JSON but is {}; mend it, or store it as text with --string",
                        error.message()
                    ))
                    .with_context_of(&error));
                }
                Err(Refusal::NotJson(_)) => {}
            }
        }
        let text = String::from_utf8(content)
            .map_err(|_| Error::invalid("value is not UTF-8; store it as it is with --bytes"))?;
        Ok(Given::Json(Value::String(text)))
    }
}

/// Text that begins with a brace, a bracket or a quote is hardly ever meant as plain words.
fn is_meant_as_json(content: &[u8]) -> bool {
    let first = content.iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(first, Some(b'{' | b'[' | b'"'))
}

/// Reads all of a source that may be longer than it should be.
fn all_of(source: impl Read, name: &str, limit: usize) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    source
        .take(limit as u64 + 1)
        .read_to_end(&mut content)
        .map_err(|cause| unreadable(name, cause))?;
    if content.len() > limit {
        return Err(Error::invalid("value is larger than the limit; split it")
            .with("file", name)
            .with("limit_bytes", limit));
    }
    Ok(content)
}

/// A file that was named on the command line and cannot be read.
pub(crate) fn unreadable(path: &str, cause: io::Error) -> Error {
    Error::invalid("cannot read the file")
        .with("file", path)
        .with("reason", cause.kind())
        .because(cause)
}

/// Carries the context of one error over to another.
trait WithContextOf {
    fn with_context_of(self, other: &Error) -> Self;
}

impl WithContextOf for Error {
    fn with_context_of(self, other: &Error) -> Self {
        other
            .context()
            .fold(self, |error, (name, value)| error.with(name, value))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const JSON: Reading = Reading {
        string: false,
        bytes: false,
    };
    const STRING: Reading = Reading {
        string: true,
        bytes: false,
    };
    const BYTES: Reading = Reading {
        string: false,
        bytes: true,
    };

    fn read(reading: Reading, argument: &str) -> Result<Given> {
        reading.read(argument, &Limits::default())
    }

    #[test]
    fn json_where_it_parses_and_else_a_string() {
        for (argument, value) in [
            ("{\"a\": 1}", json!({"a": 1})),
            ("17", json!(17)),
            ("true", json!(true)),
            ("null", json!(null)),
            ("\"17\"", json!("17")),
            ("hello world", json!("hello world")),
            ("-5 degrees", json!("-5 degrees")),
            ("", json!("")),
        ] {
            assert_eq!(read(JSON, argument).unwrap(), Given::Json(value), "{argument}");
        }
    }

    #[test]
    fn broken_json_is_not_taken_for_words() {
        for argument in ["{\"a\": 1", "[1,]", " {a: 1}", "\"open"] {
            let error = read(JSON, argument).unwrap_err();
            assert!(error.message().ends_with("with --string"), "{argument}: {error}");
            assert_eq!(read(STRING, argument).unwrap(), Given::Json(json!(argument)));
        }
    }

    #[test]
    fn text_and_bytes_are_taken_as_they_are() {
        assert_eq!(read(STRING, "17").unwrap(), Given::Json(json!("17")));
        assert_eq!(read(BYTES, "17").unwrap(), Given::Bytes(b"17".to_vec()));
        let limits = Limits::default();
        assert_eq!(
            BYTES.interpret(vec![0xFF], &limits).unwrap(),
            Given::Bytes(vec![0xFF])
        );
        let error = JSON.interpret(vec![0xFF], &limits).unwrap_err();
        assert_eq!(
            error.to_string(),
            "value is not UTF-8; store it as it is with --bytes"
        );
    }

    #[test]
    fn files_are_read_up_to_the_limit() {
        let limits = Limits {
            value_bytes: 4,
            ..Limits::default()
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "1234").unwrap();
        let argument = format!("@{}", file.path().display());
        assert_eq!(JSON.read(&argument, &limits).unwrap(), Given::Json(json!(1234)));
        std::fs::write(file.path(), "12345").unwrap();
        assert!(JSON.read(&argument, &limits).is_err());
        assert!(JSON.read("12345", &limits).is_err());
        assert!(JSON.read("@/no/such/file", &limits).is_err());
    }
}
