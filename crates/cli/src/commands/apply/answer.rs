//! What a line is answered with.

use serde_json::{Map, Value, json};
use stead::core::{Conflict, Expect, Found, Revision};
use stead::state::decode_key;
use stead::{Error, ErrorKind};

use crate::exit::{Exit, error_json};
use crate::sorted::Sorted;

/// How a line ended.
pub(super) enum Answer {
    Committed {
        revision: Revision,
        /// What its increments came to, in their order.
        values: Vec<i64>,
    },
    Rejected {
        conflict: Conflict,
        /// The operation and what it expected, if the precondition is one of the line's.
        origin: Option<(usize, Expect)>,
    },
    Failed(Error),
}

impl Answer {
    /// Whether nothing that follows can fare better.
    pub(super) fn is_fatal(&self) -> bool {
        let Answer::Failed(error) = self else {
            return false;
        };
        // A full queue or a full store may have room again; a store that is poisoned, closed or broken stays so.
        error.kind() != ErrorKind::Full && !matches!(Exit::of(error.kind()), Exit::Usage | Exit::Conflict)
    }

    /// The line to print.
    pub(super) fn line(&self, number: u64, is_batch: bool) -> String {
        // Written by hand: the number comes first, and with it what kind of answer this is.
        let rest = match self {
            Answer::Committed { revision, values } => {
                let values = match (&values[..], is_batch) {
                    ([], _) => String::new(),
                    ([value], false) => format!(",\"value\":{value}"),
                    (values, _) => format!(",\"values\":{}", Value::from(values)),
                };
                format!("\"revision\":{revision}{values}")
            }
            Answer::Rejected { conflict, origin } => {
                format!("\"conflict\":{}", Sorted(&shown(conflict, *origin, is_batch)))
            }
            Answer::Failed(error) => {
                format!("\"error\":{}", Sorted(&error_json(error, error.kind().as_str())))
            }
        };
        format!("{{\"line\":{number},{rest}}}")
    }
}

fn shown(conflict: &Conflict, origin: Option<(usize, Expect)>, is_batch: bool) -> Value {
    let mut shown = Map::new();
    if let Some((scope, key)) = conflict.key.as_ref().and_then(|key| decode_key(key).ok()) {
        shown.insert("scope".to_owned(), Value::from(scope.to_string()));
        shown.insert("key".to_owned(), Value::from(key));
    }
    if let Some((op, expect)) = origin {
        if is_batch {
            shown.insert("op".to_owned(), Value::from(op));
        }
        let expected = match expect {
            Expect::Absent => json!("absent"),
            Expect::Present => json!("present"),
            Expect::At(revision) => json!(revision.get()),
        };
        shown.insert("expected".to_owned(), expected);
    }
    let found = match conflict.found {
        Found::Missing => Value::Null,
        Found::Revision(revision) => json!(revision.get()),
        Found::Count(entries) => json!({"entries": entries}),
    };
    shown.insert("found".to_owned(), found);
    Value::from(shown)
}

#[cfg(test)]
mod tests {
    use stead::StateScope;
    use stead::state::encode_key;

    use super::*;

    #[test]
    fn answers_are_one_line_each() {
        let committed = |values| Answer::Committed {
            revision: Revision::new(7),
            values,
        };
        assert_eq!(committed(vec![]).line(1, true), r#"{"line":1,"revision":7}"#);
        assert_eq!(
            committed(vec![3]).line(1, false),
            r#"{"line":1,"revision":7,"value":3}"#
        );
        assert_eq!(
            committed(vec![3]).line(1, true),
            r#"{"line":1,"revision":7,"values":[3]}"#
        );
        let rejected = Answer::Rejected {
            conflict: Conflict {
                precondition: 0,
                key: encode_key(&StateScope::Global, "k").ok(),
                found: Found::Missing,
            },
            origin: Some((2, Expect::At(Revision::new(4)))),
        };
        let answer: Value = serde_json::from_str(&rejected.line(9, true)).unwrap();
        assert_eq!(
            answer,
            json!({"line": 9, "conflict": {"scope": "global", "key": "k", "op": 2, "expected": 4, "found": null}})
        );
        let failed = Answer::Failed(Error::invalid("wrong; mend it").with("field", "op"));
        let answer: Value = serde_json::from_str(&failed.line(2, false)).unwrap();
        let error =
            json!({"kind": "invalid", "message": "wrong", "context": {"field": "op"}, "hint": "mend it"});
        assert_eq!(answer, json!({"line": 2, "error": error}));
    }
}
