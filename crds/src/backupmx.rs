//! The `BackupMX` resource itself.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Acceptance, BackupMXStatus, Bounce, Delivery, Dns, Hold, Primary, Relay, Resources, Service, Storage, schema,
};

/// A backup mail exchange for domains that share one primary.
///
/// Each relay takes mail for the domains while the primary is down, holds it on disk, and hands it over when the
/// primary is back. Only `domains`, `primary` and `relays` must be given.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "backupmx.io",
    version = "v1alpha1",
    kind = "BackupMX",
    plural = "backupmxes",
    singular = "backupmx",
    shortname = "bmx",
    category = "mail",
    namespaced,
    status = "BackupMXStatus",
    derive = "PartialEq",
    doc = "A backup mail exchange: relays that hold mail for domains while their own server is down, and \
           the MX records that lead there.",
    validation = (
        "size(self.metadata.name) <= 63",
        "metadata.name: must have at most 63 characters, because it becomes the value of a label",
    ),
    // A column shows the first of several values only, and a list as JSON.
    printcolumn(
        name = "Domains",
        type_ = "string",
        json_path = ".status.domainsText",
        description = "The mail domains: the first two, and how many more"
    ),
    printcolumn(
        name = "Primary",
        type_ = "string",
        json_path = ".status.primary.state",
        description = "State of the server that mail is held for"
    ),
    printcolumn(
        name = "Queued",
        type_ = "integer",
        json_path = ".status.queue.messages",
        description = "Messages that all relays hold"
    ),
    printcolumn(
        name = "Oldest",
        type_ = "date",
        json_path = ".status.queue.oldestMessageTime",
        description = "Age of the oldest message that is held"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Published",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="DNSPublished")].reason"#,
        description = "What the zones' own servers say about the MX records",
        priority = 1
    ),
    printcolumn(
        name = "Bytes",
        type_ = "integer",
        json_path = ".status.queue.bytes",
        description = "Octets that all relays hold",
        priority = 1
    ),
    printcolumn(
        name = "Suspended",
        type_ = "boolean",
        json_path = ".spec.delivery.suspended",
        description = "Whether delivery is stopped by spec.delivery.suspended",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        description = "Why the resource is ready or not",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.relays.all(r, has(self.primary.mx) ? self.primary.mx.exists(m, m.preference < r.preference) : \
         (!has(self.primary.hosts) || !self.primary.hosts.exists(h, h.port == 25 && !isIP(h.host)) || \
         self.primary.hosts.exists(h, h.port == 25 && !isIP(h.host) && h.preference < r.preference)))",
        "relays[].preference: must be higher than the lowest preference of the primary that is published (primary.mx, or \
         those of primary.hosts with a name and port 25 where mx is not given), or senders would go to the backup first",
    ),
    validation = (
        "self.relays.all(r, (!has(self.primary.hosts) || !self.primary.hosts.exists(h, h.host == r.hostname)) && \
         (!has(self.primary.mx) || !self.primary.mx.exists(m, m.host == r.hostname)))",
        "relays[].hostname: must not be a host of the primary, or mail would go round in a circle",
    ),
    validation = (
        "self.dns.mode != 'ExternalDNS' || self.dns.addresses != 'Publish' || self.relays.all(r, has(r.addresses) || \
         (has(r.service) && has(r.service.type) ? r.service.type : self.service.type) == 'LoadBalancer')",
        "relays[].addresses: must be given where the Service is not of type LoadBalancer, because there is no \
         address to publish otherwise; or set dns.addresses to Manual",
    ),
)]
pub struct BackupMXSpec {
    /// The mail domains to back up, such as `example.org`: 1 to 50, without a trailing dot. An internationalised
    /// domain may be written as people write it or in its `xn--` form. A domain has one BackupMX in the cluster:
    /// the oldest keeps it.
    #[schemars(schema_with = "schema::domains")]
    pub domains: Vec<String>,
    /// The server that the mail is for.
    pub primary: Primary,
    /// The backup servers, 1 to 8. Each is one Deployment with one queue volume and one MX host, so two relays keep
    /// taking mail when a node is lost. Each has a hostname of its own, by which `kubectl apply --server-side` tells
    /// them apart; where there is more than one, each needs a name too.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(
        // By name, two relays without one would be refused as duplicates, and nobody told that they need names.
        merge_strategy = ListMerge::Map(vec!["hostname".into()]),
        validation = (
            "self.all(r, self.exists_one(s, s.name == r.name))",
            "relays[].name: must be unique, and a relay without a name is named a; where there is more than one relay, \
             give each a name",
        ),
        validation = (
            "self.all(r, !oldSelf.exists(o, o.name == r.name && o.hostname != r.hostname))",
            "relays[].hostname: cannot be changed, because senders have the old name in their caches; add a relay with \
             a new name and the new hostname, and remove this one when the new one is ready",
        ),
        validation = (
            "self.all(r, !oldSelf.exists(o, o.hostname == r.hostname && o.name != r.name))",
            "relays[].name: cannot be changed, because the volume with the relay's mail bears it (a relay without a name \
             is named a); keep the name, or add a relay with a new name and a new hostname, and remove this one when the \
             new one is ready",
        ),
    )]
    pub relays: Vec<Relay>,
    /// The queue volume of each relay.
    #[serde(default)]
    pub storage: Storage,
    /// Which mail is taken.
    #[serde(default)]
    pub acceptance: Acceptance,
    /// How long mail is held.
    #[serde(default)]
    pub hold: Hold,
    /// How mail is handed over to the primary.
    #[serde(default)]
    pub delivery: Delivery,
    /// What senders are told about mail that could not be delivered.
    #[serde(default)]
    pub bounce: Bounce,
    /// How the MX records are published.
    #[serde(default)]
    pub dns: Dns,
    /// The certificate that relays show to senders.
    #[serde(default)]
    pub tls: RelayTls,
    /// The Service in front of each relay.
    #[serde(default)]
    pub service: Service,
    /// CPU and memory of each relay's pod, as `resources` of a container has them. A change replaces the pods, one at a
    /// time.
    #[serde(default)]
    pub resources: Resources,
    /// What happens to held mail when this resource is deleted. `Drain`: the MX records are changed back, mail is
    /// taken until senders have noticed, and what is held is delivered; only then do the relays and volumes go.
    /// `Retain` and `Discard`: the relays take no more mail (451) and go when senders have noticed that the MX records
    /// changed (the largest `dns.ttl` and 10 minutes); with `Retain` the volumes stay with their mail, with `Discard` it
    /// is lost. The annotation `backupmx.io/release: discard` on a volume claim has its relay go at once, and its mail
    /// with it. Default `Drain`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// What happens to held mail when the resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Delivered before the relays and volumes go.
    #[default]
    Drain,
    /// Kept on the volumes, which stay.
    Retain,
    /// Lost.
    Discard,
}

/// The certificate that relays show to senders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RelayTls {
    /// The name of a Secret of type kubernetes.io/tls in this namespace whose certificate covers the hostnames of all
    /// relays. It is read again when it changes. Default: each relay makes a self-signed certificate, which senders
    /// take for opportunistic encryption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub secret_name: Option<String>,
}
