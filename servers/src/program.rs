//! The programs of the servers: where they are, as whom they run, and what to install when they are not there.

use std::fmt;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::postgres::programs as postgres_programs;

/// A program that the servers need. As an error: it is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Need {
    /// Its name.
    pub program: &'static str,
    /// The package of Debian that brings it.
    pub package: &'static str,
}

impl fmt::Display for Need {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Need { program, package } = self;
        write!(
            formatter,
            "there is no {program}: run `cargo xtask servers install`, or install it (Debian: apt-get install {package})"
        )
    }
}

impl std::error::Error for Need {}

const REDIS: Need = Need {
    program: "redis-server",
    package: "redis-server",
};
pub(crate) const POSTGRES: Need = Need {
    program: "postgres",
    package: "postgresql",
};
const PGBOUNCER: Need = Need {
    program: "pgbouncer",
    package: "pgbouncer",
};
const SETPRIV: Need = Need {
    program: "setpriv",
    package: "util-linux",
};

/// What the servers need, and where it is on this machine; none where it is missing.
pub fn needs() -> Vec<(Need, Option<PathBuf>)> {
    vec![
        (REDIS, redis_server().ok()),
        (
            POSTGRES,
            postgres_programs().ok().map(|programs| programs.join("postgres")),
        ),
        (PGBOUNCER, pgbouncer().ok()),
        (SETPRIV, setpriv().ok()),
    ]
}

pub(crate) fn redis_server() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("STEAD_REDIS_SERVER") {
        return Ok(PathBuf::from(named));
    }
    find("redis-server")
        .or_else(|| find("valkey-server"))
        .context(REDIS)
}

pub(crate) fn pgbouncer() -> Result<PathBuf> {
    find("pgbouncer").context(PGBOUNCER)
}

fn setpriv() -> Result<PathBuf> {
    find("setpriv").context(SETPRIV)
}

/// The first program of that name on the PATH, or where servers are though users do not have it on theirs.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}

/// Another user than this process's, for a server that refuses to run as root.
#[derive(Debug, Clone)]
pub(crate) struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// Whom to run as: nobody else, unless this process is root.
    pub(crate) fn unprivileged() -> Result<Option<User>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        let found = ["postgres", "nobody"].iter().find_map(|name| entry(&users, name));
        match found {
            Some(user) => Ok(Some(user)),
            None => bail!("there is neither a user postgres nor a user nobody to run a server as"),
        }
    }

    /// Gives a file to the user.
    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("cannot give away {}", path.display()))
    }

    /// What makes a file system of `tmpfs` the user's own.
    pub(crate) fn mount_options(&self) -> String {
        format!(",uid={},gid={}", self.uid, self.gid)
    }

    /// Gives a directory and all in it to the user.
    pub(crate) fn own_all(&self, path: &Path) -> Result<()> {
        self.own(path)?;
        if path.is_dir() {
            for child in fs::read_dir(path)? {
                self.own_all(&child?.path())?;
            }
        }
        Ok(())
    }
}

/// The user of that name in the text of a passwd file.
fn entry(users: &str, name: &str) -> Option<User> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(User { uid, gid })
    })
}

/// A command that is killed when this process ends, run as `user` where one is given.
pub(crate) fn command(program: &Path, user: Option<&User>) -> Result<Command> {
    let mut command = Command::new(setpriv()?);
    command.args(["--pdeathsig", "KILL"]);
    if let Some(User { uid, gid }) = user {
        command.args([
            format!("--reuid={uid}"),
            format!("--regid={gid}"),
            "--clear-groups".to_owned(),
        ]);
    }
    command.arg("--").arg(program);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\nnobody2:x:7:8::/:/bin/sh\nnobody:x:65534:65533:n:/:/bin/false\n";
        let found = entry(users, "nobody").map(|user| (user.uid, user.gid));
        assert_eq!(found, Some((65_534, 65_533)));
        assert!(entry(users, "postgres").is_none());
    }
}
