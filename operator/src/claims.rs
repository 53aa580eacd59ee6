//! What a resource claims of domains and relay host names: those that its namespace may have. Pure.

use backupmx_crds::BackupMX;
use backupmx_relay_config::DomainName;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use kube::api::ObjectMeta;

use crate::{
    allowed::AllowedDomains,
    conflict::{Claimant, Life},
    desired::config_map,
    plan, validate,
    validated::Owner,
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
    use crate::{allowed::Rule, conflict::lost, labels, plan::tests::Cluster};

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
        let all = |allowed: &AllowedDomains| [of(&older, allowed).unwrap(), of(&younger, allowed).unwrap()];
        let free = lost("rightful/younger", &all(&AllowedDomains::default()));
        assert_eq!((free.domains.len(), free.hostnames.len()), (1, 1), "without rules the older has both");
        let bound = lost("rightful/younger", &all(&rules()));
        assert_eq!((bound.domains.len(), bound.hostnames.len()), (0, 0));
    }

    #[test]
    fn what_cannot_be_read_keeps_what_its_relays_have() {
        let cluster = Cluster::settled();
        let lives: Vec<_> = cluster.facts.relays.into_values().collect();
        let mut claims: Vec<_> = lives.iter().filter_map(|live| live.claim.clone()).collect();
        let config_maps: Vec<_> = lives.iter().filter_map(|live| live.config_map.clone()).collect();
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
}
