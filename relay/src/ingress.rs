//! (stub: the owner of this module replaces it)
use std::{io, sync::Arc};

use backupmx_relay_config::{DomainName, Listener, TlsConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{active::SharedConfig, board::Board, clock::Clock, metrics::Metrics, spool::Spool};
/// x
pub struct Context {
    /// x
    pub config: SharedConfig,
    /// x
    pub spool: Arc<Spool>,
    /// x
    pub board: Arc<Board>,
    /// x
    pub metrics: Arc<Metrics>,
    /// x
    pub clock: Clock,
    /// x
    pub tls: TlsKeeper,
    /// x
    pub etrn: Box<dyn Fn(&str) + Send + Sync>,
}
/// x
#[derive(Clone, Debug)]
pub struct TlsKeeper;
impl TlsKeeper {
    /// x
    pub fn new(_: Option<&TlsConfig>, _: &DomainName) -> io::Result<Self> {
        Ok(Self)
    }
    /// x
    pub fn renew(&self, _: Option<&TlsConfig>, _: &DomainName) -> io::Result<()> {
        Ok(())
    }
    /// x
    pub async fn watch(self, _: CancellationToken) {}
}
/// x
pub fn bind(_: &[Listener]) -> io::Result<Vec<TcpListener>> {
    Ok(Vec::new())
}
/// x
pub async fn serve(_: Vec<TcpListener>, _: Arc<Context>, leaving: CancellationToken) {
    leaving.cancelled().await;
}
