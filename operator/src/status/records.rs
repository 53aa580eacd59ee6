//! The records as lines of a zone file, ready to paste.

use std::net::IpAddr;

use backupmx_crds::{AddressRecords, BackupMXStatus, DnsMode};
use backupmx_relay_config::DomainName;

use crate::{
    conflict::Life,
    desired::mx,
    plan::{self, Facts},
    validated::{Mx, Relay, Validated},
};

/// The MX records of the domains, and where a person enters the records, the addresses of the relays' host names.
pub(super) fn lines(
    resource: &Validated,
    served: &[&DomainName],
    facts: &Facts,
    before: &BackupMXStatus,
) -> Vec<String> {
    let ours = |relay: &&Relay| facts.has_host(&relay.hostname);
    let relays: Vec<&Relay> = match (resource.dns.mode, facts.life) {
        (DnsMode::ExternalDNS, Life::Leaving) => return Vec::new(),
        // What the domains are to be left with.
        (DnsMode::Manual, Life::Leaving) => Vec::new(),
        (DnsMode::ExternalDNS | DnsMode::Manual, Life::Staying) => resource.relays.iter().filter(ours).collect(),
    };
    let ttl = resource.dns.ttl;
    let published = relays.iter().map(|relay| Mx { preference: relay.preference, host: relay.hostname.clone() });
    let all: Vec<Mx> = resource.primary_mx.iter().cloned().chain(published).collect();
    let of_domain = |domain: &&DomainName| -> Vec<String> {
        mx::records(&all).iter().map(|mx| format!("{domain}. {ttl} IN MX {} {}.", mx.preference, mx.host)).collect()
    };
    let of_host = |relay: &&Relay| -> Vec<String> {
        addresses(relay, facts, before)
            .iter()
            .map(|address| {
                let kind = if address.is_ipv4() { "A" } else { "AAAA" };
                format!("{}. {ttl} IN {kind} {address}", relay.hostname)
            })
            .collect()
    };
    let mut lines: Vec<String> = served.iter().flat_map(of_domain).collect();
    if resource.dns.mode == DnsMode::Manual && resource.dns.addresses == AddressRecords::Publish {
        lines.extend(relays.iter().flat_map(of_host));
    }
    lines
}

/// A relay's addresses; the last ones where the load balancer says nothing for a moment.
fn addresses(relay: &Relay, facts: &Facts, before: &BackupMXStatus) -> Vec<IpAddr> {
    let known = facts.relays.get(&relay.name).map(|live| plan::addresses_of(relay, live)).unwrap_or_default();
    if !known.is_empty() {
        return known;
    }
    let last = before.relays.iter().find(|known| known.name == relay.name.as_str());
    last.map(|last| last.addresses.iter().filter_map(|address| address.parse().ok()).collect()).unwrap_or_default()
}

/// The addresses of a relay as they are published, or as a person is to enter them.
pub(super) fn of_relay(
    name: &crate::validated::RelayName,
    resource: &Validated,
    facts: &Facts,
    before: &BackupMXStatus,
) -> Vec<String> {
    let written = facts.relays.get(name).and_then(|live| live.addresses.as_ref());
    match (written, resource.relays.iter().find(|relay| relay.name == *name)) {
        // Also where a DNSEndpoint is left from before: what it says may have changed since.
        (_, Some(relay)) if resource.dns.mode == DnsMode::Manual => {
            addresses(relay, facts, before).iter().map(IpAddr::to_string).collect()
        }
        (Some(set), _) => set.spec.endpoints.iter().flat_map(|set| set.targets.clone()).collect(),
        (None, _) => Vec::new(),
    }
}
