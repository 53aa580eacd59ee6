//! `/healthz`, `/readyz` and `/metrics` of the operator.

use std::net::SocketAddr;

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::{net::TcpListener, sync::watch};

use crate::metrics::Metrics;

/// Whether the operator is at work: its caches are filled. A standby is ready too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// The caches are being filled.
    NotYet,
    /// They are filled.
    Yes,
}

/// Serves until it is dropped.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(address: SocketAddr, metrics: Metrics, filled: watch::Receiver<Filled>) -> std::io::Result<()> {
    axum::serve(TcpListener::bind(address).await?, router(metrics, filled)).await
}

fn router(metrics: Metrics, filled: watch::Receiver<Filled>) -> Router {
    Router::new()
        .route("/healthz", get(async || StatusCode::OK))
        .route("/readyz", get(ready).with_state(filled))
        .route("/metrics", get(text).with_state(metrics))
}

async fn ready(State(filled): State<watch::Receiver<Filled>>) -> StatusCode {
    match *filled.borrow() {
        Filled::Yes => StatusCode::OK,
        Filled::NotYet => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn text(State(metrics): State<Metrics>) -> Result<String, StatusCode> {
    metrics.text().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
