//! What the demo stores: the metadata of a workspace, and the conversation of an agent.

use std::collections::HashSet;
use std::process::{Command, Stdio};

use serde_json::{Map, Value};
use stead::{Error, Result, StateScope};

const RECORDED_METADATA: &str = include_str!("../../../../../examples/data/cargo-metadata.json");
const RECORDED_CONVERSATION: &str = include_str!("../../../../../examples/data/conversation.jsonl");

/// One value to be stored.
pub(super) struct Piece {
    pub(super) scope: StateScope,
    pub(super) key: String,
    pub(super) value: Value,
}

pub(super) struct Corpus {
    pub(super) pieces: Vec<Piece>,
    /// Where the metadata is from.
    pub(super) source: &'static str,
    pub(super) packages: usize,
    pub(super) messages: usize,
    /// One scope of a package, to look into.
    pub(super) example: StateScope,
}

/// The agent whose conversation it is.
pub(super) fn agent() -> StateScope {
    StateScope::agent("maintainer")
}

/// At least `wanted` values: the metadata, the conversation, and the conversation again in as many sessions as it takes.
/// Blocks while cargo runs.
pub(super) fn gather(wanted: usize) -> Result<Corpus> {
    let (metadata, source) = metadata()?;
    let messages = conversation()?;
    let mut pieces = Vec::new();
    let packages = packages_of(metadata)?;
    let mut example = StateScope::Global;
    for package in &packages {
        example = add_package(package, &mut pieces)?;
    }
    add_conversation(&agent(), &messages, &mut pieces);
    let mut session = 0;
    while pieces.len() < wanted {
        session += 1;
        add_conversation(
            &StateScope::session(format!("replay-{session:04}")),
            &messages,
            &mut pieces,
        );
    }
    Ok(Corpus {
        pieces,
        source,
        packages: packages.len(),
        messages: messages.len(),
        example,
    })
}

/// The metadata of the workspace that this runs in, or the recorded one.
fn metadata() -> Result<(Value, &'static str)> {
    if let Some(metadata) = ask_cargo() {
        return Ok((metadata, "cargo metadata of the workspace here"));
    }
    let recorded = serde_json::from_str(RECORDED_METADATA).map_err(|cause| broken("metadata", cause))?;
    Ok((recorded, "a recorded cargo metadata"))
}

/// Asks cargo about what it has at hand; it is not to fetch anything.
fn ask_cargo() -> Option<Value> {
    let version = Command::new("rustc")
        .arg("-vV")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let version = String::from_utf8(version.stdout).ok()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "))?;
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(["--filter-platform", host])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| serde_json::from_slice(&output.stdout).ok())?
}

fn conversation() -> Result<Vec<Value>> {
    RECORDED_CONVERSATION
        .lines()
        .map(|line| serde_json::from_str(line).map_err(|cause| broken("conversation", cause)))
        .collect()
}

fn broken(what: &'static str, cause: serde_json::Error) -> Error {
    Error::internal("a file of the demo is broken")
        .with("file", what)
        .because(cause)
}

fn packages_of(mut metadata: Value) -> Result<Vec<Map<String, Value>>> {
    let packages = match metadata["packages"].take() {
        Value::Array(packages) => packages,
        _ => return Err(Error::invalid("the metadata of cargo lists no packages")),
    };
    Ok(packages
        .into_iter()
        .filter_map(|package| match package {
            Value::Object(package) => Some(package),
            _ => None,
        })
        .collect())
}

/// A package is a scope; its dependencies, targets and features are values of their own.
fn add_package(package: &Map<String, Value>, pieces: &mut Vec<Piece>) -> Result<StateScope> {
    let text = |name: &str| package.get(name).and_then(Value::as_str).unwrap_or("unknown");
    let id = format!("{}@{}", text("name"), text("version"));
    let scope = StateScope::custom("package", id);
    scope.validate()?;
    let mut add = |key: String, value: Value| {
        pieces.push(Piece {
            scope: scope.clone(),
            key,
            value,
        });
    };
    let mut rest = package.clone();
    for list in ["dependencies", "targets"] {
        let Some(Value::Array(values)) = rest.remove(list) else {
            continue;
        };
        for (index, value) in values.into_iter().enumerate() {
            let name = value["name"].as_str().unwrap_or("unknown");
            add(format!("{list}/{index:03}-{name}"), value);
        }
    }
    if let Some(Value::Object(features)) = rest.remove("features") {
        for (name, value) in features {
            add(format!("features/{name}"), value);
        }
    }
    add("package".to_owned(), Value::Object(rest));
    Ok(scope)
}

fn add_conversation(scope: &StateScope, messages: &[Value], pieces: &mut Vec<Piece>) {
    for (index, message) in messages.iter().enumerate() {
        pieces.push(Piece {
            scope: scope.clone(),
            key: format!("message/{:04}", index + 1),
            value: message.clone(),
        });
    }
}

/// How many scopes the pieces lie in.
pub(super) fn scopes(pieces: &[Piece]) -> usize {
    let scopes: HashSet<&StateScope> = pieces.iter().map(|piece| &piece.scope).collect();
    scopes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_files_are_a_body_of_their_own() {
        assert!(RECORDED_METADATA.len() < 300 << 10);
        let packages = packages_of(serde_json::from_str(RECORDED_METADATA).unwrap()).unwrap();
        assert!(packages.len() > 100);
        let mut pieces = Vec::new();
        for package in &packages {
            add_package(package, &mut pieces).unwrap();
        }
        assert!(pieces.len() > 2_000, "{}", pieces.len());
        let mut places = HashSet::new();
        for piece in &pieces {
            assert!(places.insert((&piece.scope, &piece.key)), "{} twice", piece.key);
        }
    }

    #[test]
    fn the_conversation_is_whole() {
        let messages = conversation().unwrap();
        assert!((60..=100).contains(&messages.len()), "{}", messages.len());
        let mut open = HashSet::new();
        for (index, message) in messages.iter().enumerate() {
            assert_eq!(message["seq"], index + 1);
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                assert!(open.insert(call["id"].as_str().unwrap().to_owned()));
            }
            if message["role"] == "tool" {
                assert!(
                    open.remove(message["tool_call_id"].as_str().unwrap()),
                    "{message}"
                );
            }
        }
        assert!(open.is_empty(), "calls without a result: {open:?}");
    }

    #[test]
    fn as_many_values_as_wanted() {
        let corpus = gather(4_000).unwrap();
        assert!(corpus.pieces.len() >= 4_000);
        assert!(scopes(&corpus.pieces) > corpus.packages);
    }
}
