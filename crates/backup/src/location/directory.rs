//! Repositories in directories.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use object_store::local::LocalFileSystem;
use stead_core::{Error, Result, StoreUrl, Timestamp};

use super::around::check_before_making;
use super::staged::Staged;
use super::{Location, Purpose};
use crate::error;
use crate::task::blocking;

/// How deep below a repository leftovers are looked for. Its own files lie three folders deep.
const DEEPEST: usize = 8;

/// What writes that were killed left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftovers {
    /// How many files were removed.
    pub files: u64,
    /// How many bytes they held.
    pub bytes: u64,
}

/// The path that a URL of the scheme `file` names.
pub(super) fn path_of(url: StoreUrl) -> Result<PathBuf> {
    let place = url.place().to_owned();
    url.finish()?;
    let Some(behind) = place.strip_prefix("//") else {
        return Ok(PathBuf::from(place));
    };
    let (host, path) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
    if !host.is_empty() && host != "localhost" {
        return Err(Error::invalid(
            "a file URL names no other machine; write file:///path for a path of this one",
        ));
    }
    Ok(PathBuf::from(path))
}

/// Opens a directory as the root of a repository.
pub(super) async fn open(path: PathBuf, purpose: Purpose) -> Result<Location> {
    if path.as_os_str().is_empty() {
        return Err(Error::invalid(
            "the repository's place is empty; name a directory or a URL",
        ));
    }
    blocking(move || {
        let path = prepare(&path, purpose)?;
        let store = LocalFileSystem::new_with_prefix(&path).map_err(error::object)?;
        Ok(Location {
            // Each write syncs the file, renames it into place and syncs the folders that it is named in.
            store: Arc::new(store.with_fsync(true)),
            root: object_store::path::Path::default(),
            name: path.display().to_string(),
            local: Some(path),
        })
    })
    .await
}

/// The directory without symbolic links, made where it is missing and may be.
fn prepare(path: &Path, purpose: Purpose) -> Result<PathBuf> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && purpose == Purpose::Make => {
            check_before_making(path)?;
            make(path).map_err(|error| error::file(error, path))?;
            fs::metadata(path)
        }
        found => found,
    };
    match found {
        Ok(found) if found.is_dir() => fs::canonicalize(path).map_err(|error| error::file(error, path)),
        Ok(_) => Err(
            Error::invalid("the repository's path is not a directory; name a directory")
                .with("path", path.display()),
        ),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Err(Error::invalid(
            "there is no repository here; make one first, or look at the path",
        )
        .with("path", path.display())
        .because(cause)),
        Err(cause) => Err(error::file(cause, path)),
    }
}

/// Makes a directory and its parents, durably.
fn make(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let is_there = |path: &&Path| path.is_dir();
    let above = path.ancestors().find(is_there).unwrap_or(Path::new("/"));
    fs::create_dir_all(&path)?;
    for made in path.ancestors() {
        sync(made)?;
        if made == above {
            break;
        }
    }
    Ok(())
}

pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Syncs `root` and the folders below it along `parts`, the deepest first. Those that are missing are passed over.
pub(super) fn sync_folders(root: &Path, parts: &[String]) -> Result<()> {
    let deepest = root.join(parts.iter().collect::<PathBuf>());
    for folder in deepest.ancestors().take(parts.len() + 1) {
        match sync(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            synced => synced.map_err(|error| error::file(error, folder))?,
        }
    }
    Ok(())
}

/// Writes a file durably, or replaces one, in one of the folders below `root`, which is made where it is missing. Its name is
/// durable once [`sync_all`] was called on its folder. Whether there was none.
///
/// Its bytes are on the disk before it gets its name.
pub(super) fn put(root: &Path, folder: &str, name: &str, bytes: &[u8]) -> Result<bool> {
    let put = Staged::write(root, folder, name, bytes).and_then(|staged| {
        let exists = staged.path().try_exists()?;
        staged.rename().map(|()| !exists)
    });
    put.map_err(|error| error::file(error, &root.join(folder).join(name)))
}

/// Syncs folders, all of which are there.
pub(super) fn sync_all(folders: &[PathBuf]) -> Result<()> {
    let mut folders = folders.iter();
    folders.try_for_each(|folder| sync(folder).map_err(|error| error::file(error, folder)))
}

/// Removes the temporary files below `root` that were last written more than `age` before `now`.
pub(super) fn remove_leftovers(root: &Path, now: Timestamp, age: Duration) -> Result<Leftovers> {
    let mut removed = Leftovers::default();
    let mut waiting = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = waiting.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| error::file(error, &folder))?;
        for entry in entries {
            let entry = entry.map_err(|error| error::file(error, &folder))?;
            let path = entry.path();
            // Of the entry itself: symbolic links are not followed.
            let Some(found) = unless_gone(entry.metadata(), &path)? else {
                continue;
            };
            if found.is_dir() && depth < DEEPEST {
                waiting.push((path, depth + 1));
                continue;
            }
            let is_leftover = found.is_file() && is_temporary(&path) && is_older(&found, now, age);
            if is_leftover && unless_gone(fs::remove_file(&path), &path)?.is_some() {
                removed.files += 1;
                removed.bytes += found.len();
            }
        }
    }
    Ok(removed)
}

fn unless_gone<T>(result: io::Result<T>, path: &Path) -> Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some).map_err(|error| error::file(error, path)),
    }
}

/// Whether a file has a name that object_store gives to one that is still being written.
fn is_temporary(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str()?.rsplit_once('#'))
        .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// A file whose time cannot be told, or lies in the future, is not old.
fn is_older(found: &Metadata, now: Timestamp, age: Duration) -> bool {
    let now = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(now.as_millis()));
    let written = found.modified().ok();
    now.zip(written)
        .and_then(|(now, written)| now.duration_since(written).ok())
        .is_some_and(|past| past > age)
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;
    use object_store::path::Path as ObjectPath;
    use object_store::{ObjectStore, ObjectStoreExt, PutMode};
    use stead_core::{Clock, ErrorKind, SystemClock};

    use super::super::open_location;
    use super::*;

    #[tokio::test]
    async fn a_directory_is_made_only_when_asked_for() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/b c");
        let url = format!("file://{}", path.display()).replace(' ', "%20");
        let error = open_location(&url, Purpose::Find).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(
            error.to_string().starts_with("there is no repository here"),
            "{error}"
        );
        assert!(!path.parent().unwrap().exists());

        let made = open_location(&url, Purpose::Make).await.unwrap();
        assert!(path.is_dir());
        let found = open_location(path.to_str().unwrap(), Purpose::Find)
            .await
            .unwrap();
        assert_eq!(found.name(), made.name());
        assert_eq!(found.local(), Some(fs::canonicalize(&path).unwrap().as_path()));
    }

    #[tokio::test]
    async fn what_is_no_directory_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        fs::write(&file, "x").unwrap();
        let below = file.join("deeper");
        for purpose in [Purpose::Make, Purpose::Find] {
            for path in [&file, &below] {
                let error = open_location(path.to_str().unwrap(), purpose).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            }
        }
        for url in ["", "file:", "file://elsewhere/a", "file:///a?x=1", "file:///%0"] {
            let error = open_location(url, Purpose::Make).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}: {error}");
        }
        assert_eq!(fs::read(&file).unwrap(), b"x");
    }

    #[tokio::test]
    async fn leftovers_are_hidden_and_go_when_they_are_old() {
        let base = tempfile::tempdir().unwrap();
        let location = open_location(base.path().to_str().unwrap(), Purpose::Find)
            .await
            .unwrap();
        let object = ObjectPath::from("chunks/ab/abcd");
        let folder = base.path().join("chunks/ab");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("abcd#1"), "half").unwrap();
        fs::write(folder.join("abcd#x"), "no temporary file").unwrap();
        location.sync_folder("chunks/ab").await.unwrap();
        location.sync_folder("no/such").await.unwrap();

        // The name of the one that was killed is passed over by the next.
        let store = location.store();
        store
            .put_opts(&object, "whole".into(), PutMode::Create.into())
            .await
            .unwrap();
        let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
        assert_eq!(listed.len(), 2, "{listed:?}");

        let now = SystemClock.now();
        let hour = Duration::from_secs(3_600);
        assert_eq!(
            location.remove_leftovers(now, hour).await.unwrap(),
            Leftovers::default()
        );
        let later = Timestamp::from_millis(now.as_millis() + 2 * 3_600_000);
        let removed = location.remove_leftovers(later, hour).await.unwrap();
        assert_eq!((removed.files, removed.bytes), (1, 4));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        let whole = store.get(&object).await.unwrap().bytes().await.unwrap();
        assert_eq!(whole, "whole");
    }

    #[test]
    fn a_file_replaces_what_is_there_and_nothing_is_made_where_the_root_is_gone() {
        let base = tempfile::tempdir().unwrap();
        let root = base.path().join("root");
        let error = put(&root, "chunks/ab", "abcd", b"first").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(!root.exists());

        fs::create_dir(&root).unwrap();
        assert!(put(&root, "chunks/ab", "abcd", b"first").unwrap());
        fs::write(root.join("chunks/ab/abcd#0"), "half").unwrap();
        assert!(!put(&root, "chunks/ab", "abcd", b"second").unwrap());
        assert!(put(&root, "chunks/cd", "cdef", b"third").unwrap());
        assert_eq!(fs::read(root.join("chunks/ab/abcd")).unwrap(), b"second");
        assert_eq!(fs::read_dir(root.join("chunks/ab")).unwrap().count(), 2);
        sync_all(&["chunks/ab", "chunks/cd", "chunks", ""].map(|folder| root.join(folder))).unwrap();
        assert!(sync_all(&[root.join("chunks/ef")]).is_err());
    }

    #[tokio::test]
    async fn a_second_writer_of_one_name_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let location = open_location(base.path().to_str().unwrap(), Purpose::Find)
            .await
            .unwrap();
        let object = ObjectPath::from("backups/1");
        let store = location.store();
        store
            .put_opts(&object, "first".into(), PutMode::Create.into())
            .await
            .unwrap();
        let second = store
            .put_opts(&object, "second".into(), PutMode::Create.into())
            .await;
        assert_eq!(error::object(second.unwrap_err()).kind(), ErrorKind::Conflict);
        assert_eq!(fs::read(base.path().join("backups/1")).unwrap(), b"first");
        assert_eq!(fs::read_dir(base.path().join("backups")).unwrap().count(), 1);
    }
}
