//! A cache that a build is made for once, whoever asks at the same time.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// `$XDG_CACHE_HOME/stead`, or `~/.cache/stead`.
pub(crate) fn root() -> Result<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("stead"))
        .context("neither XDG_CACHE_HOME nor HOME says where a cache may be")
}

/// The directory `name` with `file` in it. If it is not there, `build` makes the file in a scratch directory, which is
/// removed afterwards, and says where it is. The directory appears at once with all that is in it, or not at all.
pub(super) fn ensure(
    root: &Path,
    name: &str,
    file: &str,
    build: impl FnOnce(&Path) -> Result<PathBuf>,
) -> Result<PathBuf> {
    let directory = root.join(name);
    let wanted = directory.join(file);
    if wanted.is_file() {
        return Ok(directory);
    }
    fs::create_dir_all(root).with_context(|| format!("cannot make {}", root.display()))?;
    let _lock = lock(&root.join(format!("{name}.lock")))?;
    // Somebody else may have built it while this waited.
    if wanted.is_file() {
        return Ok(directory);
    }
    let scratch = root.join(format!("{name}.build"));
    let draft = root.join(format!("{name}.new"));
    remove(&draft)?;
    // What a build that was interrupted has compiled is not compiled again.
    let built = build(&scratch)?;
    fs::create_dir(&draft)?;
    fs::copy(built, draft.join(file))?;
    File::open(draft.join(file))?.sync_all()?;
    remove(&directory)?;
    fs::rename(&draft, &directory)?;
    remove(&scratch)?;
    Ok(directory)
}

/// Waits until nobody else builds the same. The lock ends with the process.
fn lock(path: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    if file.try_lock().is_err() {
        eprintln!(
            "rocksdb: somebody else compiles it, waiting for {}",
            path.display()
        );
        file.lock()
            .with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}

fn remove(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use anyhow::bail;

    use super::*;

    fn make(scratch: &Path, content: &str) -> Result<PathBuf> {
        fs::create_dir_all(scratch)?;
        let built = scratch.join("built");
        fs::write(&built, content)?;
        Ok(built)
    }

    #[test]
    fn what_many_ask_for_at_once_is_built_once() {
        let dir = tempfile::tempdir().unwrap();
        let builds = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let found = ensure(dir.path(), "lib-1", "lib.a", |scratch| {
                        builds.fetch_add(1, Ordering::SeqCst);
                        make(scratch, "code")
                    });
                    assert_eq!(fs::read_to_string(found.unwrap().join("lib.a")).unwrap(), "code");
                });
            }
        });
        assert_eq!(builds.into_inner(), 1);
        assert!(
            !dir.path().join("lib-1.build").exists(),
            "the scratch directory is gone"
        );
    }

    #[test]
    fn failed_build_leaves_nothing_behind_that_looks_built() {
        let dir = tempfile::tempdir().unwrap();
        let failed = ensure(dir.path(), "lib-1", "lib.a", |scratch| {
            make(scratch, "half")?;
            bail!("out of memory")
        });
        assert!(failed.is_err());
        assert!(!dir.path().join("lib-1").exists());
        let found = ensure(dir.path(), "lib-1", "lib.a", |scratch| make(scratch, "whole")).unwrap();
        assert_eq!(fs::read_to_string(found.join("lib.a")).unwrap(), "whole");
    }
}
