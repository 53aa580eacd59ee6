//! The fields of external-dns' `DNSEndpoint` (`externaldns.k8s.io/v1alpha1`) that the operator writes and reads.
//!
//! The custom resource definition itself comes with external-dns.

use std::collections::BTreeMap;

use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// Record sets that external-dns is to write into a zone.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "externaldns.k8s.io",
    version = "v1alpha1",
    kind = "DNSEndpoint",
    plural = "dnsendpoints",
    namespaced,
    schema = "disabled",
    status = "DNSEndpointStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct DNSEndpointSpec {
    /// The record sets.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
}

/// One record set. external-dns owns it whole: what is not in `targets` is removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// The name, without a trailing dot.
    pub dns_name: String,
    /// The type of the records.
    pub record_type: RecordType,
    /// One entry a record: `"10 mail.example.org"` for MX (one space, no trailing dot: one bad target loses the whole
    /// record set), an address for A and AAAA.
    pub targets: Vec<String>,
    /// How long others may cache the records, in seconds.
    #[serde(rename = "recordTTL", default, skip_serializing_if = "Option::is_none")]
    pub record_ttl: Option<i64>,
    /// Labels that external-dns keeps with the ownership record.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The types of records that the operator publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordType {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    AAAA,
    /// A mail exchange.
    MX,
}

/// What external-dns says of a `DNSEndpoint`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DNSEndpointStatus {
    /// The generation that external-dns has read. It says nothing of the zone: it is set before any provider is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
