//! A BackupMX that was checked: what is built from it cannot fail.

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr};

use backupmx_crds::{Activation, AddressRecords, DeletionPolicy, DnsMode, OnRelease, ServiceType};
use backupmx_relay_config::{Acceptance, Bounce, ByteSize, Delivery, DomainName, HoldTimes, Primary};
use k8s_openapi::{
    api::core::v1::{Affinity, Toleration},
    apimachinery::pkg::api::resource::Quantity,
};

/// Which resource an object is made for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The resource's namespace.
    pub namespace: String,
    /// The resource's name.
    pub name: String,
    /// The resource's UID: another resource of the same name is another owner.
    pub uid: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A relay's name within its resource: a DNS label of 1 to 63 octets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayName(String);

/// What is wrong with a text that should be a [`RelayName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 63 lower-case letters, digits and inner hyphens; got {0:?}")]
pub struct RelayNameError(String);

impl RelayName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RelayName {
    type Err = RelayNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = (1..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if good { Ok(Self(text.to_owned())) } else { Err(RelayNameError(text.to_owned())) }
    }
}

impl fmt::Display for RelayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A BackupMX that was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Validated {
    /// Whose it is.
    pub owner: Owner,
    /// The generation of the spec that it is made from.
    pub generation: Option<i64>,
    /// That spec, as [`crate::terms::note`] writes it. Empty: it is not to be noted.
    pub noted: String,
    /// The domains, one or more, each once.
    pub domains: Vec<DomainName>,
    /// Where held mail goes.
    pub primary: Primary,
    /// The primary's part of each domain's MX record set; one or more.
    pub primary_mx: Vec<Mx>,
    /// The relays, one to eight, each with its own name and host name.
    pub relays: Vec<Relay>,
    /// The volume of each relay.
    pub storage: Storage,
    /// When mail is first taken.
    pub activation: Activation,
    /// What is taken.
    pub acceptance: Acceptance,
    /// How long mail is held.
    pub hold: HoldTimes,
    /// How mail is handed over.
    pub delivery: Delivery,
    /// What is reported to senders.
    pub bounce: Bounce,
    /// What is published.
    pub dns: Dns,
    /// The Secret with the certificate of the relay host names. None: self-signed.
    pub tls_secret: Option<String>,
    /// What each relay's pod asks for, and what it may have.
    pub resources: PodResources,
    /// What becomes of held mail when the resource is deleted.
    pub deletion: DeletionPolicy,
}

impl Validated {
    /// Whether its spec could be used: one that is being deleted may say nothing of where its mail goes.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        !self.primary.hosts.is_empty()
    }
}

/// One MX record's preference and host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mx {
    /// Lower is tried first.
    pub preference: u16,
    /// The host.
    pub host: DomainName,
}

/// One relay.
#[derive(Clone, Debug, PartialEq)]
pub struct Relay {
    /// Its name; never changes.
    pub name: RelayName,
    /// Its host name: in its greeting, and the MX record's host. Never changes.
    pub hostname: DomainName,
    /// Its MX record's preference.
    pub preference: u16,
    /// How it is reached.
    pub service: Service,
    /// What replaces the load balancer's addresses in DNS.
    pub addresses: Vec<IpAddr>,
    /// Where its pod may run.
    pub scheduling: Scheduling,
}

/// How a relay is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// The kind of Service.
    pub kind: ServiceType,
    /// The Service's annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Where a relay's pod may run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scheduling {
    /// Labels that the node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pod tolerates.
    pub tolerations: Vec<Toleration>,
    /// Affinity, as Kubernetes has it.
    pub affinity: Option<Affinity>,
}

/// The volume of each relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The size that is asked for first.
    pub size: ByteSize,
    /// The size up to which it may grow. None: it does not grow.
    pub max_size: Option<ByteSize>,
    /// The storage class. None: the cluster's default.
    pub class: Option<String>,
}

/// What a relay's pod asks for, and what it may have.
#[derive(Clone, Debug, PartialEq)]
pub struct PodResources {
    /// What the node keeps free for it.
    pub requests: BTreeMap<String, Quantity>,
    /// What it may take at most.
    pub limits: BTreeMap<String, Quantity>,
    /// The memory of the limits, where they have any.
    pub memory: Option<ByteSize>,
}

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Who writes the records.
    pub mode: DnsMode,
    /// Seconds that others may keep the records.
    pub ttl: u32,
    /// Whether the addresses of relay host names are published as well.
    pub addresses: AddressRecords,
    /// What becomes of a domain's record set when the domain leaves.
    pub on_release: OnRelease,
}
