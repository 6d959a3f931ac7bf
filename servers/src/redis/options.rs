//! What a Redis server is started with.

use std::path::Path;

use crate::tls::TlsFiles;

/// The user that this crate itself logs in as, whatever the options say.
pub(super) const ADMIN: (&str, &str) = ("stead-admin", "only-on-loopback");

/// When the append-only file is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendFsync {
    /// Before the answer to each write.
    Always,
    /// Once a second.
    EverySecond,
    /// When the operating system likes.
    No,
}

/// How clients reach the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// A port of 127.0.0.1.
    #[default]
    Tcp,
    /// A unix socket alone.
    Unix,
}

/// A user of Redis's access control lists.
#[derive(Debug, Clone)]
pub struct RedisUser {
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: String,
    /// Its rules as `ACL SETUSER` takes them, such as `~* &* +@all`.
    pub rules: String,
}

/// What a Redis server is started with. The default is a volatile one: no append-only file, no snapshots on disk, no
/// password, no limit.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RedisOptions {
    /// The append-only file and when it is synced; none without.
    pub append_only: Option<AppendFsync>,
    /// The password of the default user.
    pub password: Option<String>,
    /// A user with a name. The default user is switched off then.
    pub user: Option<RedisUser>,
    /// Take TLS connections, and no others.
    pub tls: Option<TlsFiles>,
    /// How clients reach it.
    pub transport: Transport,
    /// `maxmemory`.
    pub max_memory_bytes: Option<u64>,
    /// `maxmemory-policy`.
    pub max_memory_policy: Option<String>,
    /// Further lines of the configuration: a name and its arguments, written as they are. They stand behind the others
    /// and win.
    pub settings: Vec<(String, String)>,
}

impl RedisOptions {
    /// With the append-only file.
    #[must_use]
    pub fn with_append_only(mut self, fsync: AppendFsync) -> Self {
        self.append_only = Some(fsync);
        self
    }

    /// With a password for the default user.
    #[must_use]
    pub fn with_password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// With a user in place of the default one; `rules` such as `~* &* +@all`.
    #[must_use]
    pub fn with_user(
        mut self,
        name: impl Into<String>,
        password: impl Into<String>,
        rules: impl Into<String>,
    ) -> Self {
        self.user = Some(RedisUser {
            name: name.into(),
            password: password.into(),
            rules: rules.into(),
        });
        self
    }

    /// With TLS alone.
    #[must_use]
    pub fn with_tls(mut self, files: &TlsFiles) -> Self {
        self.tls = Some(files.clone());
        self
    }

    /// Reached in another way.
    #[must_use]
    pub fn with_transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// With a limit on its memory, and what it does there: `noeviction`, `allkeys-lru` ...
    #[must_use]
    pub fn with_max_memory(mut self, bytes: u64, policy: impl Into<String>) -> Self {
        self.max_memory_bytes = Some(bytes);
        self.max_memory_policy = Some(policy.into());
        self
    }

    /// With a line of the configuration more.
    #[must_use]
    pub fn with_setting(mut self, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        self.settings.push((name.into(), arguments.into()));
        self
    }

    /// The user and password in a URL: `user:password@`, `:password@` or nothing.
    pub(super) fn credentials(&self) -> Option<(&str, &str)> {
        match (&self.user, &self.password) {
            (Some(user), _) => Some((&user.name, &user.password)),
            (None, Some(password)) => Some(("", password)),
            (None, None) => None,
        }
    }

    /// The text of the configuration file, without the ports.
    pub(super) fn configuration(&self, directory: &Path, socket: &Path) -> String {
        let mut lines = Lines::default();
        lines.add("daemonize", "no");
        lines.add("save", "\"\"");
        lines.quoted("dir", &directory.to_string_lossy());
        lines.quoted("unixsocket", &socket.to_string_lossy());
        lines.add("unixsocketperm", "700");
        lines.add("enable-debug-command", "local");
        let (name, password) = ADMIN;
        lines.add("user", &format!("{name} on >{password} ~* &* +@all"));
        lines.add("masteruser", name);
        lines.add("masterauth", password);
        if let Some(fsync) = self.append_only {
            let fsync = match fsync {
                AppendFsync::Always => "always",
                AppendFsync::EverySecond => "everysec",
                AppendFsync::No => "no",
            };
            lines.add("appendonly", "yes");
            lines.add("appendfsync", fsync);
        }
        if let Some(user) = &self.user {
            let password = quote(&format!(">{}", user.password));
            lines.add("user", &format!("{} on {password} {}", user.name, user.rules));
            lines.add("user", "default off");
        } else if let Some(password) = &self.password {
            lines.quoted("requirepass", password);
        }
        if let Some(tls) = &self.tls {
            lines.quoted("tls-ca-cert-file", &tls.ca().to_string_lossy());
            lines.quoted("tls-cert-file", &tls.certificate().to_string_lossy());
            lines.quoted("tls-key-file", &tls.key().to_string_lossy());
            lines.add("tls-auth-clients", "optional");
            lines.add("tls-replication", "yes");
        }
        if let Some(bytes) = self.max_memory_bytes {
            lines.add("maxmemory", &bytes.to_string());
        }
        if let Some(policy) = &self.max_memory_policy {
            lines.add("maxmemory-policy", policy);
        }
        for (name, arguments) in &self.settings {
            lines.add(name, arguments);
        }
        lines.0
    }
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, arguments: &str) {
        self.0.push_str(name);
        self.0.push(' ');
        self.0.push_str(arguments);
        self.0.push('\n');
    }

    fn quoted(&mut self, name: &str, argument: &str) {
        self.add(name, &quote(argument));
    }
}

/// One argument of a line of Redis's configuration, whatever it holds.
fn quote(argument: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in argument.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_./:>".contains(&byte) {
            quoted.push(char::from(byte));
        } else {
            quoted.push_str(&format!("\\x{byte:02x}"));
        }
    }
    quoted.push('"');
    quoted
}
