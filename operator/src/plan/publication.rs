//! Which records are published.
//!
//! A relay comes into the records when it is ready, its address is known and its name resolves; from then on only
//! leaving takes it out: a pod that restarts or a load balancer that says nothing for a moment changes no records.

use backupmx_crds::{AddressRecords, OnRelease, dnsendpoint::DNSEndpoint};
use backupmx_relay_config::DomainName;

use super::{Facts, Live, Resolves, readiness};
use crate::{
    conflict::Life,
    desired::{addresses, mx},
    gate::Readiness,
    lifecycle::Records,
    settings::Settings,
    validated::{Mx, Relay, Validated},
};

/// The record sets to write, and the domains whose set is deleted.
pub(super) fn records(resource: &Validated, facts: &Facts, settings: &Settings) -> (Vec<DNSEndpoint>, Vec<DomainName>) {
    let build =
        |domain: &DomainName, hosts: &[Mx]| mx::build(&resource.owner, domain, hosts, resource.dns.ttl, settings);
    let ours = |domain: &&DomainName| !facts.lost.domains.contains_key(*domain) && !facts.not_allowed.contains(*domain);
    let mut written = Vec::new();
    if facts.life == Life::Staying {
        for domain in resource.domains.iter().filter(ours) {
            let relays = hosts(resource, domain, facts);
            // Nothing is published before a relay can take mail: a record set of the primary alone is no gain, and
            // it might replace one that a person made.
            if !relays.is_empty() {
                written.push(build(domain, &[resource.primary_mx.as_slice(), &relays].concat()));
            }
        }
    }
    let released = facts
        .mx
        .keys()
        .filter(|domain| facts.life == Life::Leaving || !resource.domains.contains(*domain))
        .filter(ours);
    match resource.dns.on_release {
        OnRelease::KeepPrimary => {
            written.extend(released.map(|domain| build(domain, &resource.primary_mx)));
            (written, Vec::new())
        }
        OnRelease::Delete => (written, released.cloned().collect()),
    }
}

/// The address records of the relay host names. Those of a relay that leaves stay as they are until it is gone.
pub(super) fn addresses(resource: &Validated, facts: &Facts, settings: &Settings) -> Vec<DNSEndpoint> {
    let publish = resource.dns.addresses == AddressRecords::Publish
        && resource.dns.mode == backupmx_crds::DnsMode::ExternalDNS
        && facts.life == Life::Staying;
    let relays = if publish { resource.relays.as_slice() } else { &[] };
    relays
        .iter()
        .filter(|relay| !facts.lost.hostnames.contains_key(&relay.hostname))
        .filter_map(|relay| {
            let live = facts.relays.get(&relay.name)?;
            let chosen = addresses::choose(relay, &live.balancer, live.addresses.as_ref());
            addresses::build(&resource.owner, relay, &chosen, resource.dns.ttl, settings)
        })
        .collect()
}

/// Whether any of the domains' record sets still names the host.
pub(super) fn standing(domains: &[DomainName], host: &DomainName, facts: &Facts) -> Records {
    let named = domains.iter().filter_map(|domain| facts.mx.get(domain)).any(|set| mx::hosts(set).contains(host));
    if named { Records::Standing } else { Records::Changed }
}

/// The largest TTL that senders may have the records with.
pub(super) fn largest_ttl(resource: &Validated, facts: &Facts) -> u32 {
    let live = facts.mx.values().flat_map(|set| &set.spec.endpoints).filter_map(|set| set.record_ttl);
    live.filter_map(|ttl| u32::try_from(ttl).ok()).fold(resource.dns.ttl, u32::max)
}

fn hosts(resource: &Validated, domain: &DomainName, facts: &Facts) -> Vec<Mx> {
    let published = facts.mx.get(domain).map(mx::hosts).unwrap_or_default();
    resource
        .relays
        .iter()
        .filter(|relay| !facts.lost.hostnames.contains_key(&relay.hostname))
        .filter(|relay| {
            published.contains(&relay.hostname)
                || facts.relays.get(&relay.name).is_some_and(|live| may_be_published(resource, relay, live))
        })
        .map(|relay| Mx { preference: relay.preference, host: relay.hostname.clone() })
        .collect()
}

fn may_be_published(resource: &Validated, relay: &Relay, live: &Live) -> bool {
    let ready = live.deployment.as_ref().is_some_and(|deployment| readiness(deployment) == Readiness::Ready);
    let addressed = match resource.dns.addresses {
        AddressRecords::Publish => !addresses::choose(relay, &live.balancer, live.addresses.as_ref()).is_empty(),
        AddressRecords::Manual => true,
    };
    ready && addressed && live.resolves == Resolves::Yes
}
