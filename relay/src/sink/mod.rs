//! A stand-in primary on `mailin-embedded`, for the demo and for trying things out: it takes every message and writes
//! it to a folder.
//!
//! It does not face the Internet: `mailin-embedded` 0.8.3 refuses `MAIL FROM:<>` (so every bounce), ends a message at
//! `<LF>.<CRLF>`, reads lines without a limit, blocks a thread for each session and has no shutdown. The tests here pin
//! these facts, so that a release that mends them is noticed.

mod handler;
mod store;
#[cfg(test)]
mod tests;

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
};

use mailin_embedded::Server;

use handler::Taker;
use store::Store;

/// Sessions at once; one more waits.
const SESSIONS: u32 = 64;

/// How the stand-in primary behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it writes each message; made if it is missing.
    pub directory: PathBuf,
    /// What it calls itself. Must not be the relay's name: the relay would take it for itself.
    pub hostname: String,
    /// Local parts that it answers 550, in any case.
    pub refuse: Vec<String>,
}

/// Why the stand-in primary does not run.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The folder cannot be made or read.
    #[error("failed to make the folder {}", path.display())]
    Directory {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The address cannot be listened on.
    #[error("failed to listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The server ended.
    #[error("the server ended: {0}")]
    Ended(String),
}

/// Takes mail and writes it to a folder, until the process ends. Blocks.
///
/// Each message is a file `NUMBER.eml` with the content as it came (dots unstuffed) and a file `NUMBER.json` with
/// `from`, `to`, `helo`, `peer` and `size`; the numbers rise. The `.json` is there before the `.eml`, both are whole when
/// they appear, and the client has its 250 after that.
///
/// # Errors
/// It cannot listen or make the folder.
pub fn run(options: &Options) -> Result<(), SinkError> {
    let listener =
        TcpListener::bind(options.listen).map_err(|source| SinkError::Listen { address: options.listen, source })?;
    serve(listener, options)
}

/// As [`run`], on a listener that is there already.
///
/// # Errors
/// It cannot make the folder.
pub fn serve(listener: TcpListener, options: &Options) -> Result<(), SinkError> {
    let store = Store::open(&options.directory)
        .map_err(|source| SinkError::Directory { path: options.directory.clone(), source })?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, directory = %options.directory.display(), "the stand-in primary takes mail");
    }
    let mut server = Server::new(Taker::new(store, &options.refuse));
    server.with_name(options.hostname.as_str()).with_num_threads(SESSIONS).with_tcp_listener(listener);
    server.serve().map_err(|error| SinkError::Ended(error.to_string()))
}
