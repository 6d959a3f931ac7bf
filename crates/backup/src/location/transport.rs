//! The HTTP below the object stores of clouds.

use std::time::Duration;

use object_store::client::{HttpClient, HttpConnector};
use object_store::{ClientConfigKey, ClientOptions};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

/// How long it takes at most until a connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes clients that speak TLS by rustls with ring and trust the system's authorities.
///
/// The client that object_store makes by itself takes its cryptography from the process, which a library has no business
/// to set.
#[derive(Debug)]
pub(super) struct Connector {
    timeout: Duration,
}

impl Connector {
    /// `timeout` is for a whole request and its answer.
    pub(super) fn new(timeout: Duration) -> Self {
        Connector { timeout }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        // Of the options only this one is heeded: who asks for credentials on the machine's own network sets it.
        let allow_http = options.get_config_value(&ClientConfigKey::AllowHttp);
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls().map_err(generic)?)
            .https_only(allow_http.as_deref() != Some("true"))
            .http1_only()
            // A redirect would take what was signed to another server.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(self.timeout)
            .user_agent(concat!("stead/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(generic)?;
        Ok(HttpClient::new(client))
    }
}

fn tls() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    // The system's own may hold some that nobody can read; what matters is that there are others.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn generic(error: impl std::error::Error + Send + Sync + 'static) -> object_store::Error {
    object_store::Error::Generic {
        store: "HTTP",
        source: Box::new(error),
    }
}
