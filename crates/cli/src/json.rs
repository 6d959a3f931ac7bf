//! Reading JSON from outside.
//!
//! What the parser would change in silence is refused before it is parsed: whole numbers that no 64 bits hold, which
//! would become floats, and names that an object has twice, of which one would be dropped. And what it could not bear:
//! nesting without end.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use stead::{Error, Result};

/// Why a text is not taken.
pub(crate) enum Refusal {
    /// It is not JSON.
    NotJson(Error),
    /// It is JSON, but too deep, or with something in it that cannot be kept.
    Refused(Error),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotJson(error) | Refusal::Refused(error) => error,
        }
    }
}

/// The value that `text` is. It may be nested `depth_limit` levels deep.
pub(crate) fn parse(text: &[u8], depth_limit: usize) -> Result<Value, Refusal> {
    // This pass keeps nothing and does not recurse.
    serde_json::from_slice::<IgnoredAny>(text).map_err(|error| Refusal::NotJson(syntax(&error)))?;
    let named = scan(text, depth_limit).map_err(Refusal::Refused)?;
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    deserializer.disable_recursion_limit();
    // Such as 1e400: by the grammar it is JSON, but nothing can hold it.
    let value = Value::deserialize(&mut deserializer).map_err(|error| Refusal::Refused(syntax(&error)))?;
    if members(&value) < named {
        return Err(Refusal::Refused(Error::invalid(
            "an object has the same name twice, and could keep only one of the two; give each name once",
        )));
    }
    Ok(value)
}

/// How many members all the objects in `value` have together.
fn members(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(members).sum(),
        Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
        _ => 0,
    }
}

/// serde_json's messages about syntax name what is missing and where, and quote nothing.
fn syntax(error: &serde_json::Error) -> Error {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    Error::invalid(format!("not JSON: {what}")).with("column", error.column())
}

/// Looks at the nesting and at the numbers of a text that is JSON. Returns how many members its objects have.
fn scan(text: &[u8], depth_limit: usize) -> Result<usize> {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut named = 0;
    let mut rest = text;
    while let [byte, behind @ ..] = rest {
        rest = match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
                behind
            }
            b'}' | b']' => {
                depth -= 1;
                behind
            }
            b'"' => behind_string(behind),
            b':' => {
                named += 1;
                behind
            }
            b'-' | b'0'..=b'9' => {
                let end = rest.iter().position(|byte| !is_of_number(*byte));
                let (number, behind) = rest.split_at(end.unwrap_or(rest.len()));
                check_number(number)?;
                behind
            }
            _ => behind,
        };
    }
    if deepest > depth_limit {
        return Err(
            Error::invalid("value is nested deeper than the limit; flatten it")
                .with("levels", deepest)
                .with("limit_levels", depth_limit),
        );
    }
    Ok(named)
}

/// What follows the string whose opening quote was just passed.
fn behind_string(mut rest: &[u8]) -> &[u8] {
    loop {
        rest = match rest {
            [b'"', behind @ ..] => return behind,
            [b'\\', _, behind @ ..] | [_, behind @ ..] => behind,
            [] => return rest,
        };
    }
}

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
}

fn check_number(number: &[u8]) -> Result<()> {
    let text = std::str::from_utf8(number).unwrap_or_default();
    let whole = !text.contains(['.', 'e', 'E']);
    if whole && text.parse::<u64>().is_err() && text.parse::<i64>().is_err() {
        return Err(Error::invalid(
            "whole number does not fit into 64 bits; write it as a string, or with a fraction to have it rounded",
        )
        .with("digits", text.trim_start_matches('-').len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Value> {
        parse(text.as_bytes(), 128).map_err(Error::from)
    }

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn json_is_read_as_it_stands() {
        assert_eq!(
            read(" {\"a\": [1, -2.5, \"]\\\"[\"]} ").unwrap(),
            json!({"a": [1, -2.5, "]\"["]})
        );
        assert_eq!(read("18446744073709551615").unwrap(), json!(u64::MAX));
        assert_eq!(read("-9223372036854775808").unwrap(), json!(i64::MIN));
        assert_eq!(read("-0.0").unwrap().to_string(), "-0.0");
    }

    #[test]
    fn numbers_are_never_rounded_in_silence() {
        for text in [
            "18446744073709551616",
            "-9223372036854775809",
            "[1, 123456789012345678901234567890]",
        ] {
            assert!(read(text).unwrap_err().message().contains("64 bits"), "{text}");
        }
        assert!(read("\"18446744073709551616\"").is_ok());
        assert!(read("18446744073709551616.0").is_ok());
        assert!(matches!(parse(b"1e400", 9), Err(Refusal::Refused(_))));
        assert!(matches!(
            parse(b"[\"\\ud800\"]", 9),
            Err(Refusal::NotJson(_) | Refusal::Refused(_))
        ));
    }

    #[test]
    fn no_name_is_dropped_in_silence() {
        for text in [r#"{"a": 1, "a": 1}"#, r#"[{"b": {"a": 1, "b": 2, "\u0061": 3}}]"#] {
            let error = read(text).unwrap_err();
            assert!(error.message().contains("same name twice"), "{text}: {error}");
        }
        let same = r#"{"a": {"a": [{"a": ":"}, {"a": 1}]}, "b:": ":\":"}"#;
        assert!(read(same).is_ok());
    }

    #[test]
    fn nesting_ends_at_the_limit_and_never_at_the_stack() {
        assert!(read(&nested(128)).is_ok());
        let error = read(&nested(129)).unwrap_err().to_string();
        assert!(error.ends_with("levels=129 limit_levels=128"), "{error}");
        for levels in [10_000, 1_000_000] {
            assert!(read(&nested(levels)).is_err());
            assert!(read(&"[".repeat(levels)).is_err());
        }
    }

    #[test]
    fn what_is_not_json_is_said_with_its_place() {
        let error = read("{\"secret\": hunter2}").unwrap_err().to_string();
        assert_eq!(error, "not JSON: expected value: column=12");
        assert!(matches!(parse(b"hello", 9), Err(Refusal::NotJson(_))));
        assert!(matches!(parse(b"1 2", 9), Err(Refusal::NotJson(_))));
        assert!(matches!(parse(b"\xFF", 9), Err(Refusal::NotJson(_))));
        assert!(matches!(parse(b"", 9), Err(Refusal::NotJson(_))));
    }
}
