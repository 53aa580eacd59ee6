//! (stub: the owner of this module replaces it)
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{active::SharedConfig, clock::Clock, metrics::Metrics, resolve::SharedResolver, spool::Spool};

/// x
#[derive(Debug)]
pub struct Context {
    /// x
    pub config: SharedConfig,
    /// x
    pub spool: Arc<Spool>,
    /// x
    pub resolver: Arc<SharedResolver>,
    /// x
    pub metrics: Arc<Metrics>,
    /// x
    pub clock: Clock,
    /// x
    pub wake: Arc<Notify>,
}

/// x
pub async fn run(_context: Context, leaving: CancellationToken) {
    leaving.cancelled().await;
}
