//! Servers that do not do what they say.

use std::{collections::HashSet, net::SocketAddr};

use parking_lot::Mutex;

/// Servers remembered; beyond it the memory starts over.
const MOST: usize = 1000;

/// What was found out about servers and is to be kept in mind for the next session, until the program ends.
#[derive(Debug, Default)]
pub struct Quirks {
    unchunked: Mutex<HashSet<SocketAddr>>,
}

impl Quirks {
    /// That server offers CHUNKING and does not know BDAT: such as one behind a proxy that hides commands.
    pub(super) fn never_chunk(&self, server: SocketAddr) {
        let mut unchunked = self.unchunked.lock();
        if unchunked.len() >= MOST {
            unchunked.clear();
        }
        if unchunked.insert(server) {
            tracing::warn!(%server, "it offers CHUNKING and does not know BDAT: DATA is used with it from now on");
        }
    }

    /// Whether that server's CHUNKING can be believed.
    pub(super) fn may_chunk(&self, server: SocketAddr) -> bool {
        !self.unchunked.lock().contains(&server)
    }
}
