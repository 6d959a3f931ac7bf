//! The canonical text is one per value, and is JSON.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use stead_codec::canonical_json;

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// The same value with its maps filled in the opposite order.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(reversed).collect(),
        Value::Object(map) => Value::Object(
            map.iter()
                .rev()
                .map(|(key, item)| (key.clone(), reversed(item)))
                .collect(),
        ),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn it_is_json_of_the_same_value(value in value()) {
        let text = canonical_json(&value);
        prop_assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn the_order_of_insertion_does_not_show(value in value()) {
        prop_assert_eq!(canonical_json(&reversed(&value)), canonical_json(&value));
    }

    #[test]
    fn strings_are_escaped_as_serde_json_does(text in any::<String>()) {
        prop_assert_eq!(canonical_json(&Value::from(text.clone())), serde_json::to_vec(&text).unwrap());
    }
}

#[test]
fn keys_are_sorted_by_bytes_at_every_level() {
    let mut map = Map::new();
    for key in ["b", "a", "\u{FFFF}", "\u{10000}", "", "aa", "B"] {
        map.insert(key.to_owned(), json!({"y": 1, "x": []}));
    }
    let text = String::from_utf8(canonical_json(&Value::Object(map))).unwrap();
    let inner = r#"{"x":[],"y":1}"#;
    let wanted: Vec<String> = ["", "B", "a", "aa", "b", "\u{FFFF}", "\u{10000}"]
        .iter()
        .map(|key| format!("\"{key}\":{inner}"))
        .collect();
    assert_eq!(text, format!("{{{}}}", wanted.join(",")));
}

#[test]
fn scalars_have_one_text() {
    let cases = [
        (json!(null), "null"),
        (json!(1), "1"),
        (json!(1.0), "1.0"),
        (json!(-0.0), "-0.0"),
        (json!(u64::MAX), "18446744073709551615"),
        (json!("\u{1}\n\"\\/é\u{7f}"), "\"\\u0001\\n\\\"\\\\/é\u{7f}\""),
        (json!([[], {}, [1, [2]]]), "[[],{},[1,[2]]]"),
    ];
    for (value, text) in cases {
        assert_eq!(String::from_utf8(canonical_json(&value)).unwrap(), text);
    }
}
