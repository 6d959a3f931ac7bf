//! Backups restored over live stores, by URL.
#![cfg(all(feature = "backup", feature = "memory", feature = "redb"))]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stead::ErrorKind;
use stead::backup::{
    BackupManager, BackupType, CreateOptions, KeyFilter, Repository, RestoreOptions, RestorePoint,
    RestoreReport, RestoreWay, Staging,
};
use stead::core::{
    Backend, BackendExt, Expect, Expiry, Key, KeyRange, Partition, Read, ReadExt, Reply, Result, Revision,
    Scan, SystemClock, SystemRandom, Timestamp, WriteBatch,
};
use stead::redb::RedbConfig;
use stead_embedded::Previous;

/// Entries of which two operations for each are more than a batch holds, with much to spare.
const MANY: usize = 70_100;
/// The same, with less.
const ENOUGH: usize = 34_000;
/// Some entries have this one; it is far off.
const DEADLINE: Timestamp = Timestamp::from_millis(u64::MAX / 4);

const ENGINES: &[&str] = &[
    "redb",
    #[cfg(feature = "fjall")]
    "fjall",
    #[cfg(feature = "rocksdb")]
    "rocksdb",
    #[cfg(feature = "sled")]
    "sled",
];

fn partition(name: &str) -> Partition {
    Partition::new(name).unwrap()
}

fn key(name: &str, n: usize) -> Key {
    Key::new(&partition(name), format!("k{n:06}")).unwrap()
}

/// Writes `text` under these keys of a partition; every seventh has a deadline.
async fn write(store: &dyn Backend, name: &str, numbers: std::ops::Range<usize>, text: &str) {
    for chunk in numbers.collect::<Vec<_>>().chunks(8192) {
        let batch = chunk.iter().fold(WriteBatch::new(), |batch, n| {
            let expiry = if n % 7 == 0 {
                Expiry::At(DEADLINE)
            } else {
                Expiry::Never
            };
            batch.put_with(key(name, *n), format!("{text} {n}"), expiry)
        });
        assert!(store.apply(batch).await.unwrap().is_committed());
    }
}

type Content = BTreeMap<Key, (Vec<u8>, Option<Timestamp>)>;

async fn content(store: &dyn Read, range: KeyRange) -> Content {
    let items = store.collect(&Scan::new(range)).await.unwrap();
    let entries = items.into_iter().map(|item| (item.key, item.entry.unwrap()));
    entries
        .map(|(key, entry)| (key, (entry.value().to_vec(), entry.deadline())))
        .collect()
}

async fn content_of(url: &str) -> Content {
    let store = stead::open(url).await.unwrap();
    store.check(&|_| {}).await.unwrap();
    let found = content(&*store, KeyRange::all()).await;
    store.close().await.unwrap();
    found
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A store that was backed up, and has changed since.
struct Bench {
    dir: tempfile::TempDir,
    url: String,
    repository: Repository,
    /// When it was backed up.
    then: Content,
    now: Content,
    revision: Revision,
}

impl Bench {
    async fn new(engine: &str, entries: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("{engine}:{}", dir.path().join("store").display());
        let place = dir.path().join("backups");
        let repository = Repository::init(place.to_str().unwrap(), &SystemClock, &SystemRandom)
            .await
            .unwrap();
        let store = stead::open(&url).await.unwrap();
        write(&*store, "agent:1", 0..entries, "then").await;
        write(&*store, "agent:0", 0..500, "then").await;
        write(&*store, "agent:2", 0..500, "then").await;
        let manager = BackupManager::new(repository.clone(), Arc::clone(&store));
        manager.create_backup(BackupType::Full).await.unwrap();
        let then = content(&*store, KeyRange::all()).await;
        write(&*store, "agent:1", 100..entries + 100, "now").await;
        write(&*store, "agent:0", 200..900, "now").await;
        store
            .clear(&KeyRange::partition(&partition("agent:2")))
            .await
            .unwrap();
        let now = content(&*store, KeyRange::all()).await;
        let revision = store.stats().await.unwrap().revision;
        store.close().await.unwrap();
        Bench {
            dir,
            url,
            repository,
            then,
            now,
            revision,
        }
    }

    fn store_path(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    async fn restore(&self, options: &RestoreOptions) -> Result<RestoreReport> {
        stead::restore(&self.url, &self.repository, options, &SystemClock).await
    }

    /// What the store holds after a restore of this range.
    fn wanted(&self, range: &KeyRange) -> Content {
        self.wanted_of(|key| range.contains(key))
    }

    /// What the store holds after a restore of these keys.
    fn wanted_of(&self, is_restored: impl Fn(&Key) -> bool) -> Content {
        let of = |content: &Content, inside: bool| {
            let mut content = content.clone();
            content.retain(|key, _| is_restored(key) == inside);
            content
        };
        let mut wanted = of(&self.then, true);
        wanted.append(&mut of(&self.now, false));
        wanted
    }
}

fn replacing() -> RestoreOptions {
    let mut options = RestoreOptions::new(RestorePoint::Latest);
    options.replace = true;
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_more_than_a_batch_holds_is_restored_over_a_live_store() {
    for engine in ENGINES {
        for range in [KeyRange::all(), KeyRange::partition(&partition("agent:1"))] {
            restores_over_a_live_store(engine, range).await;
        }
    }
}

async fn restores_over_a_live_store(engine: &str, range: KeyRange) {
    let bench = Bench::new(engine, MANY).await;
    let files = names(&bench.store_path());
    let mut options = replacing();
    options.range = range;
    let old = stead::open(&bench.url).await.unwrap();
    let read = old.get(&key("agent:1", 300)).await.unwrap().unwrap().revision();
    let lineage = old.stats().await.unwrap().lineage;
    old.close().await.unwrap();

    options.dry_run = true;
    let foretold = bench.restore(&options).await.unwrap();
    assert_eq!(foretold.way, RestoreWay::Switch, "{engine}");
    assert!(
        content_of(&bench.url).await == bench.now,
        "{engine}: nothing changes"
    );
    options.dry_run = false;
    let report = bench.restore(&options).await.unwrap();
    assert_eq!(
        (report.entries, report.added, report.changed, report.removed),
        (
            foretold.entries,
            foretold.added,
            foretold.changed,
            foretold.removed
        ),
    );
    assert!(report.changed >= 70_000 && report.removed >= 100);
    assert_eq!((report.way, &report.previous), (RestoreWay::Switch, &None));
    assert_eq!(names(&bench.store_path()), files, "{engine}: nothing is left");
    assert!(
        content_of(&bench.url).await == bench.wanted(&options.range),
        "{engine}"
    );

    let store = stead::open(&bench.url).await.unwrap();
    assert_eq!(store.stats().await.unwrap().lineage, lineage);
    for stale in [read, bench.revision] {
        let write = WriteBatch::new()
            .expect(key("agent:1", 300), Expect::At(stale))
            .put(key("agent:1", 300), "stale");
        assert!(!store.apply(write).await.unwrap().is_committed(), "{engine}");
    }
    let entry = store.get(&key("agent:1", 300)).await.unwrap().unwrap();
    assert!(
        entry.revision().get() > bench.revision.get() + (1 << 31),
        "{engine}"
    );
    // The next backup goes on in the same repository: it is a full one, and says why.
    let manager = BackupManager::new(bench.repository.clone(), Arc::clone(&store));
    let backup = manager
        .create(&CreateOptions::new(BackupType::IncrementalFromNewest))
        .await;
    assert!(backup.is_ok(), "{engine}: {backup:?}");
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fits_into_a_batch_is_one() {
    for engine in ENGINES {
        let bench = Bench::new(engine, 2000).await;
        let mut options = replacing();
        options.range = KeyRange::partition(&partition("agent:0"));
        let report = bench.restore(&options).await.unwrap();
        assert_eq!(report.way, RestoreWay::Batch, "{engine}");
        assert!(
            content_of(&bench.url).await == bench.wanted(&options.range),
            "{engine}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_store_is_kept_where_that_was_asked_for() {
    let bench = Bench::new("redb", ENOUGH).await;
    let mut options = replacing();
    options.keep_previous = true;
    let report = bench.restore(&options).await.unwrap();
    let previous = bench.store_path().join("PREVIOUS");
    assert_eq!(report.previous.as_ref(), Some(&previous));
    assert!(content_of(&format!("redb:{}", previous.display())).await == bench.now);
    assert!(content_of(&bench.url).await == bench.then);
}

#[tokio::test(flavor = "multi_thread")]
async fn store_without_a_directory_is_refused_and_its_difference_counted() {
    let bench = Bench::new("redb", ENOUGH).await;
    let memory = stead::open("memory:").await.unwrap();
    write(&*memory, "agent:1", 0..ENOUGH, "other").await;
    let before = content(&*memory, KeyRange::all()).await;
    let mut options = replacing();
    let refusal = bench
        .repository
        .restore(&memory, &options, &SystemClock)
        .await
        .unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::Unsupported, "{refusal}");
    assert!(refusal.to_string().contains("into an empty store"), "{refusal}");
    options.dry_run = true;
    let report = bench
        .repository
        .restore(&memory, &options, &SystemClock)
        .await
        .unwrap();
    assert_eq!(report.way, RestoreWay::Impossible);
    assert_eq!(
        (report.changed, report.added, report.removed),
        (ENOUGH as u64, 1000, 0)
    );
    assert!(content(&*memory, KeyRange::all()).await == before);
}

/// Does something when the second store was made.
struct Disturbed<F> {
    staging: stead_embedded::Staging<RedbConfig>,
    disturb: F,
}

impl<F: FnMut(&Arc<dyn Backend>) + Send + 'static> Staging for Disturbed<F> {
    fn live(&mut self) -> Reply<'_, Arc<dyn Backend>> {
        Reply::ready(Arc::clone(self.staging.live()) as Arc<dyn Backend>)
    }

    fn stage(&mut self) -> Reply<'_, Arc<dyn Backend>> {
        Reply::pending(async {
            let staged: Arc<dyn Backend> = self.staging.stage(Previous::Remove).await?;
            (self.disturb)(&staged);
            Ok(staged)
        })
    }

    fn switch(self: Box<Self>) -> Reply<'static, Option<PathBuf>> {
        Reply::pending(self.staging.switch())
    }
}

impl Bench {
    async fn restore_disturbed(
        &self,
        options: &RestoreOptions,
        disturb: impl FnMut(&Arc<dyn Backend>) + Send + 'static,
    ) -> Result<RestoreReport> {
        let staging = stead_embedded::Staging::open(self.url.parse().unwrap())
            .await
            .unwrap();
        let staging = Box::new(Disturbed { staging, disturb });
        self.repository
            .restore_staged(staging, options, &SystemClock)
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repository_that_is_damaged_while_it_is_read_leaves_the_live_store() {
    let bench = Bench::new("redb", ENOUGH).await;
    let files = names(&bench.store_path());
    let chunks = bench.dir.path().join("backups").join("chunks");
    let restored = bench
        .restore_disturbed(&replacing(), move |_| {
            // The newest ones were read into caches; so all of them go.
            std::fs::remove_dir_all(&chunks).unwrap();
        })
        .await;
    let error = restored.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(names(&bench.store_path()), files);
    assert!(content_of(&bench.url).await == bench.now);
}

#[tokio::test(flavor = "multi_thread")]
async fn staged_store_that_somebody_writes_to_is_not_switched_to() {
    let bench = Bench::new("redb", ENOUGH).await;
    let files = names(&bench.store_path());
    for (partition, ranges) in [
        ("agent:1", KeyRange::all()),
        ("agent:9", KeyRange::partition(&partition("agent:1"))),
    ] {
        let mut options = replacing();
        options.range = ranges;
        let stray = key(partition, 999_999);
        let restored = bench
            .restore_disturbed(&options, move |staged| {
                let write = staged.put(stray.clone(), "stray");
                futures_executor::block_on(write).unwrap();
            })
            .await;
        let error = restored.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!(names(&bench.store_path()), files);
        assert!(content_of(&bench.url).await == bench.now);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_opens_a_store_that_is_being_restored() {
    let bench = Bench::new("redb", ENOUGH).await;
    let url = bench.url.clone();
    let report = bench
        .restore_disturbed(&replacing(), move |_| {
            let error = futures_executor::block_on(stead::open(&url))
                .map(drop)
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        })
        .await
        .unwrap();
    assert_eq!(report.way, RestoreWay::Switch);
    assert!(content_of(&bench.url).await == bench.then);
}

/// What is foretold is what happens, also where it cannot.
#[tokio::test(flavor = "multi_thread")]
async fn what_lies_where_a_restore_needs_its_place_is_told_and_left_alone() {
    let bench = Bench::new("redb", ENOUGH).await;
    let url = format!("redb:{}", bench.store_path().join("RESTORING").display());
    let store = stead::open(&url).await.unwrap();
    write(&*store, "mine", 0..10, "kept").await;
    let mut options = replacing();
    for dry_run in [true, false] {
        options.dry_run = dry_run;
        let error = bench.restore(&options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    assert_eq!(content(&*store, KeyRange::all()).await.len(), 10);
    store.close().await.unwrap();

    options.keep_previous = true;
    std::fs::create_dir(bench.store_path().join("PREVIOUS")).unwrap();
    for dry_run in [true, false] {
        options.dry_run = dry_run;
        let error = bench.restore(&options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert!(content_of(&bench.url).await == bench.now);
}

/// What is restored is the newest that is whole, whichever way the store is restored.
#[tokio::test(flavor = "multi_thread")]
async fn older_backup_is_restored_where_the_newest_is_damaged() {
    for (entries, way) in [(2000, RestoreWay::Batch), (ENOUGH, RestoreWay::Switch)] {
        let bench = Bench::new("redb", entries).await;
        let chunks = bench.dir.path().join("backups").join("chunks");
        let older = files(&chunks);
        let store = stead::open(&bench.url).await.unwrap();
        let manager = BackupManager::new(bench.repository.clone(), Arc::clone(&store));
        let newest = manager.create_backup(BackupType::Full).await.unwrap();
        store.close().await.unwrap();
        let damaged = files(&chunks).into_iter().find(|chunk| !older.contains(chunk));
        std::fs::remove_file(damaged.unwrap()).unwrap();

        let error = bench.restore(&replacing()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(content_of(&bench.url).await == bench.now);
        let restored = stead::restore_latest(&bench.url, &bench.repository, &replacing(), &SystemClock).await;
        let report = restored.unwrap();
        let passed_over: Vec<_> = report.passed_over.iter().map(|one| one.backup).collect();
        assert_eq!(passed_over, [newest]);
        assert!(report.log_damage.is_none());
        assert_eq!(report.restored.way, way);
        assert!(content_of(&bench.url).await == bench.then);
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let below = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    below
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

/// Keys that end in an odd digit, in all partitions.
fn is_odd(key: &Key) -> bool {
    key.as_bytes().last().is_some_and(|last| last % 2 == 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_a_filter_picks_are_restored_and_no_others() {
    for engine in ENGINES {
        for (entries, way) in [(2000, RestoreWay::Batch), (MANY, RestoreWay::Switch)] {
            let bench = Bench::new(engine, entries).await;
            let mut options = replacing();
            options.filter = Some(KeyFilter::new(is_odd));
            options.dry_run = true;
            let foretold = bench.restore(&options).await.unwrap();
            options.dry_run = false;
            let report = bench.restore(&options).await.unwrap();
            assert_eq!((foretold.way, report.way), (way, way), "{engine}");
            assert_eq!(
                (foretold.entries, foretold.removed),
                (report.entries, report.removed),
                "{engine}"
            );
            assert_eq!(report.entries, (entries as u64 + 1000) / 2, "{engine}");
            assert!(
                content_of(&bench.url).await == bench.wanted_of(is_odd),
                "{engine}"
            );
        }
        let bench = Bench::new(engine, 2000).await;
        let url = format!("{engine}:{}", bench.dir.path().join("new").display());
        let mut options = RestoreOptions::new(RestorePoint::Latest);
        options.filter = Some(KeyFilter::new(is_odd));
        let report = stead::restore(&url, &bench.repository, &options, &SystemClock).await;
        assert_eq!(report.unwrap().way, RestoreWay::Fill, "{engine}");
        let mut wanted = bench.then.clone();
        wanted.retain(|key, _| is_odd(key));
        assert!(content_of(&url).await == wanted, "{engine}");
    }
}

/// The first chunk of records gets another byte.
fn damage(repository: &Path) {
    let mut folders = vec![repository.join("chunks")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut bytes = std::fs::read(&path).unwrap();
            if bytes[5] == 1 {
                *bytes.last_mut().unwrap() ^= 1;
                std::fs::write(&path, bytes).unwrap();
                return;
            }
        }
    }
    panic!("there is no chunk of records");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_backup_makes_no_store() {
    for engine in ENGINES {
        let bench = Bench::new(engine, 1000).await;
        let place = bench.dir.path().join("above").join("new");
        let url = format!("{engine}:{}", place.display());
        let mut options = RestoreOptions::new(RestorePoint::Latest);
        options.dry_run = true;
        let error = stead::restore(&url, &bench.repository, &options, &SystemClock).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid, "{engine}");
        options.dry_run = false;
        let misspelt = stead::restore(
            &format!("{url}?cahce=1"),
            &bench.repository,
            &options,
            &SystemClock,
        )
        .await;
        assert_eq!(misspelt.unwrap_err().kind(), ErrorKind::Invalid, "{engine}");

        damage(&bench.dir.path().join("backups"));
        let error = stead::restore(&url, &bench.repository, &options, &SystemClock).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Corrupt, "{engine}");
        let error = stead::restore_latest(&url, &bench.repository, &options, &SystemClock).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Corrupt, "{engine}");
        assert!(!bench.dir.path().join("above").exists(), "{engine}");

        let store = stead::open(&bench.url).await.unwrap();
        let manager = BackupManager::new(bench.repository.clone(), Arc::clone(&store));
        manager.create_backup(BackupType::Full).await.unwrap();
        store.close().await.unwrap();
        let report = stead::restore(&url, &bench.repository, &options, &SystemClock).await;
        assert_eq!(report.unwrap().way, RestoreWay::Fill, "{engine}");
        assert!(content_of(&url).await == bench.now, "{engine}");
    }
}
