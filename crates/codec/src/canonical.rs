//! The one text of a JSON value.

use serde_json::Value;

/// The one JSON text of `value`: keys sorted by their UTF-8 bytes at every level, no whitespace, strings escaped only
/// where JSON demands it, numbers as serde_json writes them.
///
/// Equal values give equal bytes, whatever order their maps happen to keep, so this is what a hash, a signature or a
/// comparison is taken of. `1` and `1.0` are different values and give different texts. The form is not RFC 8785,
/// which sorts by UTF-16 and rewrites numbers as JavaScript would.
///
/// Takes any depth: it works on a stack of its own. O(n log n) in the number of keys.
///
/// ```
/// let value = serde_json::json!({"b": [1, null], "a": {"d": "x", "c": true}});
/// assert_eq!(stead_codec::canonical_json(&value), br#"{"a":{"c":true,"d":"x"},"b":[1,null]}"#);
/// ```
#[must_use]
pub fn canonical_json(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    let mut stack = vec![Step::Value(value)];
    while let Some(step) = stack.pop() {
        match step {
            Step::Text(text) => out.extend_from_slice(text),
            Step::Key(key) => {
                write_string(&mut out, key);
                out.push(b':');
            }
            Step::Value(Value::Array(items)) => {
                out.push(b'[');
                stack.push(Step::Text(b"]"));
                for (index, item) in items.iter().enumerate().rev() {
                    stack.push(Step::Value(item));
                    if index > 0 {
                        stack.push(Step::Text(b","));
                    }
                }
            }
            Step::Value(Value::Object(map)) => {
                let mut entries: Vec<(&String, &Value)> = map.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| key.as_bytes());
                out.push(b'{');
                stack.push(Step::Text(b"}"));
                for (index, (key, item)) in entries.into_iter().enumerate().rev() {
                    stack.push(Step::Value(item));
                    stack.push(Step::Key(key));
                    if index > 0 {
                        stack.push(Step::Text(b","));
                    }
                }
            }
            Step::Value(Value::String(text)) => write_string(&mut out, text),
            Step::Value(Value::Number(number)) => out.extend_from_slice(number.to_string().as_bytes()),
            Step::Value(Value::Bool(true)) => out.extend_from_slice(b"true"),
            Step::Value(Value::Bool(false)) => out.extend_from_slice(b"false"),
            Step::Value(Value::Null) => out.extend_from_slice(b"null"),
        }
    }
    out
}

/// What is still to be written.
enum Step<'v> {
    Value(&'v Value),
    Key(&'v str),
    Text(&'static [u8]),
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0C => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x00..=0x1F => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 0xF)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
