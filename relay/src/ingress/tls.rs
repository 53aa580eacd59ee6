//! Our certificate: read from files, read again when they change; self-signed where there are none.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use backupmx_relay_config::{DomainName, TlsConfig};
use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate's file can't be read, or is no PEM.
    #[error("failed to read certificates from {}: {source}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The key's file can't be read, or holds no private key as PEM.
    #[error("failed to read a private key from {}: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The file holds no certificate.
    #[error("expected a certificate in {}; it holds none", .0.display())]
    Empty(PathBuf),
    /// The certificate and the key of these files do not work, or not together.
    #[error("failed to use the certificate in {} with the key in {}: {source}", files.certificate.display(), files.key.display())]
    Unusable {
        /// The files.
        files: TlsConfig,
        /// What is wrong with them.
        source: rustls::Error,
    },
    /// The certificate that was made here does not work.
    #[error("failed to use the self-signed certificate: {0}")]
    Made(rustls::Error),
    /// No self-signed certificate could be made.
    #[error("failed to make a self-signed certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
}

/// The certificate in use.
#[derive(Debug)]
pub struct Tls {
    current: ArcSwap<ServerConfig>,
    self_signed: Arc<ServerConfig>,
    seen: Mutex<Option<Seen>>,
}

/// The files as they were when they were last read, well or not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    files: TlsConfig,
    /// Of the certificate and the key, the time of change, the length and the inode; none where there is no such file.
    stamps: [Option<(SystemTime, u64, u64)>; 2],
}

impl Seen {
    fn look(files: &TlsConfig) -> Self {
        let stamp = |path: &PathBuf| {
            fs::metadata(path).and_then(|found| Ok((found.modified()?, found.len(), found.ino()))).ok()
        };
        Self { files: files.clone(), stamps: [stamp(&files.certificate), stamp(&files.key)] }
    }
}

/// Whether a certificate and its key can be read and go together. Blocks.
///
/// # Errors
/// They can't, or don't; the error names the file.
pub fn check_certificate(files: &TlsConfig) -> Result<(), TlsError> {
    load(files).map(drop)
}

impl Tls {
    /// Makes a self-signed certificate for a host, and puts the one of the files in its place, if it is good. A bad or
    /// missing one is logged: mail without a proper certificate is better than no mail. Blocks.
    ///
    /// # Errors
    /// No self-signed certificate could be made.
    pub fn new(hostname: &DomainName, files: Option<&TlsConfig>) -> Result<Self, TlsError> {
        let made = rcgen::generate_simple_self_signed([hostname.to_string()])?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let self_signed = server_config(vec![made.cert.der().clone()], key).map_err(TlsError::Made)?;
        let tls = Self { current: ArcSwap::from(Arc::clone(&self_signed)), self_signed, seen: Mutex::new(None) };
        tls.refresh(files);
        Ok(tls)
    }

    /// Reads the files again if they have changed. A bad certificate is logged, and the old one stays. Blocks.
    pub fn refresh(&self, files: Option<&TlsConfig>) {
        let mut seen = self.seen.lock();
        let Some(files) = files else {
            if seen.take().is_some() {
                self.current.store(Arc::clone(&self.self_signed));
                tracing::info!("certificate: self-signed");
            }
            return;
        };
        let found = Seen::look(files);
        if seen.as_ref() == Some(&found) {
            return;
        }
        *seen = Some(found);
        match load(files) {
            Ok(config) => {
                self.current.store(config);
                tracing::info!(certificate = %files.certificate.display(), "certificate read");
            }
            Err(error) => tracing::error!(%error, "certificate not read; the one in use stays"),
        }
    }

    /// What takes up TLS with the certificate in use now.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

fn load(files: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| TlsError::Certificates { path: files.certificate.clone(), source })?;
    if chain.is_empty() {
        return Err(TlsError::Empty(files.certificate.clone()));
    }
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|source| TlsError::Key { path: files.key.clone(), source })?;
    server_config(chain, key).map_err(|source| TlsError::Unusable { files: files.clone(), source })
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}
