//! libclang, which the bindings are made with.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::debian;

/// Where distributions put it, beside the directories of each version of LLVM.
const PLACES: &[&str] = &[
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/opt/homebrew/opt/llvm/lib",
    "/usr/local/opt/llvm/lib",
    "/Library/Developer/CommandLineTools/usr/lib",
    "/Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib",
];

/// Finds it, or installs it where that is possible without a question: on Debian and its kin, for root and for who may
/// use sudo without a password.
pub(super) fn need() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    eprintln!("rocksdb: its bindings need libclang-dev; installing it where that is possible");
    if debian::install(&["libclang-dev"]) && is_there() {
        return Ok(());
    }
    bail!(
        "there is no libclang, which the bindings of rocksdb need: install it (Debian and Ubuntu: libclang-dev; Fedora: \
         clang-devel; Arch: clang; macOS: xcode-select --install), or name its directory in LIBCLANG_PATH"
    );
}

fn is_there() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let versions = ["/usr/lib", "/usr/local", "/opt"]
        .into_iter()
        .filter_map(|parent| fs::read_dir(parent).ok())
        .flat_map(Iterator::flatten)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm"))
        .flat_map(|entry| [entry.path().join("lib"), entry.path().join("lib64")]);
    PLACES
        .iter()
        .map(PathBuf::from)
        .chain(versions)
        .any(|place| holds_libclang(&place))
}

fn holds_libclang(place: &Path) -> bool {
    fs::read_dir(place).into_iter().flatten().flatten().any(|entry| {
        let name = entry.file_name();
        is_libclang(&name.to_string_lossy())
    })
}

/// `libclang.so`, `libclang.so.1`, `libclang-14.so.1`, `libclang.dylib`; not `libclang-cpp.so`.
fn is_libclang(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("libclang") else {
        return false;
    };
    let rest = rest.trim_start_matches(|part: char| part == '-' || part.is_ascii_digit());
    rest.starts_with(".so")
        || rest.starts_with(".dylib")
        || rest
            .split_once(".so")
            .is_some_and(|(version, _)| version.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libclang_is_told_from_its_kin() {
        for name in [
            "libclang.so",
            "libclang.so.1",
            "libclang-14.so.1",
            "libclang-14.0.6.so",
            "libclang.dylib",
        ] {
            assert!(is_libclang(name), "{name}");
        }
        for name in [
            "libclang-cpp.so.14",
            "libclangAST.a",
            "libclang.a",
            "libclang-cpp.dylib",
            "libc.so",
        ] {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
