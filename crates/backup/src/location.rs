//! Where a repository lies: from its URL to an object store.

mod around;
#[cfg(any(feature = "s3", feature = "azure", feature = "gcs"))]
mod bucket;
mod directory;
mod providers;
#[cfg(test)]
#[cfg(feature = "s3")]
mod s3_tests;
mod staged;
#[cfg(any(feature = "s3", feature = "azure", feature = "gcs"))]
mod transport;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use stead_core::{Error, Result, StoreUrl, nearest};

use crate::error;
use crate::task::blocking;

pub use around::repository_around;
use around::{MARK, store_around};
pub(crate) use around::{within_repository, within_store};
pub use directory::Leftovers;
pub(crate) use staged::Staged;

/// The schemes that a repository's URL may have, each with the feature that compiles it in.
const SCHEMES: &[(&str, &str)] = &[("file", ""), ("s3", "s3"), ("azure", "azure"), ("gs", "gcs")];

/// Folders that are synced at a time.
const SYNCED_AT_A_TIME: usize = 4;

/// Whether a repository is to be made at a place or is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A directory that is missing is made, with its parents, and is durable before the answer.
    Make,
    /// A directory that is missing is an error, and nothing is written.
    Find,
}

/// An object store, and where in it a repository lies.
///
/// [`open_location`] makes one from a URL; [`Location::new`] takes any object store.
#[derive(Clone)]
pub struct Location {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) root: Path,
    pub(crate) name: String,
    pub(crate) local: Option<PathBuf>,
}

impl Location {
    /// The objects of `store` below `root`. `name` stands for the place in messages and must hold no secret.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use object_store::memory::InMemory;
    /// use stead_backup::Location;
    ///
    /// let location = Location::new(Arc::new(InMemory::new()), "repo".into(), "a repository of this test");
    /// assert_eq!(location.object("backups/1").as_ref(), "repo/backups/1");
    /// ```
    pub fn new(store: Arc<dyn ObjectStore>, root: Path, name: impl Into<String>) -> Self {
        Location {
            store,
            root,
            name: name.into(),
            local: None,
        }
    }

    /// The object store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// What the names of all objects of the repository begin with. Empty for a directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The place for messages: the directory, or the URL without its options.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory, where it is one of this machine.
    #[must_use]
    pub fn local(&self) -> Option<&std::path::Path> {
        self.local.as_deref()
    }

    /// The name in the object store of an object of the repository. `relative` is a name of the repository's own making.
    #[must_use]
    pub fn object(&self, relative: &str) -> Path {
        self.root.parts().chain(Path::from(relative).parts()).collect()
    }

    /// The nearest place above this one that holds an object `name` which begins as a sealed one of a repository does: what
    /// can be told with the rights that there are.
    pub(crate) async fn within(&self, name: &str) -> Option<String> {
        if let Some(local) = &self.local {
            let found = repository_around(local.parent()?);
            return found.map(|folder| folder.display().to_string());
        }
        let parts: Vec<_> = self.root.parts().collect();
        for length in (0..parts.len()).rev() {
            let folder: Path = parts[..length].iter().cloned().collect();
            let file: Path = parts[..length]
                .iter()
                .cloned()
                .chain(Path::from(name).parts())
                .collect();
            let mark = self.store.get_range(&file, 0..MARK.len() as u64).await;
            if mark.is_ok_and(|bytes| bytes[..] == MARK[..]) {
                return Some(folder.to_string());
            }
        }
        None
    }

    /// The nearest directory that this one is, or lies in, and that a store is in.
    pub(crate) fn within_store(&self) -> Option<PathBuf> {
        store_around(self.local.as_deref()?)
    }

    /// Makes the names in a folder of the repository, and the names of the folders above it, durable.
    ///
    /// A write is durable when it returns, with one gap: where another writer made a folder a moment ago, and has not
    /// made that durable yet or was killed before, the new file's folder may be lost with the power. Call this on the
    /// folders that were written to before what names their files is published. Object stores have no such gap, and
    /// nothing happens.
    ///
    /// # Errors
    ///
    /// `Denied`, `Full` or `Unavailable` when a folder cannot be synced. A folder that is missing is no error.
    pub async fn sync_folder(&self, relative: &str) -> Result<()> {
        let Some(local) = self.local.clone() else {
            return Ok(());
        };
        let parts: Vec<String> = Path::from(relative)
            .parts()
            .map(|part| part.as_ref().to_owned())
            .collect();
        blocking(move || directory::sync_folders(&local, &parts)).await
    }

    /// Writes an object of a directory, on the caller's thread: durable but for its name, which
    /// [`sync_folders`](Location::sync_folders) makes so. Whether there was none; nothing where this is no directory.
    pub(crate) fn put_local(&self, folder: &str, name: &str, bytes: &[u8]) -> Option<Result<bool>> {
        let local = self.local.as_ref()?;
        Some(directory::put(local, folder, name, bytes))
    }

    /// Writes an object of a directory that gets its name later, on the caller's thread; nothing where this is none.
    pub(crate) fn stage_local(&self, folder: &str, name: &str, bytes: &[u8]) -> Option<Result<Staged>> {
        let local = self.local.as_ref()?;
        let staged = Staged::write(local, folder, name, bytes);
        Some(staged.map_err(|error| error::file(error, &local.join(folder).join(name))))
    }

    /// Makes the names in these folders durable, several at a time: what a file system writes for one serves the others.
    ///
    /// # Errors
    ///
    /// As [`sync_folder`](Location::sync_folder), and a folder that is missing is one.
    pub(crate) async fn sync_folders(&self, folders: BTreeSet<String>) -> Result<()> {
        let Some(local) = &self.local else {
            return Ok(());
        };
        let mut parts = vec![Vec::new(); SYNCED_AT_A_TIME.min(folders.len())];
        for (index, folder) in folders.into_iter().enumerate() {
            parts[index % SYNCED_AT_A_TIME].push(local.join(folder));
        }
        let synced = parts
            .into_iter()
            .map(|part| blocking(move || directory::sync_all(&part)));
        futures_util::future::try_join_all(synced).await.map(drop)
    }

    /// Removes what writes that were killed left behind in a directory: files whose name ends in `#` and a number, which
    /// no listing shows. Those last written within `age` are kept, because their writers may still be at work.
    /// Nothing happens on object stores.
    ///
    /// # Errors
    ///
    /// `Denied` or `Unavailable` when the directory cannot be listed or a file not be removed.
    pub async fn remove_leftovers(
        &self,
        now: stead_core::Timestamp,
        age: std::time::Duration,
    ) -> Result<Leftovers> {
        let Some(local) = self.local.clone() else {
            return Ok(Leftovers::default());
        };
        blocking(move || directory::remove_leftovers(&local, now, age)).await
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The store may show its settings.
        f.debug_struct("Location")
            .field("name", &self.name)
            .field("root", &self.root.as_ref())
            .finish_non_exhaustive()
    }
}

/// Opens the place of a repository.
///
/// | URL | place |
/// |---|---|
/// | `/var/backups/app`, `./app`, `file:///var/backups/app` | a directory |
/// | `s3://bucket/prefix` | S3, or what speaks like it (feature `s3`) |
/// | `azure://container/prefix` | Azure Blob Storage (feature `azure`) |
/// | `gs://bucket/prefix` | Google Cloud Storage (feature `gcs`) |
///
/// A path is taken as it is; in a URL a `%` and two hexadecimal digits stand for a byte. The options of the three:
///
/// | option | of | what it sets |
/// |---|---|---|
/// | `region` | `s3` | the region; that of the environment, else `us-east-1` |
/// | `account` | `azure` | the storage account |
/// | `endpoint` | all | another server, as in `endpoint=https://minio.internal:9000` |
/// | `allow_http` | all | `true` speaks without TLS |
/// | `virtual_hosted` | `s3` | `true` where `endpoint` names the bucket in its host |
/// | `timeout` | all | how long one request may take, `30s` unless set |
/// | `retry` | all | how long a request is repeated that failed, `60s` unless set; `0s` never repeats |
///
/// Credentials come from the environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` or a role
/// (`AWS_WEB_IDENTITY_TOKEN_FILE`, container and instance roles); `AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY`
/// and the others that begin with `AZURE_`; `GOOGLE_APPLICATION_CREDENTIALS` and the others that begin with `GOOGLE_`. Files
/// of profiles are not read. A URL that holds credentials is refused. Proxies are those of `HTTPS_PROXY` and `NO_PROXY`;
/// certificates are judged by the system's authorities, or by those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
///
/// Without credentials in the environment the role of the machine is asked for, which takes as long as `retry` says where
/// there is none. A bucket must be there; it is asked for nothing before the repository is. A bucket needs a tokio runtime; what blocks
/// on a directory runs on tokio's blocking threads, and on the caller's where there is no tokio.
///
/// ```
/// use stead_backup::{Purpose, open_location};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let directory = tempfile::tempdir().unwrap();
/// let path = directory.path().join("backups");
/// let url = path.to_str().unwrap();
/// assert!(open_location(url, Purpose::Find).await.is_err());
/// let location = open_location(url, Purpose::Make).await?;
/// assert!(location.local().unwrap().is_dir());
/// # Ok::<(), stead_core::Error>(())
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// - `Invalid` for a malformed URL, an unknown scheme or option, credentials in the URL, a path that is no directory or
///   (with [`Purpose::Find`]) missing;
/// - `Unsupported` for a scheme whose feature is not compiled in;
/// - `Denied`, `Full` or `Unavailable` when the directory cannot be made or looked at.
pub async fn open_location(url: &str, purpose: Purpose) -> Result<Location> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    open_location_with(url, purpose, variables).await
}

/// As [`open_location`], with `variables` in the place of the environment's: for credentials that come from a vault.
///
/// # Errors
///
/// As [`open_location`].
pub async fn open_location_with(
    url: &str,
    purpose: Purpose,
    variables: Vec<(String, String)>,
) -> Result<Location> {
    match scheme(url)? {
        "" => directory::open(PathBuf::from(url), purpose).await,
        "file" => directory::open(directory::path_of(url.parse()?)?, purpose).await,
        scheme => providers::open(scheme, &url.parse::<StoreUrl>()?, &variables),
    }
}

/// The scheme of `url`, or `""` when it is a path.
fn scheme(url: &str) -> Result<&'static str> {
    let Some((scheme, _)) = url.split_once(':') else {
        return Ok("");
    };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme {
        return Ok("");
    }
    if let Some((known, _)) = SCHEMES.iter().find(|(known, _)| *known == scheme) {
        return Ok(known);
    }
    let names = SCHEMES.iter().map(|(name, _)| *name);
    let error =
        Error::invalid("no repository has a URL of this scheme; write ./ before a path that holds a colon")
            .with("scheme", scheme);
    let error = match nearest(&scheme.to_ascii_lowercase(), names.clone()) {
        Some(near) => error.with("did_you_mean", near),
        None => error,
    };
    Err(error.with("known_schemes", names.collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use stead_core::ErrorKind;

    use super::*;

    #[test]
    fn paths_are_told_from_urls() {
        for path in ["/a/b", "a", "./a:b", "a/b:c", "ä:b", "1:b", ".", ""] {
            assert_eq!(scheme(path).unwrap(), "", "{path}");
        }
        for (url, expected) in [("s3://b", "s3"), ("file:/a", "file"), ("gs://b/c", "gs")] {
            assert_eq!(scheme(url).unwrap(), expected);
        }
    }

    #[test]
    fn an_unknown_scheme_is_refused_by_name() {
        let error = scheme("S3://bucket").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(
            error
                .to_string()
                .contains("scheme=S3 did_you_mean=s3 known_schemes=file, s3, azure, gs"),
            "{error}"
        );
        assert!(scheme("https://host/bucket").is_err());
    }

    #[test]
    fn objects_lie_below_the_root() {
        let store = Arc::new(object_store::memory::InMemory::new());
        let inside = Location::new(Arc::clone(&store) as Arc<dyn ObjectStore>, "a/b".into(), "x");
        assert_eq!(inside.object("chunks/ab/cd").as_ref(), "a/b/chunks/ab/cd");
        let bare = Location::new(store, Path::default(), "x");
        assert_eq!(bare.object("FORMAT").as_ref(), "FORMAT");
        assert!(format!("{inside:?}").starts_with("Location { name: \"x\""));
    }
}
