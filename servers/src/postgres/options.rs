//! What a PostgreSQL server is started with.

use std::path::Path;

use crate::tls::TlsFiles;

/// `synchronous_commit`: what a commit waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SynchronousCommit {
    /// The server's own disk, and standbys that are named.
    #[default]
    On,
    /// Nothing: a crash loses the last commits.
    Off,
    /// The server's own disk alone.
    Local,
    /// That named standbys have written it.
    RemoteWrite,
    /// That named standbys show it.
    RemoteApply,
}

/// What a PostgreSQL server is started with. The default is a durable one that asks for no password.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PostgresOptions {
    /// Whether writes are forced to the disk.
    pub fsync: bool,
    /// What a commit waits for.
    pub synchronous_commit: SynchronousCommit,
    /// The password of the user `stead`, asked for by SCRAM-SHA-256 on the port; anybody may come in without one. The
    /// unix socket never asks: only this process's user and the server's can reach it.
    pub password: Option<String>,
    /// Take TLS connections on the port, and no others.
    pub tls: Option<TlsFiles>,
    /// A file system of its own in memory, of so many bytes, in [`disk`](super::PostgresServer::disk): for what happens when
    /// that is full. What is on it goes with the server's process.
    pub disk: Option<u64>,
    /// Further settings, which win: a name and a value. The value is quoted.
    pub settings: Vec<(String, String)>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        PostgresOptions {
            fsync: true,
            synchronous_commit: SynchronousCommit::On,
            password: None,
            tls: None,
            disk: None,
            settings: Vec::new(),
        }
    }
}

impl PostgresOptions {
    /// Without fsync: quick, and a crash of the machine (not of the server) loses everything.
    #[must_use]
    pub fn without_fsync(mut self) -> Self {
        self.fsync = false;
        self
    }

    /// With commits that wait for less, or more.
    #[must_use]
    pub fn with_synchronous_commit(mut self, synchronous_commit: SynchronousCommit) -> Self {
        self.synchronous_commit = synchronous_commit;
        self
    }

    /// With a password for the user `stead`.
    #[must_use]
    pub fn with_password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// With TLS alone.
    #[must_use]
    pub fn with_tls(mut self, files: &TlsFiles) -> Self {
        self.tls = Some(files.clone());
        self
    }

    /// With a small file system of its own, of so many bytes.
    #[must_use]
    pub fn with_disk(mut self, bytes: u64) -> Self {
        self.disk = Some(bytes);
        self
    }

    /// With a setting of `postgresql.conf` more.
    #[must_use]
    pub fn with_setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// The text of `postgresql.conf`. The key and the certificate are expected in the directory of the data.
    pub(super) fn configuration(&self, port: u16, sockets: &Path) -> String {
        let synchronous_commit = match self.synchronous_commit {
            SynchronousCommit::On => "on",
            SynchronousCommit::Off => "off",
            SynchronousCommit::Local => "local",
            SynchronousCommit::RemoteWrite => "remote_write",
            SynchronousCommit::RemoteApply => "remote_apply",
        };
        let port = port.to_string();
        let sockets = sockets.to_string_lossy();
        let mut settings = vec![
            ("listen_addresses", "127.0.0.1"),
            ("port", &port),
            ("unix_socket_directories", &sockets),
            ("unix_socket_permissions", "0700"),
            ("fsync", if self.fsync { "on" } else { "off" }),
            ("synchronous_commit", synchronous_commit),
            ("max_connections", "200"),
            // In the directory of the data, and gone with it.
            ("dynamic_shared_memory_type", "mmap"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
            ("lc_messages", "C"),
        ];
        if self.tls.is_some() {
            settings.extend([
                ("ssl", "on"),
                ("ssl_cert_file", "server.crt"),
                ("ssl_key_file", "server.key"),
                ("ssl_ca_file", "ca.crt"),
            ]);
        }
        let more = self.settings.iter();
        settings.extend(more.map(|(name, value)| (name.as_str(), value.as_str())));
        settings
            .into_iter()
            .map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")))
            .collect()
    }

    /// The text of `pg_hba.conf`: who may come in, and how.
    pub(super) fn admission(&self) -> String {
        let kind = if self.tls.is_some() { "hostssl" } else { "host" };
        let method = if self.password.is_some() {
            "scram-sha-256"
        } else {
            "trust"
        };
        let mut text = String::from("local all all trust\nlocal replication all trust\n");
        for database in ["all", "replication"] {
            text.push_str(&format!("{kind} {database} all 127.0.0.1/32 {method}\n"));
        }
        text
    }
}
