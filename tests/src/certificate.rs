//! Certificates for relays and primaries.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A self-signed certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
    /// The certificate as DER, to compare with what a server shows.
    pub der: Vec<u8>,
}

impl Certificate {
    /// A new one for that name.
    ///
    /// # Panics
    /// The name is no host name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem(), der: made.cert.der().to_vec() }
    }

    /// Writes both files, `tls.crt` and `tls.key`, each by a rename, and returns their paths.
    ///
    /// # Panics
    /// They cannot be written.
    pub fn write(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let put = |name: &str, text: &str| {
            let new = folder.join(format!("{name}.new"));
            fs::write(&new, text).unwrap();
            let path = folder.join(name);
            fs::rename(new, &path).unwrap();
            path
        };
        (put("tls.crt", &self.certificate), put("tls.key", &self.key))
    }
}
