//! (stub: the owner of this module replaces it)

use std::{net::SocketAddr, path::PathBuf};

/// How the stand-in primary behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it writes each message.
    pub directory: PathBuf,
    /// What it calls itself.
    pub hostname: String,
    /// Local parts that it answers 550.
    pub refuse: Vec<String>,
}

/// Takes mail and writes it to a folder, until the process ends. Blocks.
///
/// # Errors
/// It cannot listen or make the folder.
pub fn run(_options: &Options) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
