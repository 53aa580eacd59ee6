//! (stub: the owner of this module replaces it)

use std::path::PathBuf;

use backupmx_relay_config::RelayConfig;

/// Runs a relay until it is told to stop.
///
/// # Errors
/// It cannot start.
pub async fn run(_config: RelayConfig, _file: Option<PathBuf>) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
