//! A second PostgreSQL that follows a first.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::{Result, bail};

use super::server::{PostgresServer, USER};
use crate::program::{self, User};

impl PostgresServer {
    /// Starts a standby on a copy of this server, which then follows it over its unix socket under the name `name`. It takes
    /// reads at once, and writes after `SELECT pg_promote()`. Commits of this server wait for it if
    /// `synchronous_standby_names` says so.
    ///
    /// # Errors
    ///
    /// This server does not run; the copy cannot be made; the standby does not start.
    pub fn standby(&self, name: &str) -> Result<PostgresServer> {
        let host = self.socket_directory().to_string_lossy();
        let port = self.address().port();
        let options = self.options().clone().with_setting(
            "primary_conninfo",
            format!("host={host} port={port} user={USER} application_name={name}"),
        );
        PostgresServer::start_on(&options, &|data, programs, user| {
            copy(&host, port, data, programs, user)
        })
    }
}

/// Fills `data`, which is not there yet, with a copy of the server that listens in `host`, and marks it as a standby.
fn copy(host: &str, port: u16, data: &Path, programs: &Path, user: Option<&User>) -> Result<()> {
    DirBuilder::new().mode(0o700).create(data)?;
    if let Some(user) = user {
        user.own(data)?;
    }
    let output = program::command(&programs.join("pg_basebackup"), user)?
        .current_dir(data.parent().unwrap_or(data))
        .args([
            "--no-password",
            "--checkpoint",
            "fast",
            "--no-sync",
            "--wal-method",
            "stream",
        ])
        .args([
            "--username",
            USER,
            "--host",
            host,
            "--port",
            &port.to_string(),
            "--pgdata",
        ])
        .arg(data)
        .output()?;
    if !output.status.success() {
        bail!(
            "pg_basebackup failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    fs::write(data.join("standby.signal"), "")?;
    user.map_or(Ok(()), |user| user.own(&data.join("standby.signal")))
}
