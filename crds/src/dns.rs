//! How the MX records are published.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the MX records are published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dns {
    /// `ExternalDNS`: a DNSEndpoint for each domain holds the whole MX record set, the primary's records too, and
    /// external-dns writes it into the zone. `Manual`: nothing is published, `status.mxRecords` lists what to enter,
    /// and whether it is there is checked all the same. What was written before a change to `Manual` stays, the relay
    /// hostnames' addresses too, and external-dns goes on writing it: the message of `DNSPublished` names each
    /// DNSEndpoint, and what to do before it is deleted. Default `ExternalDNS`.
    #[serde(default)]
    pub mode: DnsMode,
    /// How long others may cache the records, in seconds: 60 to 86400. Leaving takes at least that long. Default 300.
    #[serde(default = "default_ttl")]
    #[schemars(range(min = 60, max = 86_400))]
    pub ttl: u32,
    /// The A and AAAA records of the relay hostnames. `Publish`: they are published like the MX records. `Manual`:
    /// somebody else takes care of them; what was written before a change to it stays as with `mode`. Default `Publish`.
    #[serde(default)]
    pub addresses: AddressRecords,
    /// What becomes of a domain's MX records when it leaves this resource. `KeepPrimary`: the records of the primary
    /// stay, so that the domain still gets mail. `Delete`: all of them go. Default `KeepPrimary`.
    #[serde(default)]
    pub on_release: OnRelease,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            mode: DnsMode::default(),
            ttl: default_ttl(),
            addresses: AddressRecords::default(),
            on_release: OnRelease::default(),
        }
    }
}

/// Who writes the MX records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DnsMode {
    /// external-dns, from the DNSEndpoints that the operator writes.
    #[default]
    ExternalDNS,
    /// A person, from the status.
    Manual,
}

/// Who writes the address records of the relay hostnames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AddressRecords {
    /// They go the way of the MX records.
    #[default]
    Publish,
    /// Somebody else.
    Manual,
}

/// What becomes of a domain's MX records when it leaves the resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnRelease {
    /// The primary's stay.
    #[default]
    KeepPrimary,
    /// All go.
    Delete,
}

const fn default_ttl() -> u32 {
    300
}
