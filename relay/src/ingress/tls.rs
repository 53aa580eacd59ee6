//! Our certificate: read from files, read again when they change; self-signed where there are none.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use backupmx_relay_config::{DomainName, TlsConfig};
use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read, or is not PEM of that kind.
    #[error("failed to read {what} from {}: {source}", path.display())]
    Read {
        /// `certificates` or `a private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The file holds no certificate.
    #[error("expected a certificate in {}; it holds none", .0.display())]
    Empty(PathBuf),
    /// The certificate and the key do not work, or not together.
    #[error("failed to use the certificate and the key: {0}")]
    Unusable(#[from] rustls::Error),
    /// No self-signed certificate could be made.
    #[error("failed to make a self-signed certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
}

/// The certificate in use. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct TlsKeeper(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    current: ArcSwap<ServerConfig>,
    /// Held while files are read: two readers must not overtake each other.
    wanted: Mutex<Wanted>,
}

/// Which certificate is to be used, and what its files were when they were last read, well or not.
#[derive(Debug)]
struct Wanted {
    hostname: DomainName,
    files: Option<TlsConfig>,
    stamps: Stamps,
}

/// Of the certificate and the key, the time of change, the length and the inode; none where there is no such file.
type Stamps = [Option<(SystemTime, u64, u64)>; 2];

impl TlsKeeper {
    /// Uses the certificate in the files, or a self-signed one for the host where there are none. Where the files can't
    /// be used that is logged, and the certificate is self-signed until they can: mail without a proper certificate is
    /// better than no mail. Blocks.
    ///
    /// # Errors
    /// No self-signed certificate could be made.
    pub fn new(files: Option<&TlsConfig>, hostname: &DomainName) -> Result<Self, TlsError> {
        let keeper = Self(Arc::new(Inner {
            current: ArcSwap::from(self_signed(hostname)?),
            wanted: Mutex::new(Wanted { hostname: hostname.clone(), files: None, stamps: Stamps::default() }),
        }));
        if let Err(error) = keeper.renew(files, hostname) {
            tracing::error!(%error, "certificate not read; a self-signed one is used until it can be");
        }
        Ok(keeper)
    }

    /// Uses other files, or the same ones anew. Blocks.
    ///
    /// # Errors
    /// They can't be used; the certificate in use stays, and the files are tried again when they change.
    pub fn renew(&self, files: Option<&TlsConfig>, hostname: &DomainName) -> Result<(), TlsError> {
        let mut wanted = self.0.wanted.lock();
        match files {
            Some(files) => {
                *wanted = Wanted { hostname: hostname.clone(), files: Some(files.clone()), stamps: look(files) };
                self.0.current.store(load(files)?);
            }
            None if wanted.files.is_none() && wanted.hostname == *hostname => {}
            None => {
                self.0.current.store(self_signed(hostname)?);
                *wanted = Wanted { hostname: hostname.clone(), files: None, stamps: Stamps::default() };
            }
        }
        Ok(())
    }

    /// Reads the files again if they have changed; whether they had. Blocks.
    ///
    /// # Errors
    /// They can't be used now; the certificate in use stays until they change once more.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let mut wanted = self.0.wanted.lock();
        let Some(files) = wanted.files.clone() else { return Ok(false) };
        let stamps = look(&files);
        if stamps == wanted.stamps {
            return Ok(false);
        }
        wanted.stamps = stamps;
        self.0.current.store(load(&files)?);
        Ok(true)
    }

    /// Reads the files again whenever they have changed, until `ended`.
    pub async fn watch(self, ended: CancellationToken) {
        while ended.run_until_cancelled(sleep(INTERVAL)).await.is_some() {
            let keeper = self.clone();
            match tokio::task::spawn_blocking(move || keeper.refresh()).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => tracing::info!("certificate read again"),
                Ok(Err(error)) => tracing::error!(%error, "changed certificate not read; the one in use stays"),
                Err(error) => tracing::error!(%error, "failed to look at the certificate"),
            }
        }
    }

    /// What takes up TLS with the certificate in use now.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.current.load_full())
    }
}

fn look(files: &TlsConfig) -> Stamps {
    [&files.certificate, &files.key]
        .map(|path| fs::metadata(path).and_then(|found| Ok((found.modified()?, found.len(), found.ino()))).ok())
}

fn self_signed(hostname: &DomainName) -> Result<Arc<ServerConfig>, TlsError> {
    let made = rcgen::generate_simple_self_signed([hostname.to_string()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    server_config(vec![made.cert.der().clone()], key.into())
}

fn load(files: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
    let wrong = |what, path: &PathBuf| {
        let path = path.clone();
        move |source| TlsError::Read { what, path, source }
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(wrong("certificates", &files.certificate))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(files.certificate.clone()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(wrong("a private key", &files.key))?;
    server_config(chain, key)
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}
