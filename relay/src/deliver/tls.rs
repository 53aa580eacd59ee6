//! Which certificates are believed.

use std::sync::Arc;

use backupmx_relay_config::PrimaryTlsMode;
use parking_lot::Mutex;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// The TLS configurations of the client: one that takes any certificate, one that asks the system's authorities. Made
/// once and shared, so that TLS sessions are resumed.
#[derive(Debug)]
pub struct ClientTls {
    any: Arc<ClientConfig>,
    roots: Roots,
    /// Made when it is first needed: reading the system's authorities takes a while, and few need it.
    verified: Mutex<Option<Arc<ClientConfig>>>,
}

#[derive(Debug)]
enum Roots {
    System,
    These(RootCertStore),
}

/// Why there is no TLS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientTlsError {
    /// The provider does not support the protocol versions: a mistake in the build.
    #[error("failed to set up TLS: {0}")]
    Setup(String),
    /// The system has no certificate authorities, so that none can be believed.
    #[error("no certificate authorities found on this system ({0}); set SSL_CERT_FILE or SSL_CERT_DIR")]
    NoRoots(String),
}

impl ClientTls {
    /// With the system's authorities (`SSL_CERT_FILE`, `SSL_CERT_DIR`, or where the distribution keeps them).
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new() -> Result<Self, ClientTlsError> {
        Self::with(Roots::System)
    }

    /// With those authorities alone.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn with_roots(roots: RootCertStore) -> Result<Self, ClientTlsError> {
        Self::with(Roots::These(roots))
    }

    fn with(roots: Roots) -> Result<Self, ClientTlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(setup)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        Ok(Self { any: Arc::new(config), roots, verified: Mutex::new(None) })
    }

    /// The configuration for a mode.
    pub(crate) fn config(&self, mode: PrimaryTlsMode) -> Result<Arc<ClientConfig>, ClientTlsError> {
        if mode != PrimaryTlsMode::Verify {
            return Ok(Arc::clone(&self.any));
        }
        let mut verified = self.verified.lock();
        if let Some(config) = &*verified {
            return Ok(Arc::clone(config));
        }
        let roots = match &self.roots {
            Roots::These(roots) => roots.clone(),
            Roots::System => system_roots()?,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(setup)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::clone(verified.insert(Arc::new(config))))
    }
}

fn setup(error: Error) -> ClientTlsError {
    ClientTlsError::Setup(error.to_string())
}

fn system_roots() -> Result<RootCertStore, ClientTlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    Err(ClientTlsError::NoRoots(if errors.is_empty() { "no file".to_owned() } else { errors.join("; ") }))
}

/// Takes any certificate, as long as the server holds its key. Opportunistic TLS keeps listeners out, not impostors:
/// refusing a bad certificate would only mean sending the mail in the clear (RFC 7435).
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
