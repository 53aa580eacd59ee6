//! What is to be in the cluster now: from a checked resource and what is there already. Pure.

mod domains;
mod facts;
mod leaving;
mod loss;
mod orders;
mod publication;
mod release;
mod renewal;
mod strays;
mod ttl;
mod turns;
mod word;

pub use domains::{domains_in, domains_of};
pub use facts::{Asked, EndpointApi, Facts, Live, Seen};
pub use leaving::read as retirements;
pub use loss::{Loss, lost_before, lost_on_leaving};
pub use orders::{Cleared, ClearedBy, cleared, is_clearing, let_go};
pub use publication::{addresses_of, is_named, is_written, obstacles, published, wanted};
pub use release::{Released, released};
pub use renewal::is_on_lost_claim;
pub use turns::{readiness, replaced};
pub use word::{Disobeyed, disobeyed, unheard};

use backupmx_crds::{DeletionPolicy, dnsendpoint::DNSEndpoint};
use backupmx_relay_config::{ByteSize, DomainName, RelayConfig};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};

pub use self::leaving::held;
use self::{renewal::Stage, strays::Strays, word::Word};
use crate::{
    conflict::Life,
    desired::{
        claim::{self, Expansion},
        config_map, deployment, disruption,
        document::{self, Tenancy},
        network_policy, service, service_account,
    },
    labels,
    lifecycle::{Phase, Retirement},
    settings::Settings,
    validated::{Relay, RelayName, Validated},
};

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
    /// The addresses of host names that no relay has any more, and that senders may still have, with how far they are.
    pub addresses_leaving: Vec<DNSEndpoint>,
    /// The addresses of host names that are not the resource's any more, and of those that senders have no more.
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

/// A relay whose claim was deleted by a person, or is gone, and whose pod holds nothing. It is made anew when both are.
#[derive(Clone, Debug, PartialEq)]
pub struct Renewing {
    /// Its name.
    pub name: RelayName,
    /// Its ConfigMap, which says that the claim is let go, and that the door is shut. None: it says so already, or nobody
    /// lets the claim go.
    pub config_map: Option<ConfigMap>,
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
    let stages = renewal::stages(facts.relays.iter().filter(|(name, _)| staying(name).is_some()));
    for (name, live) in &facts.relays {
        match staying(name).map(|relay| (relay, stages.get(name).copied().unwrap_or(Stage::Serving))) {
            Some((relay, Stage::Going)) => {
                renewing.push(renewal::renew(owner, &relay.name, live)?);
            }
            Some((relay, stage @ (Stage::Serving | Stage::Closing))) => {
                serving.push(serve(resource, relay, (live, stage), facts, settings)?);
            }
            None => leaving.extend(leaving::build(resource, name, live, facts, settings)?),
        }
    }
    turns::hold_back(&mut serving, &mut leaving, &stages, facts);
    let (mx, mx_deleted) = publication::records(resource, facts, settings);
    let Strays { kept, deleted } = strays::strays(resource, facts, settings);
    let mut planned = Resources {
        service_account: service_account::build(owner, &resource.noted),
        network_policy: network_policy::build(owner, settings),
        disruption_budget: disruption::build(resource),
        serving,
        leaving,
        renewing,
        mx,
        addresses: publication::addresses(resource, facts, settings),
        addresses_leaving: kept,
        addresses_deleted: [publication::lost_addresses(resource, facts), deleted].concat(),
        mx_deleted,
    };
    if facts.life == Life::Leaving && is_over(&planned) {
        // Nobody is left to see to them, or to answer at them.
        planned.addresses_leaving.clear();
        planned.addresses_deleted.clone_from(&facts.address_sets);
    }
    Ok(planned)
}

fn serve(
    resource: &Validated,
    relay: &Relay,
    (live, stage): (&Live, Stage),
    facts: &Facts,
    settings: &Settings,
) -> Result<Serving, serde_yaml::Error> {
    let owner = &resource.owner;
    let retiring = domains::leaving(resource, relay, live, facts, settings);
    let tenancy: Tenancy = domains::tenancy(resource, relay, live, &retiring, facts);
    let volume = volume(live);
    let input = document::Input {
        tenancy: &tenancy,
        size: capacity(live).unwrap_or(resource.storage.size),
        token: settings.master_key.token(owner, &relay.name).hash(),
    };
    let wanted = document::within(document::build(resource, relay, &input), pod_memory(live));
    let wanted = match stage {
        Stage::Serving => wanted,
        Stage::Closing | Stage::Going => document::closed(wanted),
    };
    let reported = live.report.as_ref().map(|report| report.config_revision);
    let revision = document::revision(live.document.as_ref(), reported, &wanted);
    let document = RelayConfig { revision, ..wanted };
    let published = publication::published_with(resource, relay, live, facts);
    let known: Vec<DomainName> =
        resource.domains.iter().cloned().chain(retiring.iter().filter_map(|leaving| leaving.domain.clone())).collect();
    let lifetime = ttl::note(resource, facts);
    let state = if retiring.is_empty() { None } else { Some(leaving::write(&retiring)) };
    let lost = loss::note(live, facts.now);
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
                lost: lost.as_deref(),
                release: Word::of(live.claim.as_ref()).is_some_and(|word| word.is_noted_now()).then_some(labels::NOTED),
            },
        ),
        config_map: config_map::build(owner, &relay.name, &document, config_map::Claim::Held)?,
        deployment: Some(deployment::build(resource, relay, &document, settings)),
        service: service::build(owner, relay),
        document,
    })
}

fn volume(live: &Live) -> claim::Live {
    claim::Live {
        requested: live.claim.as_ref().and_then(|claim| {
            let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
            requests.get("storage")?.0.parse().ok()
        }),
        capacity: live.claim.as_ref().and_then(has),
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
        size: ByteSize::bytes(report.storage.size),
    })
}

fn is_bound(live: &Live) -> bool {
    let status = live.claim.as_ref().and_then(|claim| claim.status.as_ref());
    status.is_some_and(|status| status.phase.as_deref() == Some("Bound"))
}

/// What a claim's volume has.
#[must_use]
pub fn has(claim: &PersistentVolumeClaim) -> Option<ByteSize> {
    claim.status.as_ref()?.capacity.as_ref()?.get("storage")?.0.parse().ok()
}

/// What the relay may take of the volume: what is asked for may come later.
fn capacity(live: &Live) -> Option<ByteSize> {
    let has = has(live.claim.as_ref()?)?;
    Some(volume(live).requested.map_or(has, |asked| asked.min(has)))
}

/// The memory that its pods may have, as its Deployment is now. None: any.
fn pod_memory(live: &Live) -> Option<ByteSize> {
    let template = live.deployment.as_ref()?.spec.as_ref()?.template.spec.as_ref()?;
    template.containers.first()?.resources.as_ref()?.limits.as_ref()?.get("memory")?.0.parse().ok()
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
