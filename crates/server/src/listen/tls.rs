//! The certificate of a listener, read again when its files change hands.

use super::expiry::Validity;
use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a certificate can't be used. Never holds a key's bytes.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// A certificate chain and its key, both PEM files. Connections made after [`Certificate::reload`] get the new one.
#[derive(Debug)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// A file that is missing, is no PEM, or does not belong to the other.
    pub fn read(chain: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from_pointee(certified(chain, key)?);
        Ok(Arc::new(Self { chain: chain.to_owned(), key: key.to_owned(), current }))
    }

    /// Reads them again. On an error the old certificate stays.
    ///
    /// # Errors
    /// As [`Certificate::read`].
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(certified(&self.chain, &self.key)?));
        Ok(())
    }

    /// The file of the chain.
    #[must_use]
    pub fn chain(&self) -> &Path {
        &self.chain
    }

    /// The time in which what is shown to clients holds; `None` where it can't be read.
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        Validity::of(&self.current.load().cert)
    }

    /// What TLS needs: HTTP/2 where the client can, else HTTP/1.1. TLS 1.2 and 1.3.
    pub(super) fn server_config(self: &Arc<Self>) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has what TLS 1.2 and 1.3 need");
        let mut config = builder.with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn certified(chain: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let wrong = |path: &Path, why: String| TlsError::File { path: path.to_owned(), why };
    let certs = CertificateDer::pem_file_iter(chain).map_err(|e| wrong(chain, e.to_string()))?;
    let certs = certs.collect::<Result<Vec<_>, _>>().map_err(|e| wrong(chain, e.to_string()))?;
    if certs.is_empty() {
        return Err(wrong(chain, "it holds no certificate".into()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            wrong(key, "it holds no private key, or one under a passphrase".into())
        }
        other => wrong(key, other.to_string()),
    })?;
    let signer = rustls::crypto::ring::sign::any_supported_type(&secret)
        .map_err(|_| wrong(key, "a key of this type can't sign".into()))?;
    let certified = CertifiedKey::new(certs, signer);
    certified.keys_match().map_err(|_| wrong(key, format!("it is not the key of {}", chain.display())))?;
    Ok(certified)
}

/// How this process calls others: who they are is believed by the system's certificates.
///
/// # Errors
/// None of them can be used.
pub(crate) fn client_tls() -> std::io::Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(std::io::Error::other)?.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let (chain, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        std::fs::write(&chain, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        (chain, key)
    }

    #[test]
    fn a_reload_that_fails_keeps_what_there_was() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = write(folder.path(), "a.example");
        let (other, other_key) = write(folder.path(), "b.example");
        let certificate = Certificate::read(&chain, &key).unwrap();
        let first = certificate.current.load().cert.clone();
        std::fs::copy(&other, &chain).unwrap();
        let error = certificate.reload().unwrap_err().to_string();
        assert!(error.contains("it is not the key of"), "{error}");
        assert_eq!(certificate.current.load().cert, first);
        std::fs::copy(&other_key, &key).unwrap();
        certificate.reload().unwrap();
        assert_ne!(certificate.current.load().cert, first);
    }

    #[test]
    fn a_bad_file_is_named_without_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = write(folder.path(), "a.example");
        std::fs::write(&key, "secret").unwrap();
        let error = Certificate::read(&chain, &key).unwrap_err().to_string();
        assert!(
            error.contains("a.example.key: it holds no private key") && !error.contains("secret"),
            "{error}"
        );
        std::fs::write(&chain, "").unwrap();
        assert!(Certificate::read(&chain, &key).unwrap_err().to_string().contains("no certificate"));
        assert!(Certificate::read(Path::new("/nowhere"), &key).is_err());
    }
}
