//! What the operator was started with, as far as objects are built from it.

use std::collections::BTreeMap;

use backupmx_relay_config::Span;

use crate::{dns::ownership::ExternalDns, scraper::Scraper, token::MasterKey};

/// What the operator was started with, as far as objects are built from it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The operator's own namespace; DNSEndpoints live there.
    pub namespace: String,
    /// The cluster's own domain, under which Services have their names: `cluster.local` in most.
    pub cluster_domain: String,
    /// The image of the relay pods.
    pub relay_image: String,
    /// When that image is pulled: `Always`, `IfNotPresent` or `Never`.
    pub image_pull_policy: String,
    /// The Secrets for pulling that image, in each namespace that has relays.
    pub image_pull_secrets: Vec<String>,
    /// The labels of the operator's pods: who may reach the admin API of a relay.
    pub operator_labels: BTreeMap<String, String>,
    /// Who may read a relay's metrics. Empty: nobody.
    pub metrics_from: Vec<Scraper>,
    /// How the external-dns that publishes the records was started.
    pub external_dns: ExternalDns,
    /// How long external-dns and the zones' servers are given before a reason says that something is wrong.
    pub patience: Span,
    /// How much longer than their TTL records that were changed are believed to be in caches.
    pub retire_grace: Span,
    /// What the relays' admin tokens are derived from.
    pub master_key: MasterKey,
}
