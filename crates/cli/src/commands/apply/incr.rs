//! Requests that increment: they read, compute, and commit only if what they read is still so.

use std::collections::HashMap;

use serde_json::Value;
use stead::codec::{Codec, Envelope, StateClass};
use stead::core::{Backend, Entry, Expect, Key, Limits, Outcome};
use stead::{Error, Result};

use super::answer::Answer;
use super::op::{Act, Planned, Request};
use crate::encode::encode;
use crate::value::Given;

/// Another process may be faster; this often in a row it is not.
const ATTEMPTS: u32 = 256;

/// Commits a request that increments.
pub(super) async fn run(request: &Request, backend: &dyn Backend, limits: &Limits) -> Result<Answer> {
    for _ in 0..ATTEMPTS {
        let mut attempt = Attempt {
            backend,
            limits,
            planned: Planned::new(None),
            numbers: HashMap::new(),
            values: Vec::new(),
        };
        attempt.plan(request).await?;
        let Attempt { planned, values, .. } = attempt;
        match backend.apply(planned.batch).await? {
            Outcome::Committed(revision) => return Ok(Answer::Committed { revision, values }),
            Outcome::Rejected(conflict) => {
                // The line's own preconditions come first; behind them stands that what was read is unchanged.
                if let Some(origin) = planned.origins.get(conflict.precondition) {
                    let origin = Some(*origin);
                    return Ok(Answer::Rejected { conflict, origin });
                }
            }
        }
    }
    Err(
        Error::conflict("others kept changing the same number until the attempts ran out; try again later")
            .with("attempts", ATTEMPTS),
    )
}

struct Attempt<'a> {
    backend: &'a dyn Backend,
    limits: &'a Limits,
    planned: Planned,
    /// What the operations so far have made of each key.
    numbers: HashMap<Key, Number>,
    values: Vec<i64>,
}

/// A value that may be incremented, and how it is written.
#[derive(Clone, Copy)]
struct Number {
    value: i64,
    class: StateClass,
    codec: Option<Codec>,
}

impl Number {
    /// What is not there counts as 0.
    const NONE: Number = Number {
        value: 0,
        class: StateClass::Standard,
        codec: None,
    };
}

impl Attempt<'_> {
    async fn plan(&mut self, request: &Request) -> Result<()> {
        for (index, op) in request.ops.iter().enumerate() {
            self.planned.expect(index, op);
        }
        let mut read: Vec<(Key, Expect)> = Vec::new();
        for op in &request.ops {
            let batch = std::mem::take(&mut self.planned.batch);
            self.planned.batch = match &op.act {
                Act::Check => batch,
                Act::Touch { expiry } => batch.touch(op.key.clone(), *expiry),
                Act::Delete => {
                    self.numbers.insert(op.key.clone(), Number::NONE);
                    batch.delete(op.key.clone())
                }
                Act::Set { value, expiry } => {
                    if request.increments_key(&op.key) {
                        let number = number_in(value, self.limits);
                        self.numbers.insert(op.key.clone(), number?);
                    }
                    batch.put_with(op.key.clone(), value.clone(), *expiry)
                }
                Act::Incr { by, expiry } => {
                    self.planned.batch = batch;
                    let number = match self.numbers.get(&op.key) {
                        Some(number) => *number,
                        None => {
                            let entry = self.backend.get(&op.key).await?;
                            let unchanged = entry
                                .as_ref()
                                .map_or(Expect::Absent, |entry: &Entry| Expect::At(entry.revision()));
                            read.push((op.key.clone(), unchanged));
                            match entry {
                                Some(entry) => number_in(entry.value(), self.limits)?,
                                None => Number::NONE,
                            }
                        }
                    };
                    let next = Number {
                        value: added(number.value, *by)?,
                        ..number
                    };
                    self.numbers.insert(op.key.clone(), next);
                    self.values.push(next.value);
                    let given = Given::Json(Value::from(next.value));
                    let stored = encode(&given, next.class, next.codec, self.limits)?;
                    std::mem::take(&mut self.planned.batch).put_with(op.key.clone(), stored, *expiry)
                }
            };
        }
        for (key, expect) in read {
            self.planned.batch = std::mem::take(&mut self.planned.batch).expect(key, expect);
        }
        Ok(())
    }
}

impl Request {
    fn increments_key(&self, key: &Key) -> bool {
        self.ops
            .iter()
            .any(|op| matches!(op.act, Act::Incr { .. }) && op.key == *key)
    }
}

fn number_in(stored: &[u8], limits: &Limits) -> Result<Number> {
    let envelope = Envelope::parse(stored, &limits.into())?;
    let value = envelope.decode_value()?.as_i64().ok_or_else(|| {
        Error::serialization(
            "value is not a whole number of 64 bits with a sign; only such can be incremented",
        )
    })?;
    Ok(Number {
        value,
        class: envelope.class(),
        codec: Some(envelope.codec()),
    })
}

fn added(value: i64, by: i64) -> Result<i64> {
    value.checked_add(by).ok_or_else(|| {
        Error::invalid("increment leaves the range of 64-bit numbers; the value stays as it was")
            .with("by", by)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use stead::StateScope;
    use stead::core::Revision;
    use stead::state::StateManager;

    use super::*;

    async fn answer(store: &Arc<dyn Backend>, line: &str) -> Value {
        let limits = store.capabilities().limits;
        let request = Request::parse(line.as_bytes(), &limits).unwrap();
        let answer = run(&request, &**store, &limits)
            .await
            .unwrap_or_else(Answer::Failed);
        serde_json::from_str(&answer.line(1, request.is_batch)).unwrap()
    }

    #[tokio::test]
    async fn increments_see_what_stands_before_them_in_their_batch() {
        let store = stead::open("memory:").await.unwrap();
        let state = StateManager::new(Arc::clone(&store));
        state.set(StateScope::Global, "a", &10).await.unwrap();
        let line = r#"{"op":"batch","ops":[
            {"op":"incr","scope":"global","key":"a"},
            {"op":"incr","scope":"global","key":"a","by":5},
            {"op":"set","scope":"global","key":"b","value":100},
            {"op":"incr","scope":"global","key":"b","by":-1},
            {"op":"delete","scope":"global","key":"a"},
            {"op":"incr","scope":"global","key":"a","by":2}]}"#;
        assert_eq!(answer(&store, line).await["values"], json!([11, 16, 99, 2]));
        assert_eq!(state.get(StateScope::Global, "a").await.unwrap(), Some(json!(2)));
        assert_eq!(state.get(StateScope::Global, "b").await.unwrap(), Some(json!(99)));
    }

    #[tokio::test]
    async fn nothing_is_written_where_one_operation_cannot_be() {
        let store = stead::open("memory:").await.unwrap();
        let state = StateManager::new(Arc::clone(&store));
        state.set(StateScope::Global, "word", "seven").await.unwrap();
        state.set(StateScope::Global, "most", &i64::MAX).await.unwrap();
        for (key, kind) in [("word", "serialization"), ("most", "invalid")] {
            let line = format!(
                r#"{{"op":"batch","ops":[{{"op":"incr","scope":"global","key":"n"}},
                    {{"op":"incr","scope":"global","key":"{key}"}}]}}"#
            );
            assert_eq!(answer(&store, &line).await["error"]["kind"], json!(kind));
            assert_eq!(state.get(StateScope::Global, "n").await.unwrap(), None);
        }
        let line = r#"{"op":"incr","scope":"global","key":"n","expect":"present"}"#;
        let conflict = json!({"scope": "global", "key": "n", "expected": "present", "found": null});
        assert_eq!(answer(&store, line).await["conflict"], conflict);
    }

    #[tokio::test]
    async fn concurrent_increments_all_count() {
        let store = stead::open("memory:").await.unwrap();
        let tasks = (0..8).map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..25 {
                    let answer = answer(&store, r#"{"op":"incr","scope":"global","key":"n"}"#).await;
                    assert!(answer["revision"].is_u64(), "{answer}");
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let state = StateManager::new(Arc::clone(&store));
        assert_eq!(
            state.get(StateScope::Global, "n").await.unwrap(),
            Some(json!(200))
        );
        assert!(store.stats().await.unwrap().revision >= Revision::new(200));
    }
}
