//! What is there: from the caches, the relays and DNS. The only step that asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use backupmx_crds::{BackupMX, BackupMXStatus, dnsendpoint::DNSEndpoint};
use backupmx_relay_config::{DomainName, status::RelayStatus};
use futures::future::join_all;
use k8s_openapi::{
    api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service},
    jiff::Timestamp,
};
use kube::{ResourceExt, api::ObjectMeta, runtime::reflector::ObjectRef};

use crate::{
    allowed::AllowedDomains,
    apply::is_leaving,
    cache::{self, Cache, Guarded},
    claims::{self, Registry},
    conflict::{Claimant, Claimants, Life, Lost},
    controller::rollouts,
    desired::{addresses, claim::Expansion, config_map, document, mx},
    dns::asker::Asker,
    gate::Readiness,
    labels, names,
    plan::{self, Asked, EndpointApi, Facts, Live, Seen},
    pod_trouble,
    poll::{self, Reports, roster::Target},
    relay_api,
    settings::Settings,
    status::Running,
    terms::{self, Terms},
    validate,
    validated::{Mx, Owner, RelayName, Validated},
};

/// What asking needs.
pub struct Dereference<'a> {
    /// The live objects.
    pub cache: &'a Cache,
    /// What the relays said last.
    pub reports: &'a Reports,
    /// The operator's settings.
    pub settings: &'a Settings,
    /// Who may claim what.
    pub allowed: &'a AllowedDomains,
    /// What all resources claim.
    pub registry: &'a Registry,
    /// The terms that could be used last.
    pub terms: &'a Terms,
    /// How many ready relays may be replaced at once over the whole cluster.
    pub max_rollouts: usize,
    /// What DNS says.
    pub dns: &'a Asker,
}

impl Dereference<'_> {
    /// What is known of a resource that leaves and whose spec cannot be used.
    #[must_use]
    pub fn leaving(&self, resource: &BackupMX) -> Validated {
        let owner = validate::owner(resource);
        // Those of a domain that left long ago say nothing of the primary of the others.
        let claims = cache::of(&self.cache.claims, &owner);
        let held: BTreeSet<DomainName> = claims.iter().flat_map(plan::domains_in).collect();
        let in_spec =
            |domain: &DomainName| resource.spec.domains.iter().any(|known| known.parse().as_ref() == Ok(domain));
        let sets = self.record_sets(&owner);
        let concerned = sets.iter().filter(|(domain, _)| held.contains(*domain) || in_spec(domain));
        let published: Vec<Mx> = concerned.flat_map(|(_, set)| mx::read(set)).collect();
        let documents = cache::of(&self.cache.config_maps, &owner);
        let ours: Vec<DomainName> =
            documents.iter().filter_map(|map| Some(config_map::document(map)?.hostname)).collect();
        validate::leaving::leaving(resource, &published, &ours)
    }

    /// Whether a resource has lost a name that its spec has, whatever else is in that: another has it, or its namespace may
    /// not have it any more.
    #[must_use]
    pub fn has_lost(&self, resource: &BackupMX) -> bool {
        let Owner { namespace, uid, .. } = validate::owner(resource);
        let spec = &resource.spec;
        let mut domains = spec.domains.iter().filter_map(|name| name.parse().ok());
        let mut hosts = spec.relays.iter().filter_map(|relay| relay.hostname.parse().ok());
        self.claimants().lost(&uid) != Lost::default()
            || domains.any(|domain| !self.allowed.allows(&namespace, &domain))
            || hosts.any(|host| !self.allowed.allows_hostname(&namespace, &host))
    }

    /// The relays of a resource whose spec cannot be used: they go on.
    #[must_use]
    pub fn running(&self, owner: &Owner) -> Running {
        let deployments = cache::of(&self.cache.deployments, owner);
        let named = deployments.iter().filter_map(|one| Some((relay_of(one)?, plan::readiness(one))));
        let ready = named.filter(|(_, readiness)| *readiness == Readiness::Ready).map(|(name, _)| name).collect();
        let documents = cache::of(&self.cache.config_maps, owner);
        let documents: Vec<_> = documents.iter().filter_map(config_map::document).collect();
        let tenant = documents.first().and_then(|document| document.tenants.first());
        let keys = || self.pods(owner).into_keys().map(|name| (owner.clone(), name));
        let asked = keys().filter(|key| !self.reports.awaits(key));
        Running {
            owner: owner.clone(),
            reports: asked.map(|key| (key.1.clone(), self.reports.last(&key))).collect(),
            heard: keys().filter_map(|key| Some((key.1.clone(), self.reports.heard(&key)?))).collect(),
            ready,
            hold: tenant.map(|tenant| tenant.hold).unwrap_or_default(),
        }
    }

    /// The pods of a resource's relays that have an address.
    #[must_use]
    pub fn pods(&self, owner: &Owner) -> BTreeMap<RelayName, IpAddr> {
        addresses_of(&self.targets(owner))
    }

    fn targets(&self, owner: &Owner) -> BTreeMap<RelayName, Target> {
        let all = poll::targets(&self.cache.pods.state(), &self.cache.resources.state());
        let ours = all.into_iter().filter(|target| target.owner == *owner);
        ours.map(|target| (target.relay.clone(), target)).collect()
    }

    /// What is there of a resource, and the pods of its relays. A relay that does not answer is a fact.
    /// `before` is what was said of it last.
    pub async fn facts(
        &self,
        resource: &Validated,
        life: Life,
        before: &BackupMXStatus,
    ) -> (Facts, BTreeMap<RelayName, IpAddr>) {
        let owner = &resource.owner;
        let names = self.relay_names(resource);
        let targets = self.targets(owner);
        let pods = cache::of(&self.cache.pods, owner);
        let lives = join_all(names.into_iter().map(|name| {
            let (pod, pods) = (targets.get(&name), &pods);
            async move {
                let live = self.live(resource, life, &name, pod).await;
                (name.clone(), Live { known_held: held_before(before, &name), trouble: trouble(pods, &name), ..live })
            }
        }))
        .await;
        let relays: BTreeMap<RelayName, Live> = lives.into_iter().collect();
        let claimants = self.claimants();
        let facts = Facts {
            now: Timestamp::now(),
            life,
            mx: self.record_sets(owner),
            address_sets: self.address_sets(owner),
            lost: claimants.lost(&owner.uid),
            sought: claimants.sought(&owner.uid),
            not_allowed: self.not_allowed(resource),
            not_allowed_hosts: self.not_allowed_hosts(resource, &relays),
            endpoint_api: match self.cache.endpoints {
                Some(_) => EndpointApi::Served,
                None => EndpointApi::Missing,
            },
            dns: self.seen(resource, &relays),
            free_rollouts: self.max_rollouts.saturating_sub(rollouts::taken(&self.cache.deployments.state()).len()),
            relays,
        };
        (facts, addresses_of(&targets))
    }

    async fn live(&self, resource: &Validated, life: Life, name: &RelayName, pod: Option<&Target>) -> Live {
        let owner = &resource.owner;
        let (namespace, child) = (&owner.namespace, names::relay(owner, name));
        let service: Option<Service> = cache::get(&self.cache.services, namespace, &child);
        let claim = cache::get(&self.cache.claims, namespace, &child);
        let relay = resource.relays.iter().find(|relay| relay.name == *name);
        let balancer = self.balancer(owner, service.as_ref());
        let (report, asked) = match (relay, life) {
            (Some(_), Life::Staying) => {
                let key = (owner.clone(), name.clone());
                // Without a pod there is nobody to ask.
                let awaited = pod.is_some() && self.reports.awaits(&key);
                (self.reports.last(&key), if awaited { Asked::NotYet } else { Asked::Yes })
            }
            // What is let go for ever is asked once more: its last word may be from before.
            (None, _) | (_, Life::Leaving) => (self.report(owner, name, pod.map(|pod| pod.address)).await, Asked::Yes),
        };
        let config_map: Option<ConfigMap> =
            cache::get(&self.cache.config_maps, namespace, &names::config_map(owner, name));
        // A relay that left the spec is known by its document.
        let document = config_map.as_ref().and_then(config_map::document);
        let stored = || document.as_ref().map(|document| document.hostname.clone());
        let hostname = relay.map(|relay| relay.hostname.clone()).or_else(stored);
        let addresses = hostname.and_then(|hostname| self.endpoint(&names::address_records(&hostname)));
        Live {
            expansion: self.expansion(claim.as_ref()),
            claim,
            noted: config_map.as_ref().and_then(config_map::claim),
            document,
            deployment: cache::get(&self.cache.deployments, namespace, &child),
            // Another resource may have the host name: then its addresses are none of ours.
            addresses: addresses.filter(|set| addresses::is_of(set, owner, name)),
            service,
            balancer,
            report,
            silence: self.reports.silence(&(owner.clone(), name.clone())),
            asked,
            pod_since: pod.and_then(|pod| pod.since),
            heard: self.reports.heard(&(owner.clone(), name.clone())),
            trouble: None,
            known_held: None,
        }
    }

    /// What DNS says of everything that the resource has to do with, as far as it is known.
    fn seen(&self, resource: &Validated, relays: &BTreeMap<RelayName, Live>) -> Seen {
        let owner = &resource.owner;
        let domains: BTreeSet<DomainName> =
            resource.domains.iter().cloned().chain(relays.values().flat_map(plan::domains_of)).collect();
        let hosts = resource.relays.iter().map(|relay| &relay.hostname);
        Seen {
            mx: domains.iter().filter_map(|domain| Some((domain.clone(), self.dns.mx(domain, owner)?))).collect(),
            hosts: hosts.filter_map(|host| Some((host.clone(), self.dns.host(host, owner)?.host()))).collect(),
        }
    }

    /// The addresses that the load balancer gave. A name that it gave is looked up: an MX host must not be an alias.
    /// Empty where one of its names could not be looked up: the last addresses stay then.
    fn balancer(&self, owner: &Owner, service: Option<&Service>) -> Vec<IpAddr> {
        let ingress = service
            .and_then(|service| service.status.as_ref()?.load_balancer.as_ref()?.ingress.clone())
            .unwrap_or_default();
        let mut addresses: Vec<IpAddr> = Vec::new();
        for one in ingress {
            match (one.ip.and_then(|address| address.parse().ok()), one.hostname) {
                (Some(address), _) => addresses.push(address),
                (None, Some(name)) => match self.dns.balancer(&name, owner).and_then(|seen| seen.addresses) {
                    Some(found) if !found.is_empty() => addresses.extend(found),
                    Some(_) | None => return Vec::new(),
                },
                (None, None) => {}
            }
        }
        addresses.sort();
        addresses.dedup();
        addresses
    }

    /// The relays of the spec, and those that have a claim, a Deployment or a ConfigMap still.
    fn relay_names(&self, resource: &Validated) -> BTreeSet<RelayName> {
        let claims = cache::of(&self.cache.claims, &resource.owner);
        let deployments = cache::of(&self.cache.deployments, &resource.owner);
        let config_maps = cache::of(&self.cache.config_maps, &resource.owner);
        // Those that this build reads: of another version nothing is known but its name.
        let configured = config_maps.iter().filter_map(|map| {
            relay_of(map).filter(|relay| map.name_any() == names::config_map(&resource.owner, relay))
        });
        let claimed = claims.iter().filter_map(relay_of);
        let deployed = deployments.iter().filter_map(relay_of);
        resource
            .relays
            .iter()
            .map(|relay| relay.name.clone())
            .chain(claimed)
            .chain(deployed)
            .chain(configured)
            .collect()
    }

    async fn report(&self, owner: &Owner, name: &RelayName, pod: Option<IpAddr>) -> Option<RelayStatus> {
        let token = self.settings.master_key.token(owner, name);
        match relay_api::status(pod?, &token).await {
            Ok(report) => Some(report),
            Err(error) => {
                tracing::debug!(%owner, relay = %name, %error, "no status of a relay");
                None
            }
        }
    }

    fn endpoint(&self, name: &str) -> Option<DNSEndpoint> {
        cache::get(self.cache.endpoints.as_ref()?, &self.settings.namespace, name)
    }

    /// The DNSEndpoints that were written for this resource, of one kind of records.
    fn sets<'a>(&self, owner: &Owner, records: &'a str) -> impl Iterator<Item = DNSEndpoint> + use<'a> {
        let of = |store| cache::made_for(store, &self.settings.namespace, &owner.uid);
        let all = self.cache.endpoints.as_ref().map(of).unwrap_or_default();
        all.into_iter().filter(move |set| set.labels().get(labels::RECORDS).map(String::as_str) == Some(records))
    }

    /// The address records that were written for this resource.
    fn address_sets(&self, owner: &Owner) -> Vec<DNSEndpoint> {
        self.sets(owner, labels::RECORDS_ADDRESS).collect()
    }

    /// The record sets that were written for this resource, by domain.
    fn record_sets(&self, owner: &Owner) -> BTreeMap<DomainName, DNSEndpoint> {
        self.sets(owner, labels::RECORDS_MX)
            .filter(|set| !mx::hosts(set).is_empty())
            .filter_map(|set| Some((set.spec.endpoints.first()?.dns_name.parse().ok()?, set)))
            .collect()
    }

    fn claimants(&self) -> Arc<Claimants> {
        let resources = self.cache.resources.state();
        let version = |one: &Arc<Guarded>| {
            let resource = one.0.as_ref().ok()?;
            claims::version(resource, self.in_place(resource).as_deref())
        };
        self.registry.of(resources.iter().map(version).collect(), || self.claims_of(&resources))
    }

    fn claims_of(&self, resources: &[Arc<Guarded>]) -> Vec<Claimant> {
        let claimant = |one: &Arc<Guarded>| match &one.0 {
            Ok(resource) => match self.in_place(resource) {
                Some(terms) => claims::of_terms(&resource.metadata, &terms, self.allowed),
                None => claims::of(resource, self.allowed),
            },
            Err(unreadable) => {
                let ObjectMeta { namespace: Some(namespace), uid: Some(uid), .. } = &unreadable.metadata else {
                    return None;
                };
                let volumes = cache::made_for(&self.cache.claims, namespace, uid);
                let maps = cache::made_for(&self.cache.config_maps, namespace, uid);
                claims::of_relays(&unreadable.metadata, &volumes, &maps, self.allowed)
            }
        };
        resources.iter().filter_map(claimant).collect()
    }

    /// The terms that count in place of a spec that cannot be used. One that leaves gives up what it names all the same.
    fn in_place(&self, resource: &BackupMX) -> Option<Arc<Validated>> {
        let in_place = || self.terms.in_place(resource, &self.settings.cluster_domain, || self.noted(resource));
        if is_leaving(resource) { None } else { in_place() }
    }

    /// The terms that the relays of a resource go on by, where its spec cannot be used or read. None: it can, or nothing
    /// else is known.
    #[must_use]
    pub fn in_use(&self, one: &Guarded) -> Option<Arc<Validated>> {
        match &one.0 {
            Ok(resource) => self.terms.in_place(resource, &self.settings.cluster_domain, || self.noted(resource)),
            Err(unreadable) => self.terms.last(unreadable.metadata.uid.as_deref()?),
        }
    }

    /// The last terms that could be used, as an operator before this one has noted them.
    #[must_use]
    pub fn noted(&self, resource: &BackupMX) -> Option<Validated> {
        let owner = validate::owner(resource);
        let account = cache::get(&self.cache.service_accounts, &owner.namespace, &names::shared(&owner))?;
        // Of its relays: one that left has the list of that day.
        let listed = |former: &BackupMX| {
            let domains: Vec<DomainName> = former.spec.domains.iter().filter_map(|name| name.parse().ok()).collect();
            former.spec.relays.iter().find_map(|relay| {
                let name = names::config_map(&owner, &relay.name.parse().ok()?);
                let map: ConfigMap = cache::get(&self.cache.config_maps, &owner.namespace, &name)?;
                document::recipients(&config_map::document(&map)?, &owner, &domains)
            })
        };
        terms::noted(resource, &account, listed, &self.settings.cluster_domain)
    }

    fn not_allowed(&self, resource: &Validated) -> Vec<DomainName> {
        let namespace = &resource.owner.namespace;
        resource.domains.iter().filter(|domain| !self.allowed.allows(namespace, domain)).cloned().collect()
    }

    fn not_allowed_hosts(&self, resource: &Validated, relays: &BTreeMap<RelayName, Live>) -> Vec<DomainName> {
        let namespace = &resource.owner.namespace;
        // Without a spec that can be used the relays are known by what they run on.
        let stored = relays.values().filter(|_| !resource.is_usable()).filter_map(|live| live.document.as_ref());
        let hosts = resource.relays.iter().map(|relay| &relay.hostname);
        let hosts = hosts.chain(stored.map(|document| &document.hostname));
        hosts.filter(|host| !self.allowed.allows_hostname(namespace, host)).cloned().collect()
    }

    /// Whether the claim's class lets it grow: the class that it got, where the spec names none.
    fn expansion(&self, claim: Option<&PersistentVolumeClaim>) -> Expansion {
        let class = claim.and_then(|claim| claim.spec.as_ref()?.storage_class_name.as_deref());
        let Some(found) = class.and_then(|class| self.cache.classes.get(&ObjectRef::new(class))) else {
            return Expansion::Unknown;
        };
        if found.allow_volume_expansion == Some(true) { Expansion::Allowed } else { Expansion::Refused }
    }
}

/// The relay that an object was made for.
fn relay_of<K: ResourceExt>(object: &K) -> Option<RelayName> {
    object.labels().get(labels::RELAY)?.parse().ok()
}

fn addresses_of(targets: &BTreeMap<RelayName, Target>) -> BTreeMap<RelayName, IpAddr> {
    targets.iter().map(|(name, target)| (name.clone(), target.address)).collect()
}

/// What keeps a relay's pod from running.
fn trouble(pods: &[Pod], name: &RelayName) -> Option<String> {
    pod_trouble::of(pods.iter().filter(|pod| relay_of(*pod).as_ref() == Some(name)))
}

/// How many messages a relay held, as it was said last.
fn held_before(before: &BackupMXStatus, name: &RelayName) -> Option<u64> {
    let relay = before.relays.iter().find(|relay| relay.name == name.as_str())?;
    Some(relay.queue.as_ref()?.messages)
}

/// Whether a resource stays.
#[must_use]
pub fn life(resource: &BackupMX) -> Life {
    if is_leaving(resource) { Life::Leaving } else { Life::Staying }
}
