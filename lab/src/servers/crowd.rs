//! Tasks that share one handle of a store and go on over the kills of its server, and a watch that does so too.
//!
//! Each write of a task puts three keys: two that every write of the task replaces, and one of its own, by which the
//! change log tells it apart. Every other task gives its writes request ids, so that the store repeats them: they must all
//! be done, once. Without an id a write may be of unknown outcome; then it is there once, or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stead_conformance::crash::{Failure, FailureKind, partition};
use stead_core::{
    Backend, ChangeSet, Durability, ErrorKind, Expect, Key, KeyRange, Outcome, RequestId, Revision,
    SystemClock, WatchEvent, WatchSpec, Watcher, WriteBatch,
};
use tokio::task::JoinHandle;

use super::bed::{Bed, Opening};

const MEMBERS: usize = 8;
/// For attempts, and for repeating what failed: longer than a failover takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(120);

/// The tasks, and all that is known of their writes.
pub(super) struct Crowd {
    store: Arc<dyn Backend>,
    watcher: Box<dyn Watcher>,
    members: Vec<Member>,
    /// Where the watch stands.
    position: Revision,
    /// Every write that the watch told, and where: task and number.
    logged: BTreeMap<(usize, u64), Revision>,
    pub(super) committed: u64,
    pub(super) unknown: u64,
    pub(super) unknown_and_there: u64,
}

/// One task.
struct Member {
    task: usize,
    next: u64,
    /// The revision of what it wrote last, where it was told.
    last: Option<Revision>,
    /// The answers since the last comparison.
    told: Vec<(u64, Told)>,
}

#[derive(Clone, Copy, Debug)]
enum Told {
    Committed(Revision),
    Unknown,
    Refused,
}

/// The tasks at work.
pub(super) struct Working {
    ends: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Result<Member, Failure>>>,
}

impl Crowd {
    pub(super) async fn open(bed: &Bed, name: String) -> stead_core::Result<Crowd> {
        let opening = Opening {
            name,
            clock: Arc::new(SystemClock),
            timeout: TIMEOUT,
            retry: RETRY,
            sweep: Duration::from_secs(1),
        };
        let store = bed.open(&opening).await?;
        let spec = WatchSpec::new(KeyRange::partition(&partition())).after(Revision::ZERO);
        Ok(Crowd {
            watcher: store.watch(&spec)?,
            store,
            members: (0..MEMBERS).map(Member::new).collect(),
            position: Revision::ZERO,
            logged: BTreeMap::new(),
            committed: 0,
            unknown: 0,
            unknown_and_there: 0,
        })
    }

    /// Lets the tasks begin. They go on until they are told to end.
    pub(super) fn work(&mut self) -> Working {
        let ends = Arc::new(AtomicBool::new(false));
        let tasks = std::mem::take(&mut self.members).into_iter();
        let tasks = tasks.map(|member| tokio::spawn(member.work(Arc::clone(&self.store), Arc::clone(&ends))));
        Working {
            tasks: tasks.collect(),
            ends,
        }
    }

    /// Ends the tasks and compares what they were told with the change log and with what is there.
    pub(super) async fn settle(&mut self, working: Working) -> Result<(), Failure> {
        working.ends.store(true, Ordering::Release);
        for task in working.tasks {
            let member = task
                .await
                .map_err(|error| failure(FailureKind::Unusable, error.to_string()))?;
            self.members.push(member?);
        }
        self.follow().await?;
        let mut members = std::mem::take(&mut self.members);
        for member in &mut members {
            self.compare(member)?;
            self.look(member).await?;
        }
        self.members = members;
        self.store
            .check(&|_| {})
            .await
            .map_err(|error| failure(FailureKind::Damaged, format!("the check: {error:?}")))?;
        Ok(())
    }

    /// Takes what the watch has to tell up to a write of its own.
    async fn follow(&mut self) -> Result<(), Failure> {
        let id = format!("end {}", self.position);
        let batch = RequestId::new(id).and_then(|id| {
            let key = Key::new(&partition(), "end")?;
            Ok(WriteBatch::new().put(key, "").request_id(id))
        });
        let batch = batch.map_err(|error| failure(FailureKind::Unusable, error.to_string()))?;
        let outcome = self.store.apply(batch).await;
        let outcome =
            outcome.map_err(|error| failure(FailureKind::Unusable, format!("writing: {error:?}")))?;
        let Outcome::Committed(end) = outcome else {
            return Err(failure(
                FailureKind::Answer,
                "a write without a condition was rejected".to_owned(),
            ));
        };
        loop {
            let event = self.watcher.next().await;
            match event.map_err(|error| failure(FailureKind::Watch, format!("watching: {error:?}")))? {
                WatchEvent::Changes(set) => {
                    let revision = set.revision;
                    if revision <= self.position {
                        let what = format!("the watch gave revision {revision} behind {}", self.position);
                        return Err(failure(FailureKind::Watch, what));
                    }
                    self.position = revision;
                    if revision == end {
                        return Ok(());
                    }
                    self.log(&set)?;
                }
                other => return Err(failure(FailureKind::Watch, format!("the watch ended: {other:?}"))),
            }
            if self.position > end {
                return Err(failure(
                    FailureKind::Watch,
                    format!("the watch skipped revision {end}"),
                ));
            }
        }
    }

    fn log(&mut self, set: &ChangeSet) -> Result<(), Failure> {
        let revision = set.revision;
        let paths: Vec<&str> = set
            .changes
            .iter()
            .filter_map(|change| std::str::from_utf8(change.key.path()).ok())
            .collect();
        let Some((task, number)) = paths.iter().find_map(|path| parse(path)) else {
            let what = format!("the change set at revision {revision} is of no write: {paths:?}");
            return Err(failure(FailureKind::Invented, what));
        };
        let whole = [format!("{task}/a"), format!("{task}/b"), mark(task, number)];
        if paths.len() != whole.len() || !whole.iter().all(|path| paths.contains(&path.as_str())) {
            let what =
                format!("write {number} of task {task} is there by half at revision {revision}: {paths:?}");
            return Err(failure(FailureKind::Half, what));
        }
        match self.logged.insert((task, number), revision) {
            None => Ok(()),
            Some(first) => {
                let what =
                    format!("write {number} of task {task} was done at {first} and again at {revision}");
                Err(failure(FailureKind::Invented, what))
            }
        }
    }

    /// What the task was told against the log.
    fn compare(&mut self, member: &mut Member) -> Result<(), Failure> {
        let task = member.task;
        for (number, told) in member.told.drain(..) {
            let logged = self.logged.get(&(task, number)).copied();
            let kind = match (told, logged) {
                (Told::Committed(told), Some(logged)) if told == logged => {
                    self.committed += 1;
                    continue;
                }
                (Told::Unknown, _) => {
                    self.unknown += 1;
                    self.unknown_and_there += u64::from(logged.is_some());
                    continue;
                }
                (Told::Refused, None) => continue,
                (Told::Committed(_), None) => FailureKind::Lost,
                (Told::Committed(_), Some(_)) => FailureKind::Reused,
                (Told::Refused, Some(_)) => FailureKind::Answer,
            };
            let what =
                format!("write {number} of task {task} was told {told:?}, but the log has it at {logged:?}");
            return Err(failure(kind, what));
        }
        Ok(())
    }

    /// What is there against the log.
    async fn look(&self, member: &Member) -> Result<(), Failure> {
        let task = member.task;
        let mine = self.logged.range((task, 0)..(task, u64::MAX));
        // A task waits for each answer, but one of unknown outcome may be done behind the next.
        let last = mine
            .max_by_key(|(_, revision)| **revision)
            .map(|((_, number), revision)| (*number, *revision));
        for name in ["a", "b"] {
            let key = key(&format!("{task}/{name}"))
                .map_err(|error| failure(FailureKind::Unusable, error.to_string()))?;
            let found = self.store.get(&key).await;
            let found =
                found.map_err(|error| failure(FailureKind::Unusable, format!("reading: {error:?}")))?;
            let told = found.as_ref().map(|entry| {
                (
                    String::from_utf8_lossy(entry.value()).into_owned(),
                    entry.revision(),
                )
            });
            if told != last.map(|(number, revision)| (number.to_string(), revision)) {
                let what = format!("{key} is {told:?}, but {last:?} was the last write in the log");
                return Err(failure(FailureKind::Lost, what));
            }
        }
        Ok(())
    }
}

impl Member {
    fn new(task: usize) -> Self {
        Member {
            task,
            next: 1,
            last: None,
            told: Vec::new(),
        }
    }

    async fn work(mut self, store: Arc<dyn Backend>, ends: Arc<AtomicBool>) -> Result<Member, Failure> {
        while !ends.load(Ordering::Acquire) {
            let number = self.next;
            self.next += 1;
            let batch = self
                .batch(number)
                .map_err(|error| failure(FailureKind::Unusable, error.to_string()))?;
            let has_id = batch.id().is_some();
            let told = match store.apply(batch).await {
                Ok(Outcome::Committed(revision)) => Told::Committed(revision),
                Ok(Outcome::Rejected(conflict)) => {
                    let what = format!("write {number} of task {} was rejected: {conflict:?}", self.task);
                    return Err(failure(FailureKind::Answer, what));
                }
                Err(error) if error.kind() == ErrorKind::UnknownOutcome && !has_id => Told::Unknown,
                Err(error) if error.kind() == ErrorKind::Unavailable && !has_id => Told::Refused,
                Err(error) => {
                    let what = format!("write {number} of task {} failed: {error:?}", self.task);
                    return Err(failure(FailureKind::Unusable, what));
                }
            };
            self.last = match told {
                Told::Committed(revision) => Some(revision),
                Told::Unknown => None,
                Told::Refused => self.last,
            };
            self.told.push((number, told));
        }
        Ok(self)
    }

    /// On the condition that nobody wrote since, where the task knows what it wrote last.
    fn batch(&self, number: u64) -> stead_core::Result<WriteBatch> {
        let task = self.task;
        let first = key(&format!("{task}/a"))?;
        let mut batch = WriteBatch::new().durability(Durability::Durable);
        if let Some(last) = self.last {
            batch = batch.expect(first.clone(), Expect::At(last));
        }
        batch = batch
            .put(first, number.to_string())
            .put(key(&format!("{task}/b"))?, number.to_string())
            .put(key(&mark(task, number))?, "");
        if task.is_multiple_of(2) {
            batch = batch.request_id(RequestId::new(mark(task, number))?);
        }
        Ok(batch)
    }
}

fn key(path: &str) -> stead_core::Result<Key> {
    Key::new(&partition(), path)
}

fn mark(task: usize, number: u64) -> String {
    format!("{task}/mark/{number}")
}

fn parse(path: &str) -> Option<(usize, u64)> {
    let (task, number) = path.split_once("/mark/")?;
    Some((task.parse().ok()?, number.parse().ok()?))
}

fn failure(kind: FailureKind, what: String) -> Failure {
    Failure::new(kind, what)
}
