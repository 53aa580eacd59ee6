//! A folder and a loopback address that a test has to itself.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;

use crate::watchdog;

/// A folder and a loopback address that a test has to itself. The folder goes when this is dropped, unless the test
/// fails: then it stays and its path is shown.
///
/// Servers bind fixed ports of an address that nobody else uses, so one can be stopped and started on the same port
/// without another test taking it in between. The ports are below the range that outgoing connections use.
#[derive(Debug)]
pub struct Place {
    folder: Option<TempDir>,
    address: Ipv4Addr,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Place {
    /// A new place.
    ///
    /// # Panics
    /// No folder can be made.
    #[must_use]
    pub fn new() -> Self {
        watchdog::begin();
        let folder = tempfile::Builder::new().prefix("backupmx-test-").tempdir().unwrap();
        // Servers that run as other users (Postfix) must be able to walk through it.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        Self { folder: Some(folder), address: unused_address() }
    }

    /// Its folder.
    ///
    /// # Panics
    /// Never: the folder is there until the place is dropped.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    /// A path in its folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Its address.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.address.into()
    }

    /// A port of its address.
    #[must_use]
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip(), port)
    }

    /// Where its relay takes mail.
    #[must_use]
    pub fn smtp(&self) -> SocketAddr {
        self.at(6025)
    }

    /// Where its primary is.
    #[must_use]
    pub fn primary(&self) -> SocketAddr {
        self.at(6026)
    }

    /// Where its name server is.
    #[must_use]
    pub fn dns(&self) -> SocketAddr {
        self.at(6053)
    }

    /// Where its relay serves health and metrics.
    #[must_use]
    pub fn health(&self) -> SocketAddr {
        self.at(6080)
    }

    /// Where its relay serves the admin API with a token.
    #[must_use]
    pub fn api(&self) -> SocketAddr {
        self.at(6081)
    }
}

/// The process id and a counter make an address of 127.64.0.0/10 that no other test on the machine has.
fn unused_address() -> Ipv4Addr {
    let number = (process::id() << 7 ^ NEXT.fetch_add(1, Ordering::Relaxed)) & 0x003f_ffff;
    let address = Ipv4Addr::from(0x7f40_0000 | number);
    match address.octets()[3] {
        0 | 255 => unused_address(),
        _ => address,
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("the test's folder is kept: {}", folder.keep().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_share_nothing() {
        let (a, b) = (Place::new(), Place::new());
        assert_ne!(a.path(), b.path());
        assert_ne!(a.ip(), b.ip());
        assert!(a.ip().is_loopback());
    }
}
