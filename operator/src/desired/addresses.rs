//! The DNSEndpoint with the addresses of a relay's host name.

use std::net::IpAddr;

use backupmx_crds::dnsendpoint::{DNSEndpoint, DNSEndpointSpec, Endpoint, RecordType};
use backupmx_relay_config::DomainName;
use kube::ResourceExt as _;

use super::mx;
use crate::{
    labels, names,
    settings::Settings,
    validated::{Owner, Relay, RelayName},
};

/// Builds it; none without an address, as an empty record set would take the name away. Never an alias: an MX record
/// must not point at one (RFC 2181 10.3).
#[must_use]
pub fn build(owner: &Owner, relay: &Relay, addresses: &[IpAddr], ttl: u32, settings: &Settings) -> Option<DNSEndpoint> {
    let mut addresses = addresses.to_vec();
    addresses.sort();
    addresses.dedup();
    let endpoints: Vec<Endpoint> = [(RecordType::A, true), (RecordType::AAAA, false)]
        .into_iter()
        .filter_map(|(record_type, v4)| {
            let targets: Vec<String> =
                addresses.iter().filter(|address| address.is_ipv4() == v4).map(IpAddr::to_string).collect();
            (!targets.is_empty()).then(|| Endpoint {
                dns_name: relay.hostname.to_string(),
                record_type,
                targets,
                record_ttl: Some(ttl.into()),
                labels: Default::default(),
            })
        })
        .collect();
    let mut metadata = mx::metadata(owner, names::address_records(&relay.hostname), labels::RECORDS_ADDRESS, settings);
    metadata.labels.get_or_insert_default().insert(labels::RELAY.into(), relay.name.to_string());
    (!endpoints.is_empty()).then_some(DNSEndpoint { metadata, spec: DNSEndpointSpec { endpoints }, status: None })
}

/// A live one that no relay has any more, as it is, with how far it is on its way out.
#[must_use]
pub fn leaving(live: &DNSEndpoint, owner: &Owner, state: &str, settings: &Settings) -> DNSEndpoint {
    let mut metadata = mx::metadata(owner, live.name_any(), labels::RECORDS_ADDRESS, settings);
    let relay = live.labels().get(labels::RELAY).map(|relay| (labels::RELAY.to_owned(), relay.clone()));
    metadata.labels.get_or_insert_default().extend(relay);
    metadata.annotations.get_or_insert_default().insert(labels::RETIRING.into(), state.to_owned());
    DNSEndpoint { metadata, spec: live.spec.clone(), status: None }
}

/// The host name whose addresses a live one holds.
#[must_use]
pub fn host(live: &DNSEndpoint) -> Option<DomainName> {
    live.spec.endpoints.first()?.dns_name.parse().ok()
}

/// Whether a live one was written for this very relay: another resource may have the host name since then, or another
/// relay of this one.
#[must_use]
pub fn is_of(live: &DNSEndpoint, owner: &Owner, relay: &RelayName) -> bool {
    let label = |key: &str| live.labels().get(key).map(String::as_str);
    label(labels::OWNER_UID) == Some(&owner.uid) && label(labels::RELAY).is_none_or(|name| name == relay.as_str())
}

/// What the host name's addresses are: those that the spec names, else the load balancer's, else the last ones: a
/// status that is empty for a moment must not take a relay off the map.
#[must_use]
pub fn choose(relay: &Relay, balancer: &[IpAddr], live: Option<&DNSEndpoint>) -> Vec<IpAddr> {
    if !relay.addresses.is_empty() {
        return relay.addresses.clone();
    }
    if !balancer.is_empty() {
        return balancer.to_vec();
    }
    let endpoints = live.map(|live| live.spec.endpoints.as_slice()).unwrap_or_default();
    endpoints.iter().flat_map(|endpoint| &endpoint.targets).filter_map(|target| target.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixture;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn built(texts: &[&str]) -> Option<DNSEndpoint> {
        let resource = fixture::validated();
        build(&resource.owner, &resource.relays[0], &addresses(texts), 300, &fixture::settings())
    }

    #[test]
    fn golden() {
        let built = built(&["2001:db8::1", "192.0.2.10", "192.0.2.9", "192.0.2.10"]);
        insta::assert_snapshot!(fixture::yaml(&built));
    }

    #[test]
    fn who_it_was_written_for() {
        let resource = fixture::validated();
        let (owner, relay) = (&resource.owner, &resource.relays[0].name);
        let live = built(&["192.0.2.10"]).unwrap();
        let successor = Owner { uid: "v".into(), ..owner.clone() };
        assert!(is_of(&live, owner, relay));
        assert!(!is_of(&live, &successor, relay), "another resource's, of the same host name");
        assert!(!is_of(&live, owner, &resource.relays[1].name), "another relay's, of the same host name");
        let mut unlabelled = live;
        unlabelled.labels_mut().remove(labels::RELAY);
        assert!(is_of(&unlabelled, owner, relay), "one that was written before relays were noted");
    }

    #[test]
    fn no_address_no_record() {
        assert_eq!(built(&[]), None);
    }

    #[test]
    fn the_last_addresses_stay() {
        let mut relay = fixture::validated().relays.remove(0);
        let live = built(&["192.0.2.10"]);
        let (one, two) = (addresses(&["192.0.2.10"]), addresses(&["198.51.100.7"]));
        assert!(choose(&relay, &[], None).is_empty());
        assert_eq!(choose(&relay, &two, None), two);
        assert_eq!(choose(&relay, &two, live.as_ref()), two);
        assert_eq!(choose(&relay, &[], live.as_ref()), one);
        relay.addresses = addresses(&["203.0.113.5"]);
        assert_eq!(choose(&relay, &two, live.as_ref()), addresses(&["203.0.113.5"]));
    }
}
