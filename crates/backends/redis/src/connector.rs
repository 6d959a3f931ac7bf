//! How servers are connected to.

use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{
    Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError,
    TlsCertificates,
};
use stead_core::{Error, Result};
use stead_network::{ExposeSecret, Host};

use crate::options::{Place, RedisOptions};

/// Everything that is needed to connect to a server of the store.
pub(crate) struct Connector {
    options: RedisOptions,
    certificates: TlsCertificates,
}

impl Connector {
    /// # Errors
    ///
    /// `Invalid` for a file of certificates that cannot be read.
    pub(crate) fn new(options: &RedisOptions) -> Result<Self> {
        let mut root_cert = None;
        if options.tls {
            // The first one to say so decides for the process; ring is the only provider that is compiled in.
            drop(rustls::crypto::ring::default_provider().install_default());
            if let Some(path) = &options.ca {
                let read = std::fs::read(path).map_err(|error| {
                    Error::invalid("the file of the option ca cannot be read")
                        .with("path", path.display())
                        .because(error)
                })?;
                root_cert = Some(read);
            }
        }
        Ok(Connector {
            options: options.clone(),
            certificates: TlsCertificates {
                client_tls: None,
                root_cert,
            },
        })
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.options.network.timeout
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.options.is_cluster()
    }

    /// The servers that the URL names.
    pub(crate) fn seeds(&self) -> Result<Vec<(String, Client)>> {
        match &self.options.place {
            Place::Server(address) | Place::Cluster(address) => address
                .hosts
                .iter()
                .map(|host| Ok((host.to_string(), self.client(host)?)))
                .collect(),
            Place::Socket(path, _) => {
                let client = self.open(ConnectionAddr::Unix(path.clone()))?;
                Ok(vec![(path.display().to_string(), client)])
            }
        }
    }

    /// A node as another node named it: an empty name, or a question mark, is that of the other node.
    pub(crate) fn host(&self, name: &str, port: u16, from: &str) -> Host {
        let name = match name {
            "" | "?" => from.rsplit_once(':').map_or(from, |(name, _)| name),
            name => name,
        };
        Host {
            name: name.trim_matches(['[', ']']).to_owned(),
            port,
        }
    }

    pub(crate) fn client(&self, host: &Host) -> Result<Client> {
        self.open(match self.options.tls {
            true => ConnectionAddr::TcpTls {
                host: host.name.clone(),
                port: host.port,
                insecure: false,
                tls_params: None,
            },
            false => ConnectionAddr::Tcp(host.name.clone(), host.port),
        })
    }

    fn open(&self, address: ConnectionAddr) -> Result<Client> {
        let login = self.options.address();
        let mut settings = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("stead", env!("CARGO_PKG_VERSION"))
            .set_db(self.options.database);
        if let Some(user) = &login.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &login.password {
            settings = settings.set_password(password.expose_secret());
        }
        let wrong = |error: RedisError| {
            Error::invalid("the server's address makes no sense to the client of Redis").because(error)
        };
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = address
            .into_connection_info()
            .map_err(wrong)?
            .set_tcp_settings(tcp)
            .set_redis_settings(settings);
        if self.options.tls {
            return Client::build_with_tls(info, self.certificates.clone()).map_err(|error| {
                Error::invalid("the certificates of the option ca cannot be read; they must be in PEM form")
                    .because(error)
            });
        }
        Client::open(info).map_err(wrong)
    }
}
