//! How a command ends: the exit code, and what stands on stderr.

use std::error::Error as _;
use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Map, Value, json};
use stead::{Error, ErrorKind};

use crate::sorted::Sorted;

/// The exit codes. Scripts build on them: a number never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    NotThere = 1,
    Usage = 2,
    Conflict = 3,
    Unavailable = 4,
    Corrupt = 5,
    Denied = 6,
    /// A bug in Stead, as `sysexits.h` numbers it.
    Bug = 70,
    /// Ended by Ctrl-C or SIGTERM; the number that shells give to the first.
    Interrupted = 130,
}

impl Exit {
    /// The one place where kinds of errors become exit codes.
    pub(crate) fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid | ErrorKind::Unsupported | ErrorKind::Serialization => Exit::Usage,
            ErrorKind::Conflict => Exit::Conflict,
            ErrorKind::Unavailable | ErrorKind::UnknownOutcome | ErrorKind::Full | ErrorKind::Closed => {
                Exit::Unavailable
            }
            ErrorKind::Corrupt => Exit::Corrupt,
            ErrorKind::Denied => Exit::Denied,
            _ => Exit::Bug,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not end with success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What went wrong.
    Error(Error),
    /// What was asked for does not exist.
    NotThere(Error),
    /// Ctrl-C, or SIGTERM. The note says what was done until then.
    Interrupted(Option<String>),
    /// Nobody reads what the command prints, as in `stead list global | head`. Not worth a word.
    Unread,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Error(error)
    }
}

impl Failure {
    /// A failure to print.
    pub(crate) fn printing(cause: io::Error) -> Self {
        if cause.kind() == io::ErrorKind::BrokenPipe {
            return Failure::Unread;
        }
        Failure::Error(Error::unavailable("cannot write to stdout").because(cause))
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Failure::Error(error) => Exit::of(error.kind()),
            Failure::NotThere(_) => Exit::NotThere,
            Failure::Interrupted(_) => Exit::Interrupted,
            Failure::Unread => Exit::Done,
        }
    }

    /// Says on stderr what happened. Nothing can be done where that fails.
    pub(crate) fn report(&self, as_json: bool) {
        let text = if as_json { self.as_json() } else { self.as_text() };
        if !text.is_empty() {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    fn as_text(&self) -> String {
        match self {
            Failure::Error(error) | Failure::NotThere(error) => {
                let told = Told::of(error);
                let mut text = format!("error: {}", told.line());
                if let Some(hint) = &told.hint {
                    text.push_str("\nhint: ");
                    text.push_str(hint);
                }
                text
            }
            Failure::Interrupted(Some(note)) => format!("interrupted: {note}"),
            Failure::Interrupted(None) => "interrupted".to_owned(),
            Failure::Unread => String::new(),
        }
    }

    fn as_json(&self) -> String {
        let error = match self {
            Failure::Error(error) => error_json(error, error.kind().as_str()),
            Failure::NotThere(error) => error_json(error, "not_there"),
            Failure::Interrupted(note) => {
                json!({"kind": "interrupted", "message": note.as_deref().unwrap_or("ended by Ctrl-C or SIGTERM")})
            }
            Failure::Unread => return String::new(),
        };
        Sorted(&json!({"error": error, "exit_code": self.exit() as u8})).to_string()
    }
}

/// An error as a JSON object; `apply` answers with the same.
pub(crate) fn error_json(error: &Error, kind: &str) -> Value {
    let told = Told::of(error);
    let context: Map<String, Value> = error
        .context()
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect();
    let mut object = Map::new();
    object.insert("kind".to_owned(), Value::from(kind));
    object.insert("message".to_owned(), Value::from(told.message));
    if !error.operation().is_empty() {
        object.insert("operation".to_owned(), Value::from(error.operation()));
    }
    if !context.is_empty() {
        object.insert("context".to_owned(), Value::from(context));
    }
    if let Some(hint) = told.hint {
        object.insert("hint".to_owned(), Value::from(hint));
    }
    if !told.causes.is_empty() {
        object.insert("causes".to_owned(), Value::from(told.causes));
    }
    Value::from(object)
}

/// An error, taken apart for people.
struct Told {
    message: String,
    context: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Told {
    /// The messages of Stead say what is wrong and, behind a semicolon, what to do.
    fn of(error: &Error) -> Self {
        let (message, remedy) = match error.message().split_once("; ") {
            Some((message, remedy)) => (message, Some(remedy)),
            None => (error.message(), None),
        };
        let pairs: Vec<String> = error
            .context()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Told {
            message: message.to_owned(),
            context: pairs.join(" "),
            causes: causes(error),
            hint: remedy.map(str::to_owned).or_else(|| fallback(error)),
        }
    }

    fn line(&self) -> String {
        let mut line = self.message.clone();
        if !self.context.is_empty() {
            line.push_str(": ");
            line.push_str(&self.context);
        }
        if !self.causes.is_empty() {
            line.push_str(" (cause: ");
            line.push_str(&self.causes.join(": "));
            line.push(')');
        }
        line
    }
}

/// The causes behind an error of the machine. Those of wrong input are left out: parsers quote what they read.
fn causes(error: &Error) -> Vec<String> {
    if Exit::of(error.kind()) == Exit::Usage {
        return Vec::new();
    }
    let mut causes: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string().replace('\n', " ");
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        next = cause.source();
    }
    causes
}

/// What to do where the message does not say.
fn fallback(error: &Error) -> Option<String> {
    let hint = match error.kind() {
        ErrorKind::Corrupt if is_of_a_repository(error) => {
            "the store is not concerned: make a full backup, or put the file back from another copy of the repository"
        }
        ErrorKind::Corrupt => "leave the store as it is, and restore a copy of it or import an export",
        ErrorKind::UnknownOutcome => "read the value to see whether the write happened",
        ErrorKind::Internal => "this is a bug in stead: please report it",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Whether an error is about a repository of backups.
pub(crate) fn is_of_a_repository(error: &Error) -> bool {
    let mut context = error.context();
    context.any(|(name, _)| matches!(name, "backup" | "chunk" | "object" | "repository"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_code() {
        let codes = [
            (ErrorKind::Invalid, 2),
            (ErrorKind::Unsupported, 2),
            (ErrorKind::Serialization, 2),
            (ErrorKind::Conflict, 3),
            (ErrorKind::Unavailable, 4),
            (ErrorKind::UnknownOutcome, 4),
            (ErrorKind::Full, 4),
            (ErrorKind::Closed, 4),
            (ErrorKind::Corrupt, 5),
            (ErrorKind::Denied, 6),
            (ErrorKind::Internal, 70),
        ];
        for (kind, code) in codes {
            assert_eq!(Exit::of(kind) as u8, code, "{kind}");
        }
    }

    #[test]
    fn the_remedy_becomes_the_hint() {
        let cause = io::Error::other("disk on fire");
        let error = Error::unavailable("cannot write; make room")
            .with("file", "a")
            .because(cause);
        let failure = Failure::from(error);
        assert_eq!(
            failure.as_text(),
            "error: cannot write: file=a (cause: disk on fire)\nhint: make room"
        );
        let json: Value = serde_json::from_str(&failure.as_json()).unwrap();
        assert_eq!(
            json,
            json!({
                "error": {
                    "kind": "unavailable", "message": "cannot write", "context": {"file": "a"},
                    "hint": "make room", "causes": ["disk on fire"],
                },
                "exit_code": 4,
            })
        );
    }

    #[test]
    fn what_a_parser_quotes_is_not_shown() {
        let error = Error::invalid("malformed").because(io::Error::other("found hunter2"));
        let failure = Failure::from(error);
        assert!(!failure.as_text().contains("hunter2"));
        assert!(!failure.as_json().contains("hunter2"));
    }
}
