//! What a line asks for.

use bytes::Bytes;
use serde_json::Value;
use stead::core::{Expect, Expiry, Key, Limits, RequestId, WriteBatch};
use stead::state::encode_key;
use stead::{Error, Result};

use crate::fields::Fields;
use crate::json;

/// How much deeper than its value a line is nested: the batch, its list, the operation.
const DEPTH_OF_LINE: usize = 3;

/// One line: what commits together.
pub(super) struct Request {
    pub(super) ops: Vec<Op>,
    /// Makes it safe to send the line again.
    pub(super) id: Option<RequestId>,
    /// Whether it was written as a batch.
    pub(super) is_batch: bool,
}

pub(super) struct Op {
    pub(super) key: Key,
    pub(super) expect: Option<Expect>,
    pub(super) act: Act,
}

pub(super) enum Act {
    Check,
    Set { value: Bytes, expiry: Expiry },
    Delete,
    Touch { expiry: Expiry },
    Incr { by: i64, expiry: Expiry },
}

impl Request {
    pub(super) fn parse(line: &[u8], limits: &Limits) -> Result<Self> {
        let value = json::parse(line, limits.nesting_depth + DEPTH_OF_LINE)?;
        let mut fields = Fields::of(value)?;
        let id = fields.request_id()?;
        let name = fields.needed_text("op")?;
        if name != "batch" {
            let op = Op::parse(&name, fields, limits)?;
            return Self::new(vec![op], id, false);
        }
        let ops = match fields.take("ops") {
            Some(Value::Array(ops)) => ops,
            Some(_) => return Err(Error::invalid("field is not a list").with("field", "ops")),
            None => return Err(Error::invalid("field is missing").with("field", "ops")),
        };
        fields.finish("op, ops, id")?;
        let parsed = ops.into_iter().enumerate().map(|(index, op)| {
            let parse = || {
                let mut fields = Fields::of(op)?;
                let name = fields.needed_text("op")?;
                Op::parse(&name, fields, limits)
            };
            parse().map_err(|error: Error| error.with("op", index))
        });
        Self::new(parsed.collect::<Result<_>>()?, id, true)
    }

    fn new(ops: Vec<Op>, id: Option<RequestId>, is_batch: bool) -> Result<Self> {
        let request = Request { ops, id, is_batch };
        if request.id.is_some() && request.increments() {
            return Err(Error::invalid(
                "incr cannot carry an id, since it writes something else each time; read the value, and use set with \
                 its revision in expect",
            ));
        }
        Ok(request)
    }

    fn increments(&self) -> bool {
        self.ops.iter().any(|op| matches!(op.act, Act::Incr { .. }))
    }

    /// Whether it looks at what is there and so must wait for what comes before it: a write that only has preconditions
    /// need not, since they are judged when it commits.
    pub(super) fn reads(&self) -> bool {
        self.increments() || self.ops.iter().all(|op| matches!(op.act, Act::Check))
    }
}

impl Op {
    fn parse(name: &str, mut fields: Fields, limits: &Limits) -> Result<Self> {
        // What is no operation is told before what it lacks.
        if !["set", "delete", "touch", "incr", "check"].contains(&name) {
            return Err(Error::invalid(
                "no such operation; use set, delete, incr, touch, check or batch, and no batch inside a batch",
            ));
        }
        let key = encode_key(&fields.scope()?, &fields.key()?)?;
        let mut expect = fields.expect()?;
        let (act, known) = match name {
            "set" => {
                let expiry = fields.expiry()?.unwrap_or(Expiry::Never);
                let value = fields.stored(limits)?;
                (
                    Act::Set { value, expiry },
                    "op, scope, key, value, bytes, envelope, class, codec, ttl, deadline_ms, expect, id",
                )
            }
            "delete" => (Act::Delete, "op, scope, key, expect, id"),
            "touch" => {
                let expiry = fields.expiry()?.ok_or_else(|| {
                    Error::invalid(
                        "touch needs a ttl or a deadline_ms; a ttl of null takes the deadline away",
                    )
                })?;
                // Nothing to touch is a lost race, not a success.
                expect = expect.or(Some(Expect::Present));
                (
                    Act::Touch { expiry },
                    "op, scope, key, ttl, deadline_ms, expect, id",
                )
            }
            "incr" => {
                let by = fields.by()?;
                let expiry = fields.expiry()?.unwrap_or(Expiry::Keep);
                (
                    Act::Incr { by, expiry },
                    "op, scope, key, by, ttl, deadline_ms, expect",
                )
            }
            _ => {
                if expect.is_none() {
                    return Err(Error::invalid(
                        "check needs an expect: \"absent\", \"present\" or a revision",
                    ));
                }
                (Act::Check, "op, scope, key, expect, id")
            }
        };
        fields.finish(known)?;
        Ok(Op { key, expect, act })
    }
}

/// A batch, and which operation each of its preconditions comes from.
pub(super) struct Planned {
    pub(super) batch: WriteBatch,
    pub(super) origins: Vec<(usize, Expect)>,
}

impl Request {
    /// The batch of a request that does not increment.
    pub(super) fn plan(self) -> Planned {
        let mut planned = Planned::new(self.id);
        for (index, op) in self.ops.into_iter().enumerate() {
            planned.expect(index, &op);
            planned.batch = match op.act {
                Act::Set { value, expiry } => planned.batch.put_with(op.key, value, expiry),
                Act::Delete => planned.batch.delete(op.key),
                Act::Touch { expiry } => planned.batch.touch(op.key, expiry),
                Act::Check | Act::Incr { .. } => planned.batch,
            };
        }
        planned
    }
}

impl Planned {
    pub(super) fn new(id: Option<RequestId>) -> Self {
        // Whatever the store's default is: a line is answered once it is durable.
        let batch = WriteBatch::new().durability(stead::core::Durability::Durable);
        Planned {
            batch: match id {
                Some(id) => batch.request_id(id),
                None => batch,
            },
            origins: Vec::new(),
        }
    }

    /// Adds what `op`, the one at `index`, expects of its key.
    pub(super) fn expect(&mut self, index: usize, op: &Op) {
        if let Some(expect) = op.expect {
            self.batch = std::mem::take(&mut self.batch).expect(op.key.clone(), expect);
            self.origins.push((index, expect));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request> {
        Request::parse(line.as_bytes(), &Limits::default())
    }

    #[test]
    fn each_operation_is_read() {
        for line in [
            r#"{"op":"set","scope":"global","key":"k","value":null}"#,
            r#"{"op":"set","scope":"global","key":"k","value":1,"ttl":"5m","class":"trusted","expect":"absent","id":"a"}"#,
            r#"{"op":"delete","scope":"global","key":"k","expect":7}"#,
            r#"{"op":"touch","scope":"global","key":"k","ttl":null}"#,
            r#"{"op":"incr","scope":"global","key":"k"}"#,
            r#"{"op":"incr","scope":"global","key":"k","by":-3,"ttl":"1s"}"#,
            r#"{"op":"check","scope":"global","key":"k","expect":"present"}"#,
        ] {
            let request = parse(line).unwrap();
            assert_eq!((request.ops.len(), request.is_batch), (1, false), "{line}");
        }
        let batch = r#"{"op":"batch","id":"a","ops":[{"op":"delete","scope":"global","key":"a"},
            {"op":"check","scope":"step:f/s","key":"b","expect":"absent"}]}"#;
        let request = parse(batch).unwrap();
        assert_eq!(
            (request.ops.len(), request.is_batch, request.reads()),
            (2, true, false)
        );
        assert!(parse(r#"{"op":"batch","ops":[]}"#).unwrap().reads());
    }

    #[test]
    fn only_what_looks_at_values_waits() {
        let reads = |op: &str| {
            parse(&format!(r#"{{"scope":"global","key":"k",{op}}}"#))
                .unwrap()
                .reads()
        };
        assert!(reads(r#""op":"incr""#));
        assert!(reads(r#""op":"check","expect":"absent""#));
        assert!(!reads(r#""op":"set","value":1,"expect":"absent""#));
        assert!(!reads(r#""op":"touch","ttl":"1s""#));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for line in [
            "[]",
            "{}",
            r#"{"op":"sett","scope":"global","key":"k","value":1}"#,
            r#"{"op":"set","scope":"global","key":"k"}"#,
            r#"{"op":"set","scope":"nowhere","key":"k","value":1}"#,
            r#"{"op":"set","scope":"global","key":"a\u0000b","value":1}"#,
            r#"{"op":"set","scope":"global","key":"k","value":1,"tll":"5m"}"#,
            r#"{"op":"set","scope":"global","key":"k","value":1,"ttl":"0s"}"#,
            r#"{"op":"set","scope":"global","key":"k","value":1,"id":""}"#,
            r#"{"op":"delete","scope":"global","key":"k","value":1}"#,
            r#"{"op":"touch","scope":"global","key":"k"}"#,
            r#"{"op":"incr","scope":"global","key":"k","id":"a"}"#,
            r#"{"op":"incr","scope":"global","key":"k","by":1.5}"#,
            r#"{"op":"check","scope":"global","key":"k"}"#,
            r#"{"op":"batch"}"#,
            r#"{"op":"batch","ops":[{"op":"batch","ops":[]}]}"#,
            r#"{"op":"batch","ops":[{"op":"delete","scope":"global","key":"k","id":"a"}],"extra":1}"#,
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        let long = format!(
            r#"{{"op":"delete","scope":"global","key":"{}"}}"#,
            "k".repeat(4_000)
        );
        let error = parse(&long)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(error.contains("length_bytes=4000 limit_bytes=1023"), "{error}");
    }
}
