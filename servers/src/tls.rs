//! Certificates for servers and clients.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

/// A certificate authority of its own, and what it signed for a server and for a client: PEM files that are removed with
/// the last clone. Two of them do not trust each other.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    directory: Arc<TempDir>,
}

impl TlsFiles {
    /// The certificate of the authority: what a client must trust.
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// The certificate of the server.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("server.crt")
    }

    /// The private key of the server, PKCS #8.
    pub fn key(&self) -> PathBuf {
        self.directory.path().join("server.key")
    }

    /// The certificate of a client named `stead`.
    pub fn client_certificate(&self) -> PathBuf {
        self.directory.path().join("client.crt")
    }

    /// The private key of the client, PKCS #8.
    pub fn client_key(&self) -> PathBuf {
        self.directory.path().join("client.key")
    }
}

#[cfg(feature = "tls")]
mod make {
    use std::path::Path;

    use anyhow::Result;
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
        KeyUsagePurpose,
    };

    use super::{Arc, TlsFiles};
    use crate::directory::write_private;

    impl TlsFiles {
        /// For a server at `localhost` and 127.0.0.1. Needs the feature `tls`.
        ///
        /// # Errors
        ///
        /// The files cannot be written.
        pub fn make() -> Result<TlsFiles> {
            TlsFiles::make_for(&["localhost", "127.0.0.1"])
        }

        /// For a server of these names and addresses: others than its own make a certificate that clients must refuse.
        ///
        /// # Errors
        ///
        /// A name is not one that a certificate may hold; the files cannot be written.
        pub fn make_for(names: &[&str]) -> Result<TlsFiles> {
            let directory = tempfile::Builder::new().prefix("stead-tls-").tempdir()?;
            let mut authority = CertificateParams::new(Vec::<String>::new())?;
            authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
            authority
                .distinguished_name
                .push(DnType::CommonName, "Stead test authority");
            let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
            write_private(&directory.path().join("ca.crt"), &issuer.pem(), None)?;

            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let server = CertificateParams::new(names)?;
            // The nodes of a Cluster are each other's clients, too.
            let both = vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ];
            sign(directory.path(), "server", server, both, &issuer)?;
            let client = CertificateParams::new(vec!["stead".to_owned()])?;
            let alone = vec![ExtendedKeyUsagePurpose::ClientAuth];
            sign(directory.path(), "client", client, alone, &issuer)?;
            Ok(TlsFiles {
                directory: Arc::new(directory),
            })
        }
    }

    fn sign(
        directory: &Path,
        name: &str,
        mut parameters: CertificateParams,
        purposes: Vec<ExtendedKeyUsagePurpose>,
        issuer: &CertifiedIssuer<'_, KeyPair>,
    ) -> Result<()> {
        let key = KeyPair::generate()?;
        parameters.extended_key_usages = purposes;
        let common_name = if name == "client" {
            "stead"
        } else {
            "stead test server"
        };
        parameters
            .distinguished_name
            .push(DnType::CommonName, common_name);
        let certificate = parameters.signed_by(&key, issuer)?;
        write_private(&directory.join(format!("{name}.crt")), &certificate.pem(), None)?;
        write_private(&directory.join(format!("{name}.key")), &key.serialize_pem(), None)
    }
}
