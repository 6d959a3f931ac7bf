//! Requests that increment: they read, compute, and commit only if what they read is still so.

use std::collections::HashMap;

use bytes::Bytes;
use stead::codec::StateClass;
use stead::core::{Backend, Entry, Expect, Key, Limits, Outcome};
use stead::state::ClassRules;
use stead::{Error, Result};

use super::answer::Answer;
use super::op::{Act, Planned, Request};

/// Another process may be faster; this often in a row it is not.
const ATTEMPTS: u32 = 256;

/// Commits a request that increments.
pub(super) async fn run(request: &Request, backend: &dyn Backend, limits: &Limits) -> Result<Answer> {
    for _ in 0..ATTEMPTS {
        let mut attempt = Attempt {
            backend,
            planned: Planned::new(None),
            rules: ClassRules::new(limits),
            made: HashMap::new(),
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
    planned: Planned,
    rules: ClassRules,
    /// What the operations so far have made of each key.
    made: HashMap<Key, Option<Bytes>>,
    values: Vec<i64>,
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
                    self.made.insert(op.key.clone(), None);
                    batch.delete(op.key.clone())
                }
                Act::Set { value, expiry } => {
                    self.made.insert(op.key.clone(), Some(value.clone()));
                    batch.put_with(op.key.clone(), value.clone(), *expiry)
                }
                Act::Incr { by, expiry } => {
                    self.planned.batch = batch;
                    let current = match self.made.get(&op.key) {
                        Some(made) => made.clone(),
                        None => {
                            let entry = self.backend.get(&op.key).await?;
                            let unchanged = entry
                                .as_ref()
                                .map_or(Expect::Absent, |entry: &Entry| Expect::At(entry.revision()));
                            read.push((op.key.clone(), unchanged));
                            entry.map(|entry| Bytes::copy_from_slice(entry.value()))
                        }
                    };
                    let class = StateClass::default();
                    let (sum, stored) = self.rules.increment(current.as_deref(), *by, class, None)?;
                    self.made.insert(op.key.clone(), Some(stored.clone()));
                    self.values.push(sum);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};
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
