//! The API's doors: a Unix socket, and TCP where the config asks for it.

use std::{
    fs, io,
    net::SocketAddr,
    os::{
        fd::OwnedFd,
        unix::fs::{FileTypeExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use backupmx_relay_config::AdminConfig;
use rustix::fs::Mode;
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// The name of the Unix socket in the spool folder.
const SOCKET: &str = "control.sock";

/// The API's bound doors.
#[derive(Debug)]
pub struct Listeners {
    pub(super) socket: UnixListener,
    pub(super) health: Option<TcpListener>,
    pub(super) api: Option<TcpListener>,
}

impl Listeners {
    /// Where health and metrics are really served over TCP.
    #[must_use]
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.health.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Where `/v1` is really served over TCP.
    #[must_use]
    pub fn api_address(&self) -> Option<SocketAddr> {
        self.api.as_ref().and_then(|listener| listener.local_addr().ok())
    }
}

/// The path of the Unix socket.
#[must_use]
pub fn socket_path(admin: &AdminConfig, spool: &Path) -> PathBuf {
    admin.socket.clone().unwrap_or_else(|| spool.join(SOCKET))
}

/// Binds the doors. The spool must be open (its lock held): a socket that is left in its folder is then a dead one.
///
/// # Errors
/// An address is taken or may not be bound, or another process answers at the socket.
pub async fn bind(admin: &AdminConfig, spool: &Path) -> io::Result<Listeners> {
    let path = socket_path(admin, spool);
    let socket = unix(&path).await.map_err(|error| explain(&path.display(), &error))?;
    Ok(Listeners {
        socket,
        health: tcp(admin.health).await?,
        api: tcp(admin.api.as_ref().map(|api| api.address)).await?,
    })
}

async fn tcp(address: Option<SocketAddr>) -> io::Result<Option<TcpListener>> {
    match address {
        Some(address) => TcpListener::bind(address).await.map(Some).map_err(|error| explain(&address, &error)),
        None => Ok(None),
    }
}

fn explain(place: &dyn std::fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("failed to listen for admin requests on {place}: {error}"))
}

/// A Unix socket that none but its owner may use, from its first moment on.
async fn unix(path: &Path) -> io::Result<UnixListener> {
    remove_dead(path).await?;
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    // On Linux a socket's own mode becomes that of its file; elsewhere the second call sets it a moment later.
    let _ = rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR);
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    socket.listen(64)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(OwnedFd::from(socket).into())
}

/// Removes a socket that nobody answers at; anything else at the path stays.
async fn remove_dead(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !kind.is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is something else than a socket"));
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process answers there")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_its_owners_alone_and_a_dead_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let first = bind(&AdminConfig::default(), folder.path()).await.unwrap();
        let path = folder.path().join("control.sock");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = bind(&AdminConfig::default(), folder.path()).await.unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(path.exists(), "the dead socket is still there");
        bind(&AdminConfig::default(), folder.path()).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_at_the_sockets_path_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        fs::write(&path, "text").unwrap();
        let admin = AdminConfig { socket: Some(path.clone()), ..AdminConfig::default() };
        let error = bind(&admin, folder.path()).await.unwrap_err();
        assert!(error.to_string().contains("precious"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }

    #[tokio::test]
    async fn a_taken_address_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let admin = AdminConfig { health: Some(address), ..AdminConfig::default() };
        let error = bind(&admin, folder.path()).await.unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
