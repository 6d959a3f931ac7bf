//! Repositories in memory, made piece by piece: of what this program writes, and of what it never would.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use stead_core::{
    Entry, Key, KeyRange, ManualClock, Partition, ReadExt as _, Revision, Scan, SeededRandom, Timestamp,
};
use stead_memory::{MemoryBackend, MemoryOptions};

use crate::chunk::{Chunk, ChunkRef, Kind};
use crate::hash::Hash;
use crate::index::{Child, Node};
use crate::location::Location;
use crate::log::{Action, Log};
use crate::manifest::{self, BackupCounts, BackupId, BackupKind, Manifest, Parent, Reach, Root, Source};
use crate::records::{self, LeafHash, Payload, Record, Shape};
use crate::repository::{Repository, chunk_name};
use crate::{RestoreOptions, RestorePoint, RestoreReport, VerifyOptions, VerifyReport};

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// What a store holds.
pub(super) type State = Vec<(Key, Vec<u8>, Option<Timestamp>)>;

pub(super) fn key(path: impl AsRef<[u8]>) -> Key {
    Key::new(&Partition::new("agent:1").unwrap(), path).unwrap()
}

pub(super) fn location(store: &Arc<InMemory>) -> Location {
    Location::new(
        Arc::clone(store) as Arc<dyn ObjectStore>,
        Path::default(),
        "a repository in memory",
    )
}

pub(super) fn backend(clock: &Arc<ManualClock>) -> Arc<dyn stead_core::Backend> {
    let never = std::time::Duration::from_secs(86_400 * 365);
    let options = MemoryOptions::default()
        .with_clock(clock.clone())
        .with_sweep_interval(never);
    Arc::new(MemoryBackend::new(options))
}

pub(super) async fn state(store: &dyn stead_core::Read) -> State {
    let items = store.collect(&Scan::new(KeyRange::all())).await.unwrap();
    let of = |entry: Entry| (entry.value().to_vec(), entry.deadline());
    let of = |item: stead_core::Item| {
        let (value, deadline) = of(item.entry.unwrap());
        (item.key, value, deadline)
    };
    items.into_iter().map(of).collect()
}

/// All objects, in the order of their names.
pub(super) async fn objects(store: &InMemory) -> Vec<(Path, Bytes)> {
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    let mut found = Vec::new();
    for meta in listed {
        let bytes = store.get(&meta.location).await.unwrap().bytes().await.unwrap();
        found.push((meta.location, bytes));
    }
    found.sort();
    found
}

pub(super) async fn verify(store: &Arc<InMemory>) -> stead_core::Result<VerifyReport> {
    let repository = Repository::open_at(location(store)).await?;
    repository.verify(&VerifyOptions::default()).await
}

pub(super) async fn restore(
    store: &Arc<InMemory>,
    point: RestorePoint,
    target: &Arc<dyn stead_core::Backend>,
    clock: &ManualClock,
) -> stead_core::Result<RestoreReport> {
    let repository = Repository::open_at(location(store)).await?;
    repository
        .restore(target, &RestoreOptions::new(point), clock)
        .await
}

/// A repository in which anything can be written.
pub(super) struct Craft {
    pub(super) store: Arc<InMemory>,
    pub(super) repository: Repository,
    pub(super) clock: Arc<ManualClock>,
}

impl Craft {
    pub(super) async fn new() -> Self {
        let store = Arc::new(InMemory::new());
        let clock = Arc::new(ManualClock::at(NOW));
        let repository = Repository::init_at(location(&store), &*clock, &SeededRandom::new(1))
            .await
            .unwrap();
        Craft {
            store,
            repository,
            clock,
        }
    }

    pub(super) async fn put(&self, name: &str, bytes: impl Into<Bytes>) {
        self.store
            .put(&Path::from(name), bytes.into().into())
            .await
            .unwrap();
    }

    /// Writes a chunk as its bytes are.
    pub(super) async fn object(&self, content: u32, bytes: Vec<u8>) -> ChunkRef {
        let id = Hash::of(&bytes);
        let stored = u32::try_from(bytes.len()).unwrap();
        self.put(&chunk_name(&id), bytes).await;
        ChunkRef { id, content, stored }
    }

    pub(super) async fn chunk(&self, kind: Kind, content: &[u8]) -> ChunkRef {
        let chunk = Chunk::encode(kind, content).unwrap();
        self.put(&chunk_name(&chunk.named.id), chunk.bytes).await;
        chunk.named
    }

    pub(super) async fn leaf(&self, records: &[Record], shape: Shape) -> Child {
        let mut content = Vec::new();
        records::encode(records, shape, &mut content);
        let mut digest = LeafHash::new();
        records.iter().for_each(|record| digest.add(record));
        Child {
            chunk: self.chunk(Kind::Records, &content).await,
            digest: digest.finish(),
            records: records.len() as u64,
            first: records.first().unwrap().key.clone(),
            last: records.last().unwrap().key.clone(),
        }
    }

    pub(super) async fn node(&self, level: u8, children: Vec<Child>) -> Root {
        let node = Node { level, children };
        Root {
            chunk: self.chunk(Kind::Index, &node.encode()).await,
            digest: node.digest(),
            level,
            records: node.records(),
        }
    }

    /// What a backup of `root` says, whose records are entries and whose chunks are `chunks`.
    pub(super) fn manifest(&self, sequence: u64, root: Root, chunks: &[ChunkRef], logical: u64) -> Manifest {
        Manifest {
            id: BackupId::new(sequence, 7),
            kind: BackupKind::Full,
            taken_ms: NOW.as_millis(),
            tags: Vec::new(),
            source: Source {
                backend: "memory".to_owned(),
                lineage: None,
            },
            parent: None,
            before: None,
            after: root.digest,
            from: None,
            upto: Reach::Store(1_000),
            history: Vec::new(),
            counts: BackupCounts {
                entries: root.records,
                logical_bytes: logical,
                stored_bytes: chunks.iter().map(|chunk| u64::from(chunk.stored)).sum(),
                chunks: chunks.len() as u64,
                ..BackupCounts::default()
            },
            root,
            forced: None,
        }
    }

    /// A full backup of these entries, in one chunk.
    pub(super) async fn full(&self, sequence: u64, records: &[Record]) -> Manifest {
        let leaf = self.leaf(records, Shape::Full).await;
        let chunks = leaf.chunk;
        let root = self.node(1, vec![leaf]).await;
        let chunks = [chunks, root.chunk];
        self.manifest(sequence, root, &chunks, logical(records))
    }

    /// `manifest` as an increment on `parent`.
    pub(super) fn on(manifest: Manifest, parent: &Manifest, record: Hash) -> Manifest {
        Manifest {
            kind: BackupKind::Incremental,
            parent: Some(Parent {
                id: parent.id,
                record,
            }),
            before: Some(parent.after),
            after: manifest::after(&parent.after, &manifest.root.digest),
            from: Some(parent.upto.clone()),
            ..manifest
        }
    }

    /// Adds a record to the log, whatever it says. Its hash.
    pub(super) async fn append(&self, action: Action) -> Hash {
        let mut log = Log::read(&self.repository).await.unwrap();
        let sequence = log.next_sequence();
        let previous = log.newest().map(|newest| newest.hash);
        let record = crate::log::LogRecord {
            repository: self.repository.id().to_owned(),
            sequence,
            previous,
            at_ms: NOW.as_millis(),
            action,
        };
        log.records.clear();
        self.write(sequence, &serde_json::to_string(&record).unwrap())
            .await
    }

    /// Writes a record of the log, and that it is the newest.
    pub(super) async fn write(&self, sequence: u64, json: &str) -> Hash {
        let hash = Hash::of(json.as_bytes());
        self.put(&format!("log/{sequence:012}"), sealed(json)).await;
        let head = format!(r#"{{"sequence":{sequence},"record":"{hash}"}}"#);
        self.put("HEAD", sealed(&head)).await;
        hash
    }

    pub(super) async fn backup(&self, manifest: Manifest) -> Hash {
        self.append(Action::Backup(Box::new(manifest))).await
    }

    pub(super) async fn verify(&self) -> stead_core::Result<VerifyReport> {
        verify(&self.store).await
    }

    /// That it is refused: by a verification, and by a restore, which has written nothing. The words of the two.
    pub(super) async fn is_refused(&self, what: &str) -> [stead_core::Error; 2] {
        let target = backend(&self.clock);
        let verified = self.verify().await;
        let restored = restore(&self.store, RestorePoint::Latest, &target, &self.clock).await;
        let verified = verified.expect_err(what);
        let restored = restored.expect_err(what);
        assert_eq!(target.stats().await.unwrap().commits, 0, "{what}");
        [verified, restored]
    }
}

pub(super) fn sealed(json: &str) -> Bytes {
    format!("{json}\n{}\n", Hash::of(json.as_bytes())).into()
}

pub(super) fn logical(records: &[Record]) -> u64 {
    records.iter().map(|record| record.logical_bytes() as u64).sum()
}

pub(super) fn record(path: &str, value: &[u8]) -> Record {
    Record {
        key: key(path),
        revision: Revision::new(1),
        first: Revision::new(1),
        deadline: None,
        payload: Payload::Value(Bytes::copy_from_slice(value)),
    }
}
