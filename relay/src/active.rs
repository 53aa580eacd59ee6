//! The config in force, shared by everything that serves: one pointer, swapped whole.

use std::sync::Arc;

use arc_swap::ArcSwap;
use backupmx_relay_config::RelayConfig;

use crate::policy::Directory;

/// A config with what is derived from it.
#[derive(Debug)]
pub struct Active {
    /// The document.
    pub config: RelayConfig,
    /// Which domain is whose.
    pub directory: Directory,
}

impl Active {
    /// Derives what a config needs to be served.
    #[must_use]
    pub fn new(config: RelayConfig) -> Self {
        let directory = Directory::new(&config);
        Self { config, directory }
    }
}

/// The config in force. Readers load it once for each decision; a reload swaps it without waiting for them.
pub type SharedConfig = Arc<ArcSwap<Active>>;
