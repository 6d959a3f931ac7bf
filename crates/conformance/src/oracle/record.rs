//! Running tasks at the same time and recording what they see.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stead_core::{
    Backend, Entry, ErrorKind, Expect, Key, KeyRange, ManualClock, Outcome, Partition, Random, ReadExt,
    Result, Revision, Scan, SeededRandom, Timestamp, WriteBatch,
};

use super::history::{Answer, Call, Held, KeyId, Operation, ValueId};
use super::linear;
use super::marks::Marks;
use super::stand::{Effort, Stand, block_on};

const TASKS: usize = 4;
pub(super) const KEYS: usize = 3;

/// Runs tasks at the same time on stores that `open` gives, and demands that what they were told could have come from
/// one call after the other.
///
/// Four tasks read (one key, several at once, a page of a scan, a snapshot) and write (put, delete, batches over several
/// keys, compare-and-set with revisions that they saw) three keys of one partition. They share the operations that
/// `effort` wants for a run.
///
/// Blocks the calling thread, which must not drive async tasks.
///
/// # Errors
///
/// A history that no order of its calls explains, or a call that failed.
pub fn check_histories(
    open: &dyn Fn(Arc<ManualClock>) -> Result<Stand>,
    effort: &Effort,
) -> Result<(), String> {
    block_on(async {
        for run in 0..u64::from(effort.cases) {
            let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1)));
            let stand = open(clock).map_err(|error| format!("the store does not open: {error}"))?;
            let history = record(
                &stand.backend,
                effort.operations.div_ceil(TASKS),
                effort.seed + run,
            )
            .await?;
            linear::check(&history, KEYS).map_err(|why| format!("run {run}: {why}"))?;
        }
        Ok(())
    })?
}

async fn record(store: &Arc<dyn Backend>, each: usize, seed: u64) -> Result<Vec<Operation>, String> {
    let time = Arc::new(AtomicU64::new(1));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let home = Partition::new("history")?;
            let recorder = Recorder::new(task, Arc::clone(store), Arc::clone(&time), seed, home)?;
            Ok(tokio::spawn(recorder.run(each)))
        })
        .collect::<Result<_>>()
        .map_err(|error| error.to_string())?;
    let mut history = Vec::new();
    for task in tasks {
        let recorded = task
            .await
            .map_err(|error| format!("a task ended badly: {error}"))?;
        let recorded = recorded.map_err(|error| format!("a call failed with {}: {error}", error.kind()))?;
        history.extend(recorded.history);
    }
    Ok(history)
}

/// One task.
pub(super) struct Recorder {
    task: usize,
    store: Arc<dyn Backend>,
    time: Arc<AtomicU64>,
    random: SeededRandom,
    keys: Vec<Key>,
    home: Partition,
    next_value: ValueId,
    /// What it saw last of each key.
    seen: Vec<(Held, Expect)>,
    pub(super) history: Vec<Operation>,
    /// Its writes, where connections break: a call that fails is then none.
    pub(super) marks: Option<Marks>,
}

impl Recorder {
    pub(super) fn new(
        task: usize,
        store: Arc<dyn Backend>,
        time: Arc<AtomicU64>,
        seed: u64,
        home: Partition,
    ) -> Result<Self> {
        let keys = (0..KEYS).map(|key| Key::new(&home, key.to_string()));
        let first_value = u32::try_from(task).unwrap_or_default() * 1_000_000 + 1;
        Ok(Recorder {
            task,
            store,
            time,
            random: SeededRandom::new(seed ^ (task as u64) << 32),
            keys: keys.collect::<Result<_>>()?,
            home,
            next_value: first_value,
            seen: vec![(None, Expect::Absent); KEYS],
            history: Vec::new(),
            marks: None,
        })
    }

    pub(super) async fn run(mut self, calls: usize) -> Result<Self> {
        for _ in 0..calls {
            let done = match self.below(10) {
                0 | 1 => self.get().await,
                2 => self.get_many().await,
                3 => self.scan().await,
                4 => self.snapshot().await,
                5 => self.put().await,
                6 => self.delete().await,
                7 => self.put_all().await,
                8 => self.compare_and_set().await,
                _ => self.compare_and_set_all().await,
            };
            match (done, &mut self.marks) {
                (Err(error), Some(marks)) if error.kind() == ErrorKind::Unavailable => marks.failed += 1,
                (done, _) => done?,
            }
            tokio::task::yield_now().await;
        }
        Ok(self)
    }

    fn below(&self, end: u64) -> u64 {
        self.random.next_u64() % end
    }

    fn any_key(&self) -> KeyId {
        usize::try_from(self.below(KEYS as u64)).unwrap_or_default()
    }

    fn tick(&self) -> u64 {
        self.time.fetch_add(1, Ordering::SeqCst)
    }

    fn value(&mut self) -> (ValueId, Vec<u8>) {
        let value = self.next_value;
        self.next_value += 1;
        (value, value.to_string().into_bytes())
    }

    fn saw(&mut self, invoked: u64, entries: Vec<(KeyId, Option<Entry>)>) -> Result<()> {
        let returned = Some(self.tick());
        let mut found = Vec::new();
        for (key, entry) in entries {
            let held = entry.as_ref().map(value_of).transpose()?;
            let expect = entry.map_or(Expect::Absent, |entry| Expect::At(entry.revision()));
            self.seen[key] = (held, expect);
            found.push((key, held));
        }
        self.history.push(Operation {
            task: self.task,
            invoked,
            returned,
            call: Call::Read { found },
        });
        Ok(())
    }

    async fn get(&mut self) -> Result<()> {
        let key = self.any_key();
        let invoked = self.tick();
        let entry = self.store.get(&self.keys[key]).await?;
        self.saw(invoked, vec![(key, entry)])
    }

    pub(super) async fn get_many(&mut self) -> Result<()> {
        let invoked = self.tick();
        let entries = self.store.get_many(&self.keys).await?;
        self.saw(invoked, entries.into_iter().enumerate().collect())
    }

    async fn scan(&mut self) -> Result<()> {
        let invoked = self.tick();
        let page = self.store.scan(&self.all())?.next_page().await?;
        self.saw_items(invoked, page)
    }

    async fn snapshot(&mut self) -> Result<()> {
        if !self.store.capabilities().snapshots {
            return self.get_many().await;
        }
        let invoked = self.tick();
        let snapshot = self.store.snapshot().await?;
        // Others go on writing meanwhile.
        tokio::task::yield_now().await;
        let items = snapshot.collect(&self.all().limit(KEYS)).await?;
        self.saw_items(invoked, items)
    }

    fn all(&self) -> Scan {
        Scan::new(KeyRange::partition(&self.home)).page_size(KEYS)
    }

    fn saw_items(&mut self, invoked: u64, items: Vec<stead_core::Item>) -> Result<()> {
        let mut entries: Vec<(KeyId, Option<Entry>)> = (0..KEYS).map(|key| (key, None)).collect();
        for item in items {
            if let Some(key) = self.keys.iter().position(|key| *key == item.key) {
                entries[key].1 = item.entry;
            }
        }
        self.saw(invoked, entries)
    }

    async fn put(&mut self) -> Result<()> {
        let key = self.any_key();
        self.write(&[], &[key]).await
    }

    async fn put_all(&mut self) -> Result<()> {
        self.write(&[], &[0, 1, 2]).await
    }

    async fn compare_and_set(&mut self) -> Result<()> {
        let key = self.any_key();
        self.write(&[key], &[key]).await
    }

    /// Writes one key if none of them changed.
    async fn compare_and_set_all(&mut self) -> Result<()> {
        self.get_many().await?;
        let key = self.any_key();
        self.write(&[0, 1, 2], &[key]).await
    }

    async fn delete(&mut self) -> Result<()> {
        let key = self.any_key();
        let batch = WriteBatch::new().delete(self.keys[key].clone());
        self.apply(batch, Vec::new(), vec![(key, None)]).await
    }

    /// Writes new values to `writes` if `expected` hold what was seen last.
    async fn write(&mut self, expected: &[KeyId], writes: &[KeyId]) -> Result<()> {
        let mut batch = WriteBatch::new();
        for key in expected {
            batch = batch.expect(self.keys[*key].clone(), self.seen[*key].1);
        }
        let mut written = Vec::new();
        for key in writes {
            let (id, bytes) = self.value();
            batch = batch.put(self.keys[*key].clone(), bytes);
            written.push((*key, Some(id)));
        }
        let expected = expected.iter().map(|key| (*key, self.seen[*key].0)).collect();
        self.apply(batch, expected, written).await
    }

    async fn apply(
        &mut self,
        mut batch: WriteBatch,
        expected: Vec<(KeyId, Held)>,
        writes: Vec<(KeyId, Held)>,
    ) -> Result<()> {
        if let Some(marks) = &mut self.marks {
            batch = marks.mark(batch, self.history.len())?;
        }
        let invoked = self.tick();
        let (outcome, revision) = match self.store.apply(batch).await {
            Ok(Outcome::Committed(revision)) => (Answer::Committed, Some(revision)),
            Ok(Outcome::Rejected(_)) => (Answer::Rejected, None),
            Err(error) if error.kind() == ErrorKind::UnknownOutcome => (Answer::Unknown, None),
            Err(error) => {
                if let Some(marks) = &mut self.marks {
                    marks.refuse();
                }
                return Err(error);
            }
        };
        if let Some(marks) = &mut self.marks {
            marks.answered(revision);
        }
        let returned = (outcome != Answer::Unknown).then(|| self.tick());
        if let Some(revision) = revision {
            self.remember(&writes, revision);
        }
        let call = Call::Write {
            expected,
            writes,
            outcome,
        };
        self.history.push(Operation {
            task: self.task,
            invoked,
            returned,
            call,
        });
        Ok(())
    }

    fn remember(&mut self, writes: &[(KeyId, Held)], revision: Revision) {
        for (key, held) in writes {
            let expect = held.map_or(Expect::Absent, |_| Expect::At(revision));
            self.seen[*key] = (*held, expect);
        }
    }
}

fn value_of(entry: &Entry) -> Result<ValueId> {
    let text = std::str::from_utf8(entry.value()).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| stead_core::Error::corrupt("a value is not what any task wrote"))
}
