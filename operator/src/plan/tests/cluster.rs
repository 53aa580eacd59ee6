//! A cluster in memory, on which the stories of planning play.

use std::collections::BTreeMap;

use backupmx_crds::dnsendpoint::DNSEndpoint;
use backupmx_relay_config::{
    DomainName, RelayConfig,
    status::{Accepting, QueueStatus, RelayStatus, StorageStatus},
};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentStatus},
        core::v1::PersistentVolumeClaim,
    },
    jiff::ToSpan,
};

use crate::{
    conflict::{Life, Lost},
    desired::{config_map, fixture},
    dns::{lookup::Host, tests::seen},
    labels,
    plan::{EndpointApi, Facts, Live, Resources, Seen, plan},
    validated::{RelayName, Validated},
};

/// The address of every relay.
const ADDRESS: &str = "192.0.2.10";

/// A cluster that does what it is told: every pass applies the plan and lets the pods become ready.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) resource: Validated,
    pub(crate) facts: Facts,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let resource = fixture::validated();
        let relays = resource.relays.iter().map(|relay| (relay.name.clone(), Live::default())).collect();
        let facts = Facts {
            now: "2027-01-15T08:00:00Z".parse().unwrap(),
            life: Life::Staying,
            relays,
            mx: BTreeMap::new(),
            address_sets: Vec::new(),
            lost: Lost::default(),
            sought: BTreeMap::new(),
            not_allowed: Vec::new(),
            not_allowed_hosts: Vec::new(),
            endpoint_api: EndpointApi::Served,
            dns: Seen::default(),
            free_rollouts: 1,
        };
        Self { resource, facts }
    }

    /// A cluster in which all is as wanted and published.
    pub(crate) fn settled() -> Self {
        let mut cluster = Self::new();
        cluster.pass();
        for live in cluster.facts.relays.values_mut() {
            live.balancer = vec![ADDRESS.parse().unwrap()];
        }
        for relay in cluster.resource.relays.clone() {
            cluster.resolve(&relay.hostname);
        }
        cluster.pass();
        cluster.pass();
        cluster
    }

    /// The same, and the records were seen in DNS.
    pub(crate) fn published() -> Self {
        let mut cluster = Self::settled();
        cluster.dns_follows();
        cluster.pass();
        cluster
    }

    /// DNS has the address of a relay's host name from now on.
    pub(crate) fn resolve(&mut self, host: &DomainName) {
        self.facts.dns.hosts.insert(host.clone(), Host::Addresses([ADDRESS.parse().unwrap()].into()));
    }

    /// DNS has from now on what the DNSEndpoints say.
    pub(crate) fn dns_follows(&mut self) {
        for (domain, set) in &self.facts.mx {
            let records: Vec<(u16, &str)> = set.spec.endpoints[0]
                .targets
                .iter()
                .filter_map(|target| {
                    target.split_once(' ').map(|(preference, host)| (preference.parse().unwrap(), host))
                })
                .collect();
            self.facts.dns.mx.insert(domain.clone(), seen::records(self.facts.now, &records));
        }
    }

    pub(crate) fn plan(&self) -> Resources {
        plan(&self.resource, &self.facts, &fixture::settings()).unwrap()
    }

    pub(crate) fn pass(&mut self) -> Resources {
        let planned = self.plan();
        for relay in &planned.serving {
            let live = self.facts.relays.get_mut(&relay.name).unwrap();
            live.claim = Some(written(live.claim.as_ref(), &relay.claim));
            live.document = Some(relay.document.clone());
            live.noted = config_map::claim(&relay.config_map);
            live.service = Some(relay.service.clone());
            if let Some(deployment) = &relay.deployment {
                live.deployment = Some(Deployment { status: Some(ready()), ..deployment.clone() });
            }
            live.report = Some(report(&relay.document, 0));
        }
        for relay in &planned.leaving {
            let live = self.facts.relays.get_mut(&relay.name).unwrap();
            live.claim = Some(written(live.claim.as_ref(), &relay.claim));
            if let Some((_, document)) = &relay.config {
                live.document = Some(document.clone());
                let held = live.report.as_ref().map_or(0, |report| report.queue.messages);
                live.report = Some(report(document, held));
            }
            if let Some(deployment) = &relay.deployment {
                live.deployment = Some(Deployment { status: Some(ready()), ..deployment.clone() });
            }
        }
        for set in &planned.addresses {
            let relay = name(&set.metadata.labels.as_ref().unwrap()[labels::RELAY]);
            self.facts.relays.get_mut(&relay).unwrap().addresses = Some(set.clone());
        }
        let written =
            |sets: &[DNSEndpoint], one: &DNSEndpoint| sets.iter().any(|set| set.metadata.name == one.metadata.name);
        self.facts.address_sets.retain(|set| {
            let anew = written(&planned.addresses, set) || written(&planned.addresses_leaving, set);
            !anew && !written(&planned.addresses_deleted, set)
        });
        self.facts.address_sets.extend([planned.addresses.clone(), planned.addresses_leaving.clone()].concat());
        for set in &planned.addresses_deleted {
            for live in self.facts.relays.values_mut().filter(|live| live.addresses.as_ref() == Some(set)) {
                live.addresses = None;
            }
        }
        for set in &planned.mx {
            let domain: DomainName = set.spec.endpoints[0].dns_name.parse().unwrap();
            self.facts.mx.insert(domain, set.clone());
        }
        for domain in &planned.mx_deleted {
            self.facts.mx.remove(domain);
        }
        planned
    }

    pub(crate) fn later(&mut self, seconds: i64) {
        self.facts.now = self.facts.now.checked_add(seconds.seconds()).unwrap();
    }

    /// What is there of a relay.
    pub(crate) fn live(&mut self, relay: &str) -> &mut Live {
        self.facts.relays.get_mut(&name(relay)).unwrap()
    }

    pub(crate) fn targets(&self, domain: &str) -> Vec<String> {
        let set = self.facts.mx.get(domain);
        set.map(|set| set.spec.endpoints[0].targets.clone()).unwrap_or_default()
    }
}

/// A claim as it is when it was applied: the API server's own fields stay.
fn written(live: Option<&PersistentVolumeClaim>, wanted: &PersistentVolumeClaim) -> PersistentVolumeClaim {
    let mut claim = wanted.clone();
    if let Some(live) = live {
        claim.metadata.deletion_timestamp = live.metadata.deletion_timestamp.clone();
        claim.metadata.creation_timestamp = live.metadata.creation_timestamp.clone();
    }
    claim
}

fn ready() -> DeploymentStatus {
    DeploymentStatus {
        replicas: Some(1),
        updated_replicas: Some(1),
        available_replicas: Some(1),
        ..DeploymentStatus::default()
    }
}

fn report(document: &RelayConfig, held: u64) -> RelayStatus {
    let queue = |messages| QueueStatus { messages, ..QueueStatus::default() };
    RelayStatus {
        version: "0.1.0".into(),
        generation: None,
        contract_version: 1,
        config_revision: document.revision,
        config_kept: Some(document.revision),
        config_error: None,
        hostname: document.hostname.to_string(),
        started: "2027-01-15T08:00:00Z".into(),
        listeners: Vec::new(),
        accepting: Accepting::Yes,
        queue: queue(held),
        in_flight: Some(0),
        storage: StorageStatus::default(),
        tenants: document.tenants.iter().map(|tenant| tenant_status(&tenant.name, held)).collect(),
        orphaned: queue(0),
        reports: queue(0),
        clock_jumped: false,
        discards_domains: true,
    }
}

fn tenant_status(name: &str, held: u64) -> backupmx_relay_config::status::TenantStatus {
    use backupmx_relay_config::status::{PrimaryState, PrimaryStatus, TenantStatus};
    TenantStatus {
        name: name.into(),
        domains: Vec::new(),
        primary: PrimaryStatus {
            state: PrimaryState::Up,
            since: "2027-01-15T08:00:00Z".into(),
            next_probe: None,
            last_error: None,
            reject_storm: false,
            looping: false,
        },
        queue: QueueStatus { messages: held, ..QueueStatus::default() },
        in_flight: Some(0),
        suspended: false,
    }
}

pub(super) fn name(text: &str) -> RelayName {
    text.parse().unwrap()
}

pub(super) const WHOLE: [&str; 3] = ["10 mail.example.org", "20 mx1.backup.example.net", "30 mx2.backup.example.net"];

/// What leaves is waited for until its caches have run out, and then closed.
pub(crate) fn leave(cluster: &mut Cluster) {
    for _ in 0..2 {
        cluster.pass();
    }
    cluster.later(900);
    for _ in 0..3 {
        cluster.pass();
    }
}
