//! The relays: their names, Services and volumes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, Toleration};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// One backup server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Relay {
    /// A short name for this relay, unique in the resource: 1 to 32 lower-case letters, digits and hyphens, the first
    /// a letter. It is part of the names of the relay's objects, and cannot be changed. Where there is more than one
    /// relay, each needs a name. Default `a`.
    #[serde(default = "default_name")]
    #[schemars(schema_with = "schema::relay_name")]
    pub name: String,
    /// The public host name, which the MX record points at and the relay greets with, such as
    /// `mx1.backup.example.net`. It cannot be changed. One relay in the cluster has it: the oldest keeps it.
    #[schemars(schema_with = "schema::hostname")]
    pub hostname: String,
    /// The preference of its MX record, 0 to 65535; senders try the lowest first, so it must be higher than the
    /// primary's lowest. Default 20.
    #[serde(default = "default_preference")]
    pub preference: u16,
    /// What differs from `spec.service` for this relay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceOverrides>,
    /// The public IP addresses of this relay, at most 8: they go into DNS in place of the load balancer's. For relays
    /// behind a router that translates addresses, and for Services that are not of type LoadBalancer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::addresses")]
    pub addresses: Vec<String>,
    /// Where the relay's pod may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling: Option<Scheduling>,
}

/// Where the relay's pod may run. Relays of one resource keep apart over nodes and zones where they can.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scheduling {
    /// Labels that the node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that the pod puts up with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Affinities of the pod, beside the rule that spreads relays over nodes and zones where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
}

/// The Service in front of each relay. It keeps the client's address (`externalTrafficPolicy: Local`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// `LoadBalancer`, `NodePort` or `ClusterIP`. With the latter two something else must lead port 25 of the relay's
    /// public address here, and `relays[].addresses` says which address that is. Default `LoadBalancer`.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,
    /// Annotations of the Service, as the load balancer's controller wants them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What differs from `spec.service` for one relay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceOverrides {
    /// `LoadBalancer`, `NodePort` or `ClusterIP`. Default: that of `spec.service`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ServiceType>,
    /// Annotations that are added to those of `spec.service`; of two with one key this one counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The type of a relay's Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// An address of its own from the cluster's load balancer.
    #[default]
    LoadBalancer,
    /// A port on every node.
    NodePort,
    /// Reachable within the cluster only.
    ClusterIP,
}

/// The queue volume of each relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "has(self.storageClassName) == has(oldSelf.storageClassName) && \
         (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
        "storage.storageClassName: cannot be changed, because volumes cannot move to another class; make another \
         BackupMX with the new class, and delete this one",
    ),
    validation = (
        "!has(self.maxSize) || !isQuantity(self.size) || !isQuantity(self.maxSize) || \
         quantity(self.maxSize).compareTo(quantity(self.size)) >= 0",
        "storage.maxSize: must be at least storage.size",
    ),
)]
pub struct Storage {
    /// The size of each relay's volume, such as `10Gi`. It may grow, never shrink; held mail may take all of it but a
    /// small reserve. Default 10Gi.
    #[serde(default = "default_size")]
    #[schemars(schema_with = "schema::quantity")]
    pub size: String,
    /// A volume that is three quarters full grows by itself up to this size, where its class allows that. Default:
    /// it does not grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub max_size: Option<String>,
    /// The class of the volumes. It cannot be changed. Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub storage_class_name: Option<String>,
}

impl Default for Storage {
    fn default() -> Self {
        Self { size: default_size(), max_size: None, storage_class_name: None }
    }
}

fn default_name() -> String {
    "a".to_owned()
}

const fn default_preference() -> u16 {
    20
}

fn default_size() -> String {
    "10Gi".to_owned()
}
