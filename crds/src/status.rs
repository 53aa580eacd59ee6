//! What the operator says of a `BackupMX`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator says of the resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupMXStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is the case, and why. `Ready` says that relays are available on the current config and that the MX records
    /// were published once; it looks neither at the primary nor at the queue. `Reconciling` and `Stalled` say that work
    /// goes on, or that it waits for a person. Others: `RelaysReady`, `PrimaryReachable`, `DNSPublished`,
    /// `QueueHealthy`, `StorageHealthy`, `DomainConflict`, `HostnameConflict`, `Draining`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The domains of the spec in one line, as `kubectl get` shows them: the first two, and how many more there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domains_text: Option<String>,
    /// The domains as they are in DNS (`xn--` forms), those in conflict left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// The server that mail is held for, as the relays see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<PrimaryStatus>,
    /// What all relays hold together, those that do not answer with what they said last. Written at once when it
    /// becomes empty or not empty, otherwise every minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueStatus>,
    /// The relays, those too that are being retired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub relays: Vec<RelayStatus>,
    /// The MX records of every domain as lines of a zone file, ready to paste; where `dns.mode` is `Manual`, the
    /// addresses of the relay hostnames too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mx_records: Vec<String>,
    /// The value of the annotation `backupmx.io/flush` that was acted on last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_flush: Option<String>,
}

/// The primary as the relays see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrimaryStatus {
    /// `Up`: mail is handed over. `Suspect`: a session failed, it is being looked at. `Down`: no host answers.
    /// `Recovering`: it is back, and held mail is handed over with care. `Deferring`: it answers, but takes no mail.
    /// `Rejecting`: it is back but refuses so much that delivery was stopped. `Unknown`: no relay has said anything.
    pub state: PrimaryState,
    /// Since when it is in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What went wrong last, in the words of the primary or the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// What state the primary is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PrimaryState {
    /// Mail is handed over.
    Up,
    /// A session failed; it is being looked at.
    Suspect,
    /// No host answers.
    Down,
    /// It is back, and held mail is handed over with care.
    Recovering,
    /// It answers, but takes no mail.
    Deferring,
    /// It is back, but refuses so much that delivery was stopped.
    Rejecting,
    /// No relay has said anything yet.
    #[default]
    Unknown,
}

/// Mail that is held.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueStatus {
    /// Messages.
    #[serde(default)]
    pub messages: u64,
    /// Octets of these messages.
    #[serde(default)]
    pub bytes: u64,
    /// Of these, messages that wait for a person: rejected by the primary, or in a loop.
    #[serde(default)]
    pub held: u64,
    /// Of these, messages that can neither be delivered nor bounced: kept until their hold time ends.
    #[serde(default)]
    pub parked: u64,
    /// When the oldest of them arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_message_time: Option<Time>,
}

/// One relay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RelayStatus {
    /// Its name in `spec.relays`.
    pub name: String,
    /// Whether its pod takes mail.
    #[serde(default)]
    pub ready: bool,
    /// Its addresses in DNS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// The revision of the config that it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_revision: Option<i64>,
    /// What it holds; where it does not answer, what it said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueStatus>,
    /// Its volume, as it said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeStatus>,
}

/// The volume of a relay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeStatus {
    /// What held mail may take, such as `10Gi`.
    pub size: String,
    /// How much of it is taken, in percent, 0 to 100.
    pub used_percent: u8,
}
