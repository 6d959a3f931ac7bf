//! JSON with its keys in order.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// A JSON value that is printed with the keys of every object sorted. Whether the maps of `serde_json` sort by themselves
/// depends on a feature that any crate of a build may switch on; what users read must not.
pub(crate) struct Sorted<'a>(pub(crate) &'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(object) => {
                let mut entries: Vec<(&String, Sorted<'_>)> =
                    object.iter().map(|(key, value)| (key, Sorted(value))).collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                serializer.collect_map(entries)
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            other => other.serialize(serializer),
        }
    }
}

impl fmt::Display for Sorted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// For `serialize_with`.
pub(crate) fn serialize<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    Sorted(value).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_at_every_level() {
        let value = json!({"b": [{"d": 1, "c": 2.0}], "a": null});
        assert_eq!(Sorted(&value).to_string(), r#"{"a":null,"b":[{"c":2.0,"d":1}]}"#);
    }
}
