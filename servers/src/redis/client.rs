//! As much of Redis's protocol as it takes to govern a server.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::options::ADMIN;

/// A server that is paused does not answer at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// What Redis answered. An error that it answers is an error of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// A line, such as `OK`.
    Line(String),
    /// A number.
    Integer(i64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Nothing.
    Nil,
    /// Several answers.
    List(Vec<Answer>),
}

impl Answer {
    /// The answer as text; a list has a line for each of its parts.
    pub fn text(&self) -> String {
        match self {
            Answer::Line(line) => line.clone(),
            Answer::Integer(number) => number.to_string(),
            Answer::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Answer::Nil => String::new(),
            Answer::List(parts) => {
                let lines: Vec<String> = parts.iter().map(Answer::text).collect();
                lines.join("\n")
            }
        }
    }
}

/// A connection to the unix socket of a server, as the user who may do everything.
pub(super) struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    pub(super) fn connect(socket: &Path) -> Result<Client> {
        let stream = UnixStream::connect(socket).context("cannot reach the redis server")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Client {
            stream: BufReader::new(stream),
        };
        let (name, password) = ADMIN;
        client.call(&["AUTH", name, password])?;
        Ok(client)
    }

    pub(super) fn call(&mut self, words: &[&str]) -> Result<Answer> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        let answer = self
            .stream
            .get_mut()
            .write_all(request.as_bytes())
            .map_err(Into::into)
            .and_then(|()| self.answer());
        answer.with_context(|| format!("redis command failed command={}", words.first().unwrap_or(&"")))
    }

    fn answer(&mut self) -> Result<Answer> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let Some(line) = line.strip_suffix("\r\n") else {
            bail!("the server closed the connection");
        };
        let (kind, rest) = line.split_at_checked(1).context("an empty answer")?;
        match kind {
            "+" => Ok(Answer::Line(rest.to_owned())),
            "-" => bail!("the server refused: {rest}"),
            ":" => Ok(Answer::Integer(rest.parse()?)),
            "$" => self.bytes(rest.parse()?),
            "*" => {
                let count: i64 = rest.parse()?;
                if count < 0 {
                    return Ok(Answer::Nil);
                }
                (0..count)
                    .map(|_| self.answer())
                    .collect::<Result<_>>()
                    .map(Answer::List)
            }
            _ => bail!("an answer of an unknown kind"),
        }
    }

    fn bytes(&mut self, length: i64) -> Result<Answer> {
        let Ok(length) = usize::try_from(length) else {
            return Ok(Answer::Nil);
        };
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        self.stream.read_exact(&mut [0; 2])?;
        Ok(Answer::Bytes(bytes))
    }
}
