//! What is to be in the cluster now: from a checked resource and what is there already. Pure.

mod domains;
mod leaving;
mod publication;
mod renewal;
mod ttl;

pub use domains::{domains_in, domains_of};
pub use leaving::read as retirements;
pub use publication::{addresses_of, is_named, obstacles, published, wanted};

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use backupmx_crds::{DeletionPolicy, dnsendpoint::DNSEndpoint};
use backupmx_relay_config::{ByteSize, DomainName, RelayConfig, status::RelayStatus};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    jiff::Timestamp,
};

pub use self::leaving::held;
use self::renewal::Stage;
use crate::{
    conflict::{Life, Lost},
    desired::{
        claim::{self, Expansion},
        config_map, deployment, disruption,
        document::{self, Tenancy},
        network_policy, service, service_account,
    },
    dns::lookup::{Host, MxSeen},
    gate::{self, Candidate, Readiness, Standing},
    lifecycle::{Phase, Retirement},
    settings::Settings,
    validated::{Relay, RelayName, Validated},
};

/// What is there of one relay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// Its claim.
    pub claim: Option<PersistentVolumeClaim>,
    /// Its ConfigMap of the contract version that this build writes.
    pub config_map: Option<ConfigMap>,
    /// Its Deployment.
    pub deployment: Option<Deployment>,
    /// Its Service.
    pub service: Option<Service>,
    /// The addresses of its host name in DNS, as they were last applied.
    pub addresses: Option<DNSEndpoint>,
    /// The addresses that the load balancer gave.
    pub balancer: Vec<IpAddr>,
    /// What it says of itself. None: it does not answer.
    pub report: Option<RelayStatus>,
    /// Whether it was asked at all.
    pub asked: Asked,
    /// Whether its storage class lets the claim grow.
    pub expansion: Expansion,
}

/// Whether a relay was asked what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// It was; without a report it is silent.
    #[default]
    Yes,
    /// Its first word is awaited: the operator has just started, or the pod has.
    NotYet,
}

/// Whether the cluster serves external-dns' DNSEndpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointApi {
    /// It does.
    Served,
    /// It does not.
    Missing,
}

/// What DNS says, as far as it has answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Of the MX records of the resource's domains, and of those that left it.
    pub mx: BTreeMap<DomainName, MxSeen>,
    /// Of the relays' host names.
    pub hosts: BTreeMap<DomainName, Host>,
}

/// What is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The wall clock.
    pub now: Timestamp,
    /// Whether the resource stays.
    pub life: Life,
    /// Every relay that has a claim, and every one of the spec.
    pub relays: BTreeMap<RelayName, Live>,
    /// The DNSEndpoints of MX records, of this resource's domains and those that left it.
    pub mx: BTreeMap<DomainName, DNSEndpoint>,
    /// What others have.
    pub lost: Lost,
    /// The domains of others who claim a relay host name that this resource has, by that name.
    pub sought: BTreeMap<DomainName, BTreeSet<DomainName>>,
    /// The domains that this namespace may not have.
    pub not_allowed: Vec<DomainName>,
    /// The relay host names that this namespace may not have.
    pub not_allowed_hosts: Vec<DomainName>,
    /// Whether external-dns can be told.
    pub endpoint_api: EndpointApi,
    /// What DNS says.
    pub dns: Seen,
    /// How many more ready relays may be replaced over the whole cluster.
    pub free_rollouts: usize,
}

impl Facts {
    /// Whether a domain is the resource's: its namespace may have it, and no other resource does.
    #[must_use]
    pub fn has_domain(&self, domain: &DomainName) -> bool {
        !self.lost.domains.contains_key(domain) && !self.not_allowed.contains(domain)
    }

    /// Whether a relay host name is the resource's: its namespace may have it, and no other resource does.
    #[must_use]
    pub fn has_host(&self, host: &DomainName) -> bool {
        !self.lost.hostnames.contains_key(host) && !self.not_allowed_hosts.contains(host)
    }
}

/// What is to be in the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Resources {
    /// Of all relays.
    pub service_account: ServiceAccount,
    /// Of all relays.
    pub network_policy: NetworkPolicy,
    /// Of all relays, where there are two or more.
    pub disruption_budget: Option<PodDisruptionBudget>,
    /// The relays that serve.
    pub serving: Vec<Serving>,
    /// The relays that leave.
    pub leaving: Vec<Leaving>,
    /// The relays whose claim was deleted, and makes way for a new one.
    pub renewing: Vec<Renewing>,
    /// The domains' MX record sets. Where a person enters them, only those that are rewritten as a domain leaves.
    pub mx: Vec<DNSEndpoint>,
    /// The relay host names' addresses.
    pub addresses: Vec<DNSEndpoint>,
    /// The addresses of host names that are not the resource's any more.
    pub addresses_deleted: Vec<DNSEndpoint>,
    /// Domains whose record set is deleted.
    pub mx_deleted: Vec<DomainName>,
}

/// A relay that serves.
#[derive(Clone, Debug, PartialEq)]
pub struct Serving {
    /// Its name.
    pub name: RelayName,
    /// Its claim.
    pub claim: PersistentVolumeClaim,
    /// Its ConfigMap.
    pub config_map: ConfigMap,
    /// The document in it, for the running relay.
    pub document: RelayConfig,
    /// Its Deployment; none while others go first.
    pub deployment: Option<Deployment>,
    /// Its Service.
    pub service: Service,
}

/// A relay that leaves. Its Service stays as it is until it is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaving {
    /// Its name.
    pub name: RelayName,
    /// How far it is.
    pub retirement: Retirement,
    /// Its claim, with how far it is.
    pub claim: PersistentVolumeClaim,
    /// Its ConfigMap and the document in it. None: it is lost, and only a person can go on.
    pub config: Option<(ConfigMap, RelayConfig)>,
    /// Its Deployment; none while others go first, and where no pod is needed any more.
    pub deployment: Option<Deployment>,
    /// What is taken away when it is gone.
    pub remains: Remains,
}

/// A relay whose claim was deleted by a person, and holds nothing. It is made anew when that claim is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Renewing {
    /// Its name.
    pub name: RelayName,
}

/// What becomes of the claim of a relay that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// It goes.
    Nothing,
    /// It stays, with its mail.
    Claim,
}

/// Says what is to be in the cluster.
///
/// # Errors
/// A document cannot be written as YAML.
pub fn plan(resource: &Validated, facts: &Facts, settings: &Settings) -> Result<Resources, serde_yaml::Error> {
    let owner = &resource.owner;
    let staying = |name: &RelayName| match facts.life {
        Life::Staying => resource.relays.iter().find(|relay| relay.name == *name),
        Life::Leaving => None,
    };
    let mut serving = Vec::new();
    let mut leaving = Vec::new();
    let mut renewing = Vec::new();
    for (name, live) in &facts.relays {
        match staying(name).map(|relay| (relay, renewal::stage(live))) {
            Some((relay, Stage::Going)) => {
                renewing.push(Renewing { name: relay.name.clone() });
            }
            Some((relay, Stage::Serving | Stage::Closing)) => {
                serving.push(serve(resource, relay, live, facts, settings)?);
            }
            None => leaving.extend(leaving::build(resource, name, live, facts, settings)?),
        }
    }
    hold_back(&mut serving, &mut leaving, facts);
    let (mx, mx_deleted) = publication::records(resource, facts, settings);
    Ok(Resources {
        service_account: service_account::build(owner),
        network_policy: network_policy::build(owner, settings),
        disruption_budget: disruption::build(resource),
        serving,
        leaving,
        renewing,
        mx,
        addresses: publication::addresses(resource, facts, settings),
        addresses_deleted: publication::lost_addresses(resource, facts),
        mx_deleted,
    })
}

fn serve(
    resource: &Validated,
    relay: &Relay,
    live: &Live,
    facts: &Facts,
    settings: &Settings,
) -> Result<Serving, serde_yaml::Error> {
    let owner = &resource.owner;
    let retiring = domains::leaving(resource, relay, live, facts, settings);
    let tenancy: Tenancy = domains::tenancy(resource, relay, live, &retiring, facts);
    let volume = volume(live);
    let wanted = document::build(
        resource,
        relay,
        &document::Input {
            tenancy: &tenancy,
            size: capacity(live).unwrap_or(resource.storage.size),
            token: settings.master_key.token(owner, &relay.name).hash(),
        },
    );
    let wanted = match renewal::stage(live) {
        Stage::Serving => wanted,
        Stage::Closing | Stage::Going => document::closed(wanted),
    };
    let stored = live.config_map.as_ref().and_then(config_map::document);
    let reported = live.report.as_ref().map(|report| report.config_revision);
    let revision = document::revision(stored.as_ref(), reported, &wanted);
    let document = RelayConfig { revision, ..wanted };
    let published = publication::published(resource, facts);
    let known: Vec<DomainName> =
        resource.domains.iter().cloned().chain(retiring.iter().filter_map(|leaving| leaving.domain.clone())).collect();
    let lifetime = ttl::note(resource, facts);
    let state = if retiring.is_empty() { None } else { Some(leaving::write(&retiring)) };
    Ok(Serving {
        name: relay.name.clone(),
        claim: claim::build(
            owner,
            &relay.name,
            &resource.storage,
            &volume,
            claim::Notes {
                domains: &known,
                published: &published,
                ttl: lifetime.as_deref(),
                retiring: state.as_deref(),
            },
        ),
        config_map: config_map::build(owner, &relay.name, &document)?,
        deployment: Some(deployment::build(resource, relay, &document, settings)),
        service: service::build(owner, relay),
        document,
    })
}

/// The relay that is ready and to be replaced, with the Deployment that would do it; one at most.
#[must_use]
pub fn replaced<'a>(planned: &'a mut Resources, facts: &Facts) -> Option<(&'a RelayName, &'a mut Option<Deployment>)> {
    let serving = planned.serving.iter_mut().map(|relay| (&relay.name, &mut relay.deployment));
    let leaving = planned.leaving.iter_mut().map(|relay| (&relay.name, &mut relay.deployment));
    serving.chain(leaving).find(|(name, deployment)| {
        deployment.is_some()
            && standing(facts.relays.get(*name), deployment.as_ref()) == Standing::Stale(Readiness::Ready)
    })
}

/// Takes the Deployments out whose turn it is not.
fn hold_back(serving: &mut [Serving], leaving: &mut [Leaving], facts: &Facts) {
    let candidate = |name: &RelayName, wanted: Option<&Deployment>| Candidate {
        name: name.clone(),
        standing: standing(facts.relays.get(name), wanted),
    };
    let all: Vec<Candidate> = serving.iter().map(|relay| candidate(&relay.name, relay.deployment.as_ref())).collect();
    let others: Vec<Candidate> =
        leaving.iter().filter_map(|relay| Some(candidate(&relay.name, Some(relay.deployment.as_ref()?)))).collect();
    let open = gate::open(&all, facts.free_rollouts);
    let open_leaving = gate::open_leaving(&all, &others, facts.free_rollouts);
    let lasting = |name: &RelayName| facts.relays.get(name).is_some_and(renewal::is_irreplaceable);
    for relay in serving.iter_mut().filter(|relay| !open.contains(&relay.name) || lasting(&relay.name)) {
        relay.deployment = None;
    }
    for relay in leaving.iter_mut().filter(|relay| !open_leaving.contains(&relay.name) || lasting(&relay.name)) {
        relay.deployment = None;
    }
}

fn standing(live: Option<&Live>, wanted: Option<&Deployment>) -> Standing {
    let Some(deployment) = live.and_then(|live| live.deployment.as_ref()) else { return Standing::Absent };
    if live.is_some_and(renewal::is_irreplaceable) || matches(deployment, wanted) {
        Standing::Current(readiness(deployment))
    } else {
        Standing::Stale(in_service(deployment))
    }
}

/// Whether a relay that is to be replaced takes mail: it does from the moment that its pod is ready, also while it is not
/// counted as available yet. Two that have just come up must not be taken for broken, and replaced at once.
fn in_service(deployment: &Deployment) -> Readiness {
    let ready = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0) > 0;
    if ready { Readiness::Ready } else { readiness(deployment) }
}

fn matches(live: &Deployment, wanted: Option<&Deployment>) -> bool {
    let template = |deployment: &Deployment| {
        let template = deployment.spec.as_ref().map(|spec| &spec.template);
        serde_json::to_value(template).unwrap_or_default()
    };
    wanted.is_some_and(|wanted| crate::apply::subset::contains(Some(&template(live)), &template(wanted)))
}

/// Whether a Deployment's pod takes mail on its newest template.
#[must_use]
pub fn readiness(deployment: &Deployment) -> Readiness {
    let status = deployment.status.clone().unwrap_or_default();
    let observed = status.observed_generation.unwrap_or(0) >= deployment.metadata.generation.unwrap_or(0);
    let (updated, available) = (status.updated_replicas.unwrap_or(0), status.available_replicas.unwrap_or(0));
    if observed && updated > 0 && available > 0 && status.replicas == Some(updated) {
        Readiness::Ready
    } else {
        Readiness::Unready
    }
}

fn volume(live: &Live) -> claim::Live {
    claim::Live {
        requested: live.claim.as_ref().and_then(|claim| {
            let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
            requests.get("storage")?.0.parse().ok()
        }),
        fill: fill(live),
        // A claim that is not bound yet cannot be changed.
        expansion: if is_bound(live) { live.expansion } else { Expansion::Unknown },
    }
}

/// How full its volume is. None: the relay has not said.
#[must_use]
pub fn fill(live: &Live) -> Option<claim::Fill> {
    live.report.as_ref().filter(|report| report.storage.size > 0).map(|report| claim::Fill {
        used: ByteSize::bytes(report.storage.used),
        available: ByteSize::bytes(report.storage.available),
    })
}

fn is_bound(live: &Live) -> bool {
    let status = live.claim.as_ref().and_then(|claim| claim.status.as_ref());
    status.is_some_and(|status| status.phase.as_deref() == Some("Bound"))
}

/// What the volume really has: what is asked for may come later.
fn capacity(live: &Live) -> Option<ByteSize> {
    let has = live.claim.as_ref()?.status.as_ref()?.capacity.as_ref()?.get("storage")?.0.parse().ok()?;
    Some(volume(live).requested.map_or(has, |asked| asked.min(has)))
}

/// Whether nothing is left of the resource's relays that would have to be waited for.
#[must_use]
pub fn is_over(resources: &Resources) -> bool {
    resources.serving.is_empty() && resources.leaving.iter().all(|relay| relay.retirement.phase == Phase::Gone)
}

const fn remains(policy: DeletionPolicy, life: Life) -> Remains {
    match (policy, life) {
        (DeletionPolicy::Retain, Life::Leaving) => Remains::Claim,
        (DeletionPolicy::Drain | DeletionPolicy::Discard, _) | (DeletionPolicy::Retain, Life::Staying) => {
            Remains::Nothing
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
