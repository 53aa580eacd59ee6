//! What a resource claims of domains and relay host names: those that its namespace may have. Pure.

use std::sync::Arc;

use backupmx_crds::BackupMX;
use backupmx_relay_config::DomainName;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use kube::api::ObjectMeta;
use parking_lot::Mutex;

use crate::{
    allowed::AllowedDomains,
    conflict::{Claimant, Claimants, Life},
    desired::config_map,
    plan, validate,
    validated::{Owner, Validated},
};

/// What a resource claims. Names that cannot be read claim nothing, and neither do those that its namespace may not
/// have: they would be kept from those who may.
#[must_use]
pub fn of(resource: &BackupMX, allowed: &AllowedDomains) -> Option<Claimant> {
    let spec = &resource.spec;
    let names = Names {
        domains: spec.domains.iter().filter_map(|name| name.parse().ok()).collect(),
        hostnames: spec.relays.iter().filter_map(|relay| relay.hostname.parse().ok()).collect(),
    };
    claimant(validate::owner(resource), &resource.metadata, names, allowed)
}

/// What a resource claims whose spec cannot be used: what it had by the last that could be.
#[must_use]
pub fn of_terms(metadata: &ObjectMeta, terms: &Validated, allowed: &AllowedDomains) -> Option<Claimant> {
    let names = Names {
        domains: terms.domains.clone(),
        hostnames: terms.relays.iter().map(|relay| relay.hostname.clone()).collect(),
    };
    claimant(terms.owner.clone(), metadata, names, allowed)
}

/// What a resource claims that cannot be read as a whole: what its relays have. They go on, and only a release takes it
/// from them.
#[must_use]
pub fn of_relays(
    metadata: &ObjectMeta,
    claims: &[PersistentVolumeClaim],
    config_maps: &[ConfigMap],
    allowed: &AllowedDomains,
) -> Option<Claimant> {
    let owner = Owner {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone()?,
    };
    let domains = claims.iter().flat_map(|claim| {
        let leaving = plan::retirements(Some(claim));
        let leaves = move |domain: &DomainName| {
            leaving.iter().any(|one| one.domain.is_none() || one.domain.as_ref() == Some(domain))
        };
        plan::domains_in(claim).into_iter().filter(move |domain| !leaves(domain))
    });
    let names = Names {
        domains: domains.collect(),
        hostnames: config_maps.iter().filter_map(|map| Some(config_map::document(map)?.hostname)).collect(),
    };
    claimant(owner, metadata, names, allowed)
}

/// By what it is seen that a resource claims something else now: its UID and generation, which rises with every change of
/// the spec and with its deletion, and the generation of the terms that count in place of a spec that cannot be used.
/// None: it cannot be read, and what its relays have is looked at each time.
pub type Version = Option<(String, i64, Option<i64>)>;

/// What all resources claim, worked out anew only when one of them claims something else: every pass asks for it, and a
/// thousand passes over a thousand resources must not read a million specs.
#[derive(Debug, Default)]
pub struct Registry(Mutex<Option<(Vec<Version>, Arc<Claimants>)>>);

impl Registry {
    /// What the resources of these versions claim.
    pub fn of(&self, versions: Vec<Version>, work_out: impl FnOnce() -> Vec<Claimant>) -> Arc<Claimants> {
        let mut kept = self.0.lock();
        match kept.as_ref() {
            Some((known, claimants)) if *known == versions && versions.iter().all(Option::is_some) => claimants.clone(),
            Some(_) | None => {
                let claimants = Arc::new(Claimants::from(work_out()));
                *kept = Some((versions, claimants.clone()));
                claimants
            }
        }
    }
}

/// The version of a resource that can be read. `terms` are those that count in place of its spec.
#[must_use]
pub fn version(resource: &BackupMX, terms: Option<&Validated>) -> Version {
    let in_place = terms.and_then(|terms| terms.generation);
    Some((resource.metadata.uid.clone()?, resource.metadata.generation?, in_place))
}

struct Names {
    domains: Vec<DomainName>,
    hostnames: Vec<DomainName>,
}

fn claimant(owner: Owner, metadata: &ObjectMeta, names: Names, allowed: &AllowedDomains) -> Option<Claimant> {
    let Names { mut domains, mut hostnames } = names;
    domains.retain(|domain| allowed.allows(&owner.namespace, domain));
    hostnames.retain(|hostname| allowed.allows_hostname(&owner.namespace, hostname));
    let created = metadata.creation_timestamp.as_ref()?.0;
    let life = if metadata.deletion_timestamp.is_some() { Life::Leaving } else { Life::Staying };
    Some(Claimant { owner, created, life, domains, hostnames })
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt as _;
    use serde_json::json;

    use super::*;
    use crate::{allowed::Rule, desired::fixture, labels, plan::tests::Cluster};

    fn resource(path: &str, second: u8, domain: &str, hostname: &str) -> BackupMX {
        let (namespace, name) = path.split_once('/').unwrap();
        let document = json!({
            "apiVersion": "backupmx.io/v1alpha1",
            "kind": "BackupMX",
            "metadata": {
                "namespace": namespace, "name": name, "uid": path,
                "creationTimestamp": format!("2027-01-15T08:00:{second:02}Z"),
            },
            "spec": {
                "domains": [domain],
                "primary": {"hosts": [{"host": "mail.example.org"}]},
                "relays": [{"name": "a", "hostname": hostname}],
            },
        });
        serde_json::from_value(document).unwrap()
    }

    fn rules() -> AllowedDomains {
        let one = |namespace: &str, domain: &str| Rule {
            namespaces: vec![namespace.into()],
            domains: vec![domain.into()],
            hostnames: None,
        };
        AllowedDomains(vec![one("rightful", "example.org"), one("other", "example.com")])
    }

    #[test]
    fn who_may_not_have_a_name_keeps_it_from_nobody() {
        let older = resource("other/older", 1, "example.org", "mx1.example.org");
        let younger = resource("rightful/younger", 2, "example.org", "mx1.example.org");
        let all = |allowed: &AllowedDomains| {
            Claimants::from(vec![of(&older, allowed).unwrap(), of(&younger, allowed).unwrap()])
        };
        let free = all(&AllowedDomains::default()).lost("rightful/younger");
        assert_eq!((free.domains.len(), free.hostnames.len()), (1, 1), "without rules the older has both");
        let bound = all(&rules()).lost("rightful/younger");
        assert_eq!((bound.domains.len(), bound.hostnames.len()), (0, 0));
    }

    #[test]
    fn what_cannot_be_read_keeps_what_its_relays_have() {
        let cluster = Cluster::settled();
        let lives: Vec<_> = cluster.facts.relays.into_values().collect();
        let mut claims: Vec<_> = lives.iter().filter_map(|live| live.claim.clone()).collect();
        let (owner, relay) = (&cluster.resource.owner, &cluster.resource.relays[0].name);
        let documents = lives.iter().filter_map(|live| live.document.as_ref());
        let config_maps: Vec<_> = documents
            .map(|document| config_map::build(owner, relay, document, config_map::Claim::Held).unwrap())
            .collect();
        let metadata = resource("mail/example-org", 1, "x.test", "y.test").metadata;
        let claimed = |claims: &[PersistentVolumeClaim], allowed: &AllowedDomains| {
            let claimant = of_relays(&metadata, claims, &config_maps, allowed).unwrap();
            let texts = |names: &[DomainName]| {
                let mut texts: Vec<String> = names.iter().map(ToString::to_string).collect();
                texts.sort();
                texts.dedup();
                texts
            };
            (texts(&claimant.domains), texts(&claimant.hostnames))
        };
        let hostnames = vec!["mx1.backup.example.net".to_owned(), "mx2.backup.example.net".to_owned()];
        let domains = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let any = AllowedDomains::default();
        assert_eq!(claimed(&claims, &any), (domains(&["example.net", "example.org"]), hostnames.clone()));
        assert_eq!(claimed(&claims, &rules()), (Vec::new(), Vec::new()), "no more than its namespace may have");
        let leaving = json!([{
            "domain": "example.net", "phase": "Waiting", "since": "2027-01-15T08:00:00Z", "ttl": 300,
        }]);
        for claim in &mut claims {
            claim.annotations_mut().insert(labels::RETIRING.into(), leaving.to_string());
        }
        assert_eq!(claimed(&claims, &any), (domains(&["example.org"]), hostnames), "what leaves is given up");
    }

    #[test]
    fn what_is_claimed_is_worked_out_anew_when_a_spec_has_changed_and_not_before() {
        let mut one = resource("mail/one", 1, "example.org", "mx1.example.org");
        one.metadata.generation = Some(1);
        let (registry, any) = (Registry::default(), AllowedDomains::default());
        let mut worked_out = 0;
        let mut lost = |one: &BackupMX, version: Version| {
            let all = registry.of(vec![version], || {
                worked_out += 1;
                vec![
                    of(one, &any).unwrap(),
                    of(&resource("mail/two", 2, "example.org", "mx2.example.org"), &any).unwrap(),
                ]
            });
            (all.lost("mail/two").domains.len(), worked_out)
        };
        assert_eq!(lost(&one, version(&one, None)), (1, 1));
        one.metadata.resource_version = Some("its status was written".into());
        assert_eq!(lost(&one, version(&one, None)), (1, 1));
        one.spec.domains = vec!["example.net".into()];
        one.metadata.generation = Some(2);
        assert_eq!(lost(&one, version(&one, None)), (0, 2));
        let terms = fixture::validated();
        assert_eq!(lost(&one, version(&one, Some(&terms))), (0, 3), "others count in place of what it says now");
        assert_eq!(lost(&one, None), (0, 4), "what cannot be read has no version");
        assert_eq!(lost(&one, None), (0, 5));
    }

    #[test]
    fn what_could_be_used_last_is_claimed_as_far_as_it_is_allowed() {
        let terms = fixture::validated();
        let metadata = resource("mail/example-org", 1, "x.test", "y.test").metadata;
        let claimed = of_terms(&metadata, &terms, &AllowedDomains::default()).unwrap();
        assert_eq!((claimed.domains.len(), claimed.hostnames.len()), (2, 2));
        assert_eq!(claimed.domains, terms.domains);
        let claimed = of_terms(&metadata, &terms, &rules()).unwrap();
        assert_eq!((claimed.domains.len(), claimed.hostnames.len()), (0, 0));
    }
}
