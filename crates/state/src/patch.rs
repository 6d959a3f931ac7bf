//! JSON Patch (RFC 6902), within limits.

use json_patch::PatchOperation;
use serde_json::Value;
use stead_codec::DecodeLimits;
use stead_core::{Error, Result};

/// A patch that was read and found sound.
pub(crate) struct Patch(json_patch::Patch);

/// The most operations of a patch.
const MAX_OPERATIONS: usize = 10_000;

/// How deep a patch itself may be: as deep as any value that is stored.
const MAX_DEPTH: usize = stead_codec::MAX_NESTING_DEPTH;

impl Patch {
    pub(crate) fn new(patch: &Value) -> Result<Self> {
        // Reading a patch recurses into the values that it carries.
        if measure(patch).depth > MAX_DEPTH {
            return Err(Error::invalid("patch is nested deeper than the limit")
                .with("argument", "patch")
                .with("limit_levels", MAX_DEPTH));
        }
        let operations = patch.as_array().map_or(0, Vec::len);
        if operations > MAX_OPERATIONS {
            return Err(
                Error::invalid("patch has more operations than the limit; split it")
                    .with("argument", "patch")
                    .with("operations", operations)
                    .with("limit", MAX_OPERATIONS),
            );
        }
        // The cause may quote values and is left out.
        serde::Deserialize::deserialize(patch).map(Patch).map_err(|_| {
            Error::invalid("patch is not a JSON Patch: an array of operations as in RFC 6902")
                .with("argument", "patch")
        })
    }

    /// Applies every operation to `value`, which is spoilt on an error: give a copy.
    ///
    /// A `copy` doubles what it copies at most, and a few of them in a row would fill any memory; so the growth is
    /// watched at each step and not only at the end.
    pub(crate) fn apply(&self, value: &mut Value, limits: &DecodeLimits) -> Result<()> {
        let mut bytes = measure(value).bytes;
        for (index, operation) in self.0.iter().enumerate() {
            json_patch::patch_unsafe(value, std::slice::from_ref(operation)).map_err(|error| {
                Error::invalid(format!("patch does not apply: {}", error.kind))
                    .with("operation", index)
                    .with("path", operation.path().as_str())
            })?;
            let Some(target) = written(operation) else {
                continue;
            };
            let target = target.as_str();
            let size = written_at(value, target).map_or_else(Size::default, measure);
            bytes = bytes.saturating_add(size.bytes);
            let depth = size.depth + target.matches('/').count();
            if depth > limits.nesting_depth {
                return Err(Error::invalid("patch would nest the value deeper than the limit")
                    .with("operation", index)
                    .with("limit_levels", limits.nesting_depth));
            }
            if bytes > limits.output_bytes {
                return Err(Error::invalid("patch would make the value larger than the limit")
                    .with("operation", index)
                    .with("limit_bytes", limits.output_bytes));
            }
        }
        Ok(())
    }
}

/// Where an operation puts a value.
fn written(operation: &PatchOperation) -> Option<&json_patch::jsonptr::Pointer> {
    match operation {
        PatchOperation::Add(_)
        | PatchOperation::Replace(_)
        | PatchOperation::Move(_)
        | PatchOperation::Copy(_) => Some(operation.path()),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => None,
    }
}

/// What lies at `path`, of which a last `-` means the end of an array.
fn written_at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    match path.strip_suffix("/-") {
        Some(parent) => value.pointer(parent)?.as_array()?.last(),
        None => value.pointer(path),
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    /// About the bytes of its JSON text, and never more.
    bytes: usize,
    /// Levels of arrays and objects inside one another.
    depth: usize,
}

/// Measures without recursion, so that no depth overflows the stack.
fn measure(value: &Value) -> Size {
    let mut size = Size::default();
    let mut open = vec![(value, 0)];
    while let Some((value, above)) = open.pop() {
        match value {
            Value::Array(values) => {
                size.bytes += 2;
                size.depth = size.depth.max(above + 1);
                open.extend(values.iter().map(|value| (value, above + 1)));
            }
            Value::Object(fields) => {
                size.bytes += 2 + fields.keys().map(|key| key.len() + 3).sum::<usize>();
                size.depth = size.depth.max(above + 1);
                open.extend(fields.values().map(|value| (value, above + 1)));
            }
            Value::String(text) => size.bytes += text.len() + 2,
            Value::Null | Value::Bool(_) | Value::Number(_) => size.bytes += 1,
        }
    }
    size
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stead_core::ErrorKind;

    use super::*;

    fn patched(mut value: Value, patch: &Value) -> Result<Value> {
        Patch::new(patch)?
            .apply(&mut value, &DecodeLimits::default())
            .map(|()| value)
    }

    #[test]
    fn every_operation_does_what_the_standard_says() {
        let patch = json!([
            {"op": "test", "path": "/a", "value": 1},
            {"op": "replace", "path": "/a", "value": 2},
            {"op": "add", "path": "/list/-", "value": "end"},
            {"op": "copy", "from": "/list", "path": "/copy"},
            {"op": "move", "from": "/old", "path": "/new"},
            {"op": "remove", "path": "/list/0"},
        ]);
        let value = patched(json!({"a": 1, "list": ["x"], "old": null}), &patch).unwrap();
        assert_eq!(
            value,
            json!({"a": 2, "list": ["end"], "copy": ["x", "end"], "new": null})
        );
    }

    #[test]
    fn what_does_not_apply_names_the_operation() {
        let patch =
            json!([{"op": "add", "path": "/b", "value": 1}, {"op": "test", "path": "/a", "value": "s3cret"}]);
        let error = patched(json!({"a": 1}), &patch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("operation=1 path=/a"), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"));
        for broken in [
            json!({}),
            json!([{"op": "nope"}]),
            json!([{"op": "add", "path": "a", "value": 1}]),
        ] {
            assert_eq!(
                patched(json!({}), &broken).unwrap_err().kind(),
                ErrorKind::Invalid
            );
        }
    }

    #[test]
    fn doubling_copies_are_stopped_before_they_fill_the_memory() {
        let mut patch = vec![json!({"op": "add", "path": "/a", "value": ["0123456789"]})];
        for _ in 0..64 {
            patch.push(json!({"op": "copy", "from": "/a", "path": "/a/-"}));
        }
        let error = patched(json!({}), &Value::Array(patch)).unwrap_err();
        assert!(error.to_string().contains("limit"), "{error}");

        let mut patch = vec![json!({"op": "add", "path": "/a", "value": ["0123456789"]})];
        for _ in 0..64 {
            patch.push(json!({"op": "copy", "from": "/a", "path": "/b"}));
            patch.push(json!({"op": "add", "path": "/c", "value": []}));
            patch.push(json!({"op": "move", "from": "/a", "path": "/c/-"}));
            patch.push(json!({"op": "move", "from": "/b", "path": "/c/-"}));
            patch.push(json!({"op": "move", "from": "/c", "path": "/a"}));
        }
        assert!(patched(json!({}), &Value::Array(patch)).is_err());
    }

    #[test]
    fn stepwise_nesting_is_stopped_at_the_limit() {
        let mut patch = Vec::new();
        let mut path = String::new();
        for _ in 0..200 {
            path.push_str("/a");
            patch.push(json!({"op": "add", "path": path, "value": {}}));
        }
        let error = patched(json!({}), &Value::Array(patch)).unwrap_err();
        assert!(error.to_string().contains("limit_levels=128"), "{error}");
    }
}
