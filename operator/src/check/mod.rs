//! What the chart's hooks ask: whether the operator is at work, and whether it may go.

pub mod install;
mod leader;
pub mod uninstall;

use anyhow::Context as _;
use kube::Client;

async fn client() -> anyhow::Result<Client> {
    Client::try_default().await.context("failed to find the API server")
}
