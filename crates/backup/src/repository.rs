//! The place where backups are kept.
//!
//! ```text
//! FORMAT                 what this is: written once
//! HEAD                   the newest record of the log that its writer knew
//! log/000000000042       one record for each thing that was done, chained by hashes; a backup is there once its record is
//! chunks/ab/<hash>       what backups hold
//! lock                   who writes, on object stores; in a directory, FORMAT is locked instead
//! ```

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};
use stead_core::{Clock, Error, Random, Result};

use crate::chunk::{self, ChunkRef, Kind};
use crate::hash::Hash;
use crate::location::{Location, Purpose, open_location, within_repository, within_store};
use crate::manifest::is_lineage;
use crate::spare::rounded;
use crate::task::{blocking, sized};
use crate::{error, sealed};

pub(crate) const FORMAT: &str = "FORMAT";
/// Where the folders of chunks are.
pub(crate) const CHUNKS: &str = "chunks";
const NAME: &str = "stead-backup";
const HASH: &str = "sha256";
const COMPRESSION: &str = "zstd";
/// The newest version of the format, which is written; older ones are read.
const VERSION: u32 = 1;

/// A repository of backups: a directory, or a place in an object store.
///
/// Cheap to clone; clones are the same repository.
#[derive(Clone)]
pub struct Repository(Arc<Inner>);

struct Inner {
    location: Location,
    id: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Format {
    format: String,
    version: u32,
    repository: String,
    created_ms: u64,
    hash: String,
    compression: String,
}

/// As much of `FORMAT` as every version has.
#[derive(Deserialize)]
struct AnyFormat {
    format: String,
    version: u32,
}

impl Repository {
    /// Makes a repository at `url`, where there is nothing yet.
    ///
    /// # Errors
    ///
    /// - `Invalid` for a malformed URL, a place that holds something or lies within another repository, and a file where a
    ///   directory is wanted;
    /// - `Unsupported` for a scheme whose feature is not compiled in;
    /// - else what the place reports, with its name.
    pub async fn init(url: &str, clock: &dyn Clock, random: &dyn Random) -> Result<Self> {
        let location = open_location(url, Purpose::Make).await?;
        Self::init_at(location, clock, random)
            .await
            .map_err(|error| error.during("init"))
    }

    /// As [`init`](Repository::init), at a place that was opened: in any object store.
    ///
    /// # Errors
    ///
    /// As [`init`](Repository::init).
    pub async fn init_at(location: Location, clock: &dyn Clock, random: &dyn Random) -> Result<Self> {
        let id = format!("{:032x}", random.next_u128());
        if let Some(around) = location.within(FORMAT).await {
            return Err(within_repository(&location.name(), &around));
        }
        if let Some(store) = location.within_store() {
            return Err(within_store(&location.name(), &store));
        }
        let repository = Repository(Arc::new(Inner {
            location,
            id: id.clone(),
        }));
        if let Some(found) = repository.list("").await?.first() {
            let message = match repository.read_format().await {
                Ok(Some(_)) => "there is a repository here already",
                _ => "the place holds something else; name an empty one for the repository",
            };
            return Err(Error::invalid(message)
                .with("repository", repository.name())
                .with("found", &found.location));
        }
        let (bytes, _) = sealed::encode(&Format {
            format: NAME.to_owned(),
            version: VERSION,
            repository: id,
            created_ms: clock.now().as_millis(),
            hash: HASH.to_owned(),
            compression: COMPRESSION.to_owned(),
        })?;
        match repository.put_new(FORMAT, bytes).await? {
            true => Ok(repository),
            false => Err(
                Error::conflict("somebody else made a repository here at the same time; open it")
                    .with("repository", repository.name()),
            ),
        }
    }

    /// Opens the repository at `url`.
    ///
    /// # Errors
    ///
    /// - `Invalid` where there is none;
    /// - `Corrupt` for one that is damaged or of a newer version;
    /// - else as [`init`](Repository::init).
    pub async fn open(url: &str) -> Result<Self> {
        let location = open_location(url, Purpose::Find).await?;
        Self::open_at(location)
            .await
            .map_err(|error| error.during("open"))
    }

    /// As [`open`](Repository::open), at a place that was opened: in any object store.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use std::sync::Arc;
    ///
    /// use object_store::memory::InMemory;
    /// use stead_backup::{Location, Repository};
    /// use stead_core::{SystemClock, SystemRandom};
    ///
    /// let location = Location::new(Arc::new(InMemory::new()), "repo".into(), "a repository in memory");
    /// let made = Repository::init_at(location.clone(), &SystemClock, &SystemRandom).await?;
    /// let found = Repository::open_at(location).await?;
    /// assert_eq!(found.id(), made.id());
    /// # Ok::<(), stead_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`open`](Repository::open).
    pub async fn open_at(location: Location) -> Result<Self> {
        let mut repository = Inner {
            location,
            id: String::new(),
        };
        let opened = Repository(Arc::new(repository));
        let Some(format) = opened.read_format().await? else {
            return Err(
                Error::invalid("there is no repository here; make one with `init`, or name another")
                    .with("repository", opened.name()),
            );
        };
        repository = Inner {
            location: opened.0.location.clone(),
            id: format.repository,
        };
        Ok(Repository(Arc::new(repository)))
    }

    async fn read_format(&self) -> Result<Option<Format>> {
        let Some(bytes) = self.get_small(FORMAT).await? else {
            return Ok(None);
        };
        let decoded = sealed::decode::<Format>(&bytes);
        // A newer version may have what this one does not know.
        let any = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.split_once('\n'));
        let any = any.and_then(|(json, _)| serde_json::from_str::<AnyFormat>(json).ok());
        if let Some(any) = any
            && any.format == NAME
            && any.version > VERSION
        {
            return Err(
                Error::corrupt("the repository was made by a newer version; use that one")
                    .with("repository", self.name())
                    .with("version", any.version)
                    .with("supported", VERSION),
            );
        }
        let at = |error: Error| error.with("repository", self.name()).with("file", FORMAT);
        let (format, _) = decoded.map_err(at)?;
        let known = format.format == NAME
            && format.version == VERSION
            && is_lineage(&format.repository)
            && format.hash == HASH
            && format.compression == COMPRESSION;
        if !known {
            return Err(at(Error::corrupt("this is no repository of backups")));
        }
        Ok(Some(format))
    }

    /// Where it is, without secrets.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.location.name()
    }

    /// 32 hexadecimal digits that no other repository has.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The file to lock, in a directory.
    pub(crate) fn local_lock(&self) -> Option<PathBuf> {
        self.0.location.local().map(|directory| directory.join(FORMAT))
    }

    pub(crate) fn location(&self) -> &Location {
        &self.0.location
    }

    pub(crate) fn objects(&self) -> &Arc<dyn ObjectStore> {
        self.0.location.store()
    }

    pub(crate) fn path(&self, name: &str) -> Path {
        self.0.location.object(name)
    }

    /// Writes an object that is not there yet, durably. `false` if it is.
    pub(crate) async fn put_new(&self, name: &str, bytes: Bytes) -> Result<bool> {
        let (path, options) = (self.path(name), PutOptions::from(PutMode::Create));
        match self
            .objects()
            .put_opts(&path, PutPayload::from(bytes), options)
            .await
        {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(cause) => Err(self.failed(cause)),
        }
    }

    /// Writes an object, durably, whatever was there.
    pub(crate) async fn put(&self, name: &str, bytes: Bytes) -> Result<()> {
        let path = self.path(name);
        let put = self.objects().put(&path, PutPayload::from(bytes)).await;
        put.map(drop).map_err(|cause| self.failed(cause))
    }

    /// A sealed object, unless there is none.
    pub(crate) async fn get_small(&self, name: &str) -> Result<Option<Bytes>> {
        self.get(name, sealed::MAX_BYTES as u64).await
    }

    /// An object of at most so many bytes, unless there is none.
    async fn get(&self, name: &str, most: u64) -> Result<Option<Bytes>> {
        if let Some(root) = self.0.location.local() {
            // At once: the object store hands a file to another thread and back, and then again for its bytes.
            let (path, name) = (root.join(name), name.to_owned());
            return blocking(move || read_file(&path, &name, most)).await;
        }
        let found = match self.objects().get(&self.path(name)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(cause) => return Err(self.failed(cause)),
        };
        if found.meta.size > most {
            return Err(too_long(found.meta.location.as_ref(), found.meta.size, most));
        }
        found.bytes().await.map(Some).map_err(|cause| self.failed(cause))
    }

    /// Everything whose name begins with the folder `folder`, in no order.
    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<ObjectMeta>> {
        let listed = self.objects().list(Some(&self.path(folder)));
        listed.try_collect().await.map_err(|cause| self.failed(cause))
    }

    /// Removes an object; one that is gone is fine.
    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        match self.objects().delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(cause) => Err(self.failed(cause)),
        }
    }

    /// The length of an object, unless there is none.
    pub(crate) async fn size_of(&self, name: &str) -> Result<Option<u64>> {
        match self.objects().head(&self.path(name)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(cause) => Err(self.failed(cause)),
        }
    }

    /// Whether there is a file of these bytes. Only in a directory.
    pub(crate) fn holds_file(&self, name: &str, bytes: &Bytes) -> Result<bool> {
        let Some(path) = self.0.location.local().map(|root| root.join(name)) else {
            return Ok(false);
        };
        let found = std::fs::metadata(&path).and_then(|found| {
            match found.is_file() && found.len() == bytes.len() as u64 {
                true => std::fs::read(&path).map(|found| found == *bytes),
                false => Ok(false),
            }
        });
        match found {
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(false),
            found => found.map_err(|cause| error::file(cause, &path)),
        }
    }

    /// That the directory of the repository is there still. Of a bucket nothing is asked.
    pub(crate) fn check_directory(&self) -> Result<()> {
        match self.local_lock() {
            Some(path) if !path.exists() => Err(self.gone()),
            _ => Ok(()),
        }
    }

    /// That the repository is there still, and the same.
    ///
    /// # Errors
    ///
    /// `Invalid` where it is not; else what the place reports.
    pub(crate) async fn check_there(&self) -> Result<()> {
        match self.read_format().await? {
            Some(format) if format.repository == self.0.id => Ok(()),
            _ => Err(self.gone()),
        }
    }

    fn gone(&self) -> Error {
        Error::invalid(
            "the repository is not there any more: it was removed, or replaced by another, meanwhile",
        )
        .with("repository", self.name())
    }

    /// The content of a chunk, compared with its name.
    ///
    /// # Errors
    ///
    /// `Corrupt` where it is missing or is not what it was.
    pub(crate) async fn get_chunk(&self, named: &ChunkRef, kind: Kind) -> Result<Bytes> {
        let bytes = self.chunk_bytes(named).await?;
        let named = *named;
        sized(named.content as usize, move || {
            chunk::decode(&named, kind, &bytes)
        })
        .await
    }

    /// The chunk as it is stored.
    pub(crate) async fn chunk_bytes(&self, named: &ChunkRef) -> Result<Bytes> {
        let found = self.get(&chunk_name(&named.id), chunk::MAX_BYTES as u64).await?;
        found.ok_or_else(|| missing(&named.id))
    }

    /// The same on the caller's thread, into a buffer that is empty. Only in a directory.
    pub(crate) fn chunk_file(&self, named: &ChunkRef, bytes: &mut Vec<u8>) -> Result<()> {
        let Some(path) = self
            .0
            .location
            .local()
            .map(|root| root.join(chunk_name(&named.id)))
        else {
            return Err(Error::internal("the repository is no directory"));
        };
        // Of what is longer than it is named, a byte more is read, so that it is found to be.
        let most = u64::from(named.stored).min(chunk::MAX_BYTES as u64) + 1;
        let read = open_file(&path).and_then(|file| {
            let length = usize::try_from(file.metadata()?.len().min(most)).unwrap_or(0);
            bytes.reserve_exact(rounded(length + 1));
            file.take(most).read_to_end(bytes)
        });
        match read {
            Ok(_) => Ok(()),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Err(missing(&named.id)),
            Err(cause) => Err(error::file(cause, &path)),
        }
    }

    /// A chunk that no backup names, as it is stored, unless it is gone.
    pub(crate) async fn unused_bytes(&self, id: &Hash) -> Result<Option<Bytes>> {
        self.get(&chunk_name(id), chunk::MAX_BYTES as u64).await
    }

    fn failed(&self, cause: object_store::Error) -> Error {
        error::object(cause).with("repository", self.name())
    }
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

/// Opens a file of a repository. What is none is not there: a folder cannot be read, and a pipe would be waited for.
fn open_file(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    if std::fs::metadata(path)?.is_file() {
        std::fs::File::open(path)
    } else {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// The bytes of a file of a repository, unless there is none.
fn read_file(path: &std::path::Path, name: &str, most: u64) -> Result<Option<Bytes>> {
    let failed = |cause| error::file(cause, path);
    let file = match open_file(path) {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let found = file.metadata().map_err(failed)?;
    if found.len() > most {
        return Err(too_long(name, found.len(), most));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0) + 1);
    // What is added to it meanwhile is not waited for.
    file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes.into()))
}

fn too_long(name: &str, size: u64, most: u64) -> Error {
    Error::corrupt("an object of the repository is longer than it can be")
        .with("object", name)
        .with("size_bytes", size)
        .with("limit_bytes", most)
}

fn missing(id: &Hash) -> Error {
    Error::corrupt("a chunk is missing from the repository").with("chunk", id)
}

/// Where a chunk is: in one of 256 folders.
pub(crate) fn chunk_name(id: &Hash) -> String {
    format!("{}/{id}", chunk_folder(id))
}

pub(crate) fn chunk_folder(id: &Hash) -> String {
    format!("{CHUNKS}/{:02x}", id.as_bytes()[0])
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_format(bytes: &[u8]) {
    let _ = sealed::decode::<Format>(bytes);
}
