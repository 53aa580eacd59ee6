//! The DNSEndpoint with a domain's whole MX record set.
//!
//! external-dns owns a record set whole, so it holds the primary's records too: deleting it would take the domain off
//! the mail map. So it has no owner reference, and a domain that leaves is rewritten to the primary's hosts alone.

use backupmx_crds::dnsendpoint::{DNSEndpoint, DNSEndpointSpec, Endpoint, RecordType};
use backupmx_relay_config::DomainName;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{
    labels, names,
    settings::Settings,
    validated::{Mx, Owner},
};

/// Builds it. `hosts` are the primary's and those relays' that are published.
#[must_use]
pub fn build(owner: &Owner, domain: &DomainName, hosts: &[Mx], ttl: u32, settings: &Settings) -> DNSEndpoint {
    let endpoint = Endpoint {
        dns_name: domain.to_string(),
        record_type: RecordType::MX,
        targets: records(hosts).iter().map(|mx| format!("{} {}", mx.preference, mx.host)).collect(),
        record_ttl: Some(ttl.into()),
        labels: Default::default(),
    };
    DNSEndpoint {
        metadata: metadata(owner, names::mx_records(domain), labels::RECORDS_MX, settings),
        spec: DNSEndpointSpec { endpoints: vec![endpoint] },
        status: None,
    }
}

/// The record set in its order, each record once.
#[must_use]
pub fn records(hosts: &[Mx]) -> Vec<Mx> {
    let mut records = hosts.to_vec();
    records.sort();
    records.dedup();
    records
}

/// The hosts of a live DNSEndpoint's MX records.
#[must_use]
pub fn hosts(live: &DNSEndpoint) -> Vec<DomainName> {
    read(live).into_iter().map(|mx| mx.host).collect()
}

/// A live DNSEndpoint's MX records. What is none is left out.
#[must_use]
pub fn read(live: &DNSEndpoint) -> Vec<Mx> {
    let endpoints = live.spec.endpoints.iter().filter(|endpoint| endpoint.record_type == RecordType::MX);
    let targets = endpoints.flat_map(|endpoint| &endpoint.targets);
    let record = |target: &String| {
        let (preference, host) = target.split_once(' ')?;
        Some(Mx { preference: preference.parse().ok()?, host: host.parse().ok()? })
    };
    targets.filter_map(record).collect()
}

/// Metadata of a DNSEndpoint: in the operator's namespace, where external-dns may be let in without seeing others.
pub(super) fn metadata(owner: &Owner, name: String, records: &str, settings: &Settings) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(settings.namespace.clone()),
        labels: Some(labels::strings([
            ("app.kubernetes.io/managed-by", labels::MANAGER),
            (labels::OWNER_UID, &owner.uid),
            (labels::RECORDS, records),
        ])),
        annotations: Some(labels::owner(owner)),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixture;

    fn built(hosts: &[Mx]) -> DNSEndpoint {
        let resource = fixture::validated();
        build(&resource.owner, &resource.domains[0], hosts, 300, &fixture::settings())
    }

    fn all() -> Vec<Mx> {
        let resource = fixture::validated();
        let relays = resource.relays.iter().rev();
        let ours = relays.map(|relay| Mx { preference: relay.preference, host: relay.hostname.clone() });
        ours.chain(resource.primary_mx.clone()).collect()
    }

    #[test]
    fn golden() {
        insta::assert_snapshot!(fixture::yaml(&built(&all())));
    }

    #[test]
    fn a_domain_that_leaves_keeps_its_primary() {
        let targets = &built(&fixture::validated().primary_mx).spec.endpoints[0].targets;
        assert_eq!(targets, &["10 mail.example.org"], "a trailing dot would be rewritten for ever");
    }

    #[test]
    fn the_same_set_is_the_same_object_in_any_order() {
        let mut turned = all();
        turned.reverse();
        turned.push(turned[0].clone());
        assert_eq!(built(&turned), built(&all()));
    }

    #[test]
    fn hosts_read_back() {
        let mut found = hosts(&built(&all()));
        let mut wanted: Vec<DomainName> = all().into_iter().map(|mx| mx.host).collect();
        found.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        wanted.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        assert_eq!(found, wanted);
    }

    #[test]
    fn nothing_owns_it() {
        assert_eq!(built(&all()).metadata.owner_references, None);
    }
}
