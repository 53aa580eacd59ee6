//! The objects that a checked resource asks for. Pure: no client, no clock; one file a Kubernetes kind.
//!
//! Nothing that a drain needs carries an owner reference. In a foreground deletion the garbage collector takes owned
//! objects while the owner's finalizer still waits, and a claim taken so is lost mail.

pub mod addresses;
pub mod claim;
pub mod config_map;
pub mod container;
pub mod deployment;
pub mod disruption;
pub mod document;
#[cfg(test)]
pub(crate) mod fixture;
pub mod mx;
pub mod network_policy;
pub mod room;
pub mod service;
pub mod service_account;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{
    labels,
    validated::{Owner, RelayName},
};

/// The port inside the pod that takes mail: unprivileged, behind the Service's 25.
pub const SMTP_PORT: u16 = 2525;
/// The port of `/healthz`, `/readyz` and `/metrics`.
pub const HEALTH_PORT: u16 = 8080;
/// The port of `/v1`.
pub const API_PORT: u16 = 8081;

/// The metadata of one relay's object.
fn of_relay(owner: &Owner, relay: &RelayName, name: String) -> ObjectMeta {
    ObjectMeta { labels: Some(labels::relay(owner, relay)), ..of_all(owner, name) }
}

/// The metadata of an object that all relays of a resource share.
fn of_all(owner: &Owner, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(owner.namespace.clone()),
        labels: Some(labels::shared(owner)),
        annotations: Some(labels::owner(owner)),
        ..ObjectMeta::default()
    }
}
