//! Which records are published, and whether they were.
//!
//! A relay comes into the records when it is ready, its address is known and its name resolves; from then on only
//! leaving takes it out: a pod that restarts or a load balancer that says nothing for a moment changes no records.
//! That a domain's records were seen in DNS once is kept in the claims, as a status can be lost.

use std::{collections::BTreeSet, net::IpAddr};

use backupmx_crds::{AddressRecords, DnsMode, OnRelease, dnsendpoint::DNSEndpoint};
use backupmx_relay_config::DomainName;
use k8s_openapi::jiff::Timestamp;

use super::{EndpointApi, Facts, Live, domains, readiness};
use crate::{
    conflict::Life,
    desired::{addresses, mx},
    dns::{
        lookup::Host,
        verdict::{Hindrance, Obstacle},
    },
    gate::Readiness,
    labels,
    lifecycle::{Phase, Records, Retirement},
    settings::Settings,
    validated::{Mx, Relay, Validated},
};

/// The record sets to write, and the domains whose set is deleted.
pub(super) fn records(resource: &Validated, facts: &Facts, settings: &Settings) -> (Vec<DNSEndpoint>, Vec<DomainName>) {
    let build =
        |domain: &DomainName, hosts: &[Mx]| mx::build(&resource.owner, domain, hosts, resource.dns.ttl, settings);
    let mut written = Vec::new();
    if facts.life == Life::Staying && resource.dns.mode == DnsMode::ExternalDNS {
        for domain in resource.domains.iter().filter(|domain| facts.has_domain(domain)) {
            let wanted = wanted(resource, domain, facts);
            if !wanted.is_empty() {
                written.push(build(domain, &wanted));
            } else if names_another_s(resource, domain, facts) {
                // The host is another's relay now, which would not know the domain.
                written.push(build(domain, &resource.primary_mx));
            }
        }
    }
    // All of them are this resource's own by their label, whoever has the domain: one that may never write them (it is
    // not ready, or a person enters its records) would leave our relays in them for ever.
    let mut deleted = Vec::new();
    for domain in facts.mx.keys().filter(|domain| is_concerned(resource, domain, facts)) {
        match (standing_of(resource, domain, facts), resource.dns.on_release) {
            (Standing::Ours, _) => {}
            (Standing::Given, OnRelease::Delete) => deleted.push(domain.clone()),
            (Standing::Given, OnRelease::KeepPrimary) | (Standing::Taken, _) => {
                written.push(build(domain, &resource.primary_mx));
            }
        }
    }
    (written, deleted)
}

/// Whether a domain whose record set bears the resource's label is its business still. The set of one that left long ago is
/// the owner's of the domain, though it stays as it was given back: what the resource has for a primary now, or for its
/// release, says nothing of it.
fn is_concerned(resource: &Validated, domain: &DomainName, facts: &Facts) -> bool {
    let named = facts.mx.get(domain).map(mx::hosts).unwrap_or_default();
    let relays = resource.relays.iter().map(|relay| &relay.hostname);
    let documents = facts.relays.values().filter_map(|live| live.document.as_ref());
    resource.domains.contains(domain)
        || facts.relays.values().any(|live| domains::domains_of(live).contains(domain))
        // Its claims may be lost, with what they had noted.
        || relays.chain(documents.map(|document| &document.hostname)).any(|host| named.contains(host))
}

/// Whether the record set that was written names a relay by a host name that is not the resource's any more.
fn names_another_s(resource: &Validated, domain: &DomainName, facts: &Facts) -> bool {
    let named = facts.mx.get(domain).map(mx::hosts).unwrap_or_default();
    resource.relays.iter().any(|relay| named.contains(&relay.hostname) && !facts.has_host(&relay.hostname))
}

/// How the resource stands to a domain whose record set it wrote.
enum Standing {
    /// It is its own.
    Ours,
    /// It gave it up.
    Given,
    /// It was taken from it: another has it, or its namespace may not have it any more.
    Taken,
}

fn standing_of(resource: &Validated, domain: &DomainName, facts: &Facts) -> Standing {
    match (facts.life, resource.domains.contains(domain), facts.has_domain(domain)) {
        (Life::Leaving, _, _) | (Life::Staying, false, _) => Standing::Given,
        (Life::Staying, true, true) => Standing::Ours,
        (Life::Staying, true, false) => Standing::Taken,
    }
}

/// The records that a domain should have. Empty: none of its relays may be published yet. A record set of the primary
/// alone is no gain, and it might replace one that a person made.
#[must_use]
pub fn wanted(resource: &Validated, domain: &DomainName, facts: &Facts) -> Vec<Mx> {
    let relays = match resource.dns.mode {
        DnsMode::ExternalDNS => hosts(resource, domain, facts),
        DnsMode::Manual => own_relays(resource, facts).map(record).collect(),
    };
    if relays.is_empty() { relays } else { [resource.primary_mx.as_slice(), &relays].concat() }
}

/// The domains whose records were seen in DNS once, as they should be, and that were not released since.
#[must_use]
pub fn published(resource: &Validated, facts: &Facts) -> Vec<DomainName> {
    if facts.life == Life::Leaving {
        return Vec::new();
    }
    let latched = latched(facts);
    let seen = |domain: &DomainName| {
        let wanted = wanted(resource, domain, facts);
        !wanted.is_empty() && facts.dns.mx.get(domain).is_some_and(|seen| seen.is(&wanted))
    };
    let ours = resource.domains.iter().filter(|domain| facts.has_domain(domain));
    ours.filter(|domain| latched.contains(*domain) || seen(domain)).cloned().collect()
}

/// Those of them whose records this relay is in, or was once: they come back with it, were they lost.
pub(super) fn published_with(resource: &Validated, relay: &Relay, live: &Live, facts: &Facts) -> Vec<DomainName> {
    let known = domains::noted(live, labels::PUBLISHED);
    let named = |domain: &DomainName| match resource.dns.mode {
        DnsMode::ExternalDNS => wanted(resource, domain, facts).iter().any(|mx| mx.host == relay.hostname),
        DnsMode::Manual => facts.dns.mx.get(domain).and_then(|seen| seen.names(&relay.hostname)) == Some(true),
    };
    let mut domains = published(resource, facts);
    domains.retain(|domain| known.contains(domain) || named(domain));
    domains
}

/// The address records of the relay host names. Those of a relay that leaves stay as they are until it is gone.
pub(super) fn addresses(resource: &Validated, facts: &Facts, settings: &Settings) -> Vec<DNSEndpoint> {
    let publish = resource.dns.addresses == AddressRecords::Publish
        && resource.dns.mode == DnsMode::ExternalDNS
        && facts.life == Life::Staying;
    let relays = if publish { resource.relays.as_slice() } else { &[] };
    relays
        .iter()
        .filter(|relay| facts.has_host(&relay.hostname))
        .filter_map(|relay| {
            let live = facts.relays.get(&relay.name)?;
            let chosen = addresses::choose(relay, &live.balancer, live.addresses.as_ref());
            addresses::build(&resource.owner, relay, &chosen, resource.dns.ttl, settings)
        })
        .collect()
}

/// The address records of host names that were taken from the resource. Whoever has one may never write it over.
pub(super) fn lost_addresses(resource: &Validated, facts: &Facts) -> Vec<DNSEndpoint> {
    let taken = |relay: &&Relay| match facts.life {
        Life::Staying => !facts.has_host(&relay.hostname),
        // It yields to any successor, and keeps what its relays need until one comes.
        Life::Leaving => facts.not_allowed_hosts.contains(&relay.hostname),
    };
    let relays = resource.relays.iter().filter(taken);
    relays.filter_map(|relay| facts.relays.get(&relay.name)?.addresses.clone()).collect()
}

/// Whether what is written for external-dns is what DNS will say. Where a person enters the records, or external-dns is
/// gone with its DNSEndpoints, nobody but DNS itself knows: records that cannot be seen were not changed by that.
#[must_use]
pub fn is_written(resource: &Validated, facts: &Facts) -> bool {
    resource.dns.mode == DnsMode::ExternalDNS && facts.endpoint_api == EndpointApi::Served
}

/// Whether any of the domains' record sets still names the host of what leaves: as it was last written, or where nobody
/// writes, as DNS has said since then. What DNS does not say may be there; but once it has said that they are gone, only
/// its word that they are back counts. A person's order has a domain drain before DNS has said so.
pub(super) fn standing(
    resource: &Validated,
    domains: &[DomainName],
    host: &DomainName,
    leaving: &Retirement,
    facts: &Facts,
) -> Records {
    let written = |domain: &DomainName| facts.mx.get(domain).is_some_and(|set| mx::hosts(set).contains(host));
    let back = |domain: &DomainName| facts.dns.mx.get(domain).and_then(|seen| seen.names(host)) == Some(true);
    let unseen = leaving.phase == Phase::Withdrawing || (leaving.ordered.is_some() && leaving.awaits_records());
    let named = match (is_written(resource, facts), unseen) {
        (true, _) => domains.iter().any(written),
        (false, true) => domains.iter().any(|domain| is_named(domain, host, leaving.since, facts)),
        (false, false) => domains.iter().any(back),
    };
    if named { Records::Standing } else { Records::Changed }
}

/// Whether any of the domains' record sets names a host that is not the primary's. Which host is to be looked for in DNS is
/// not known.
pub(super) fn foreign(resource: &Validated, domains: &[DomainName], leaving: &Retirement, facts: &Facts) -> Records {
    let ours = |host: &DomainName| resource.primary_mx.iter().any(|mx| mx.host == *host);
    let mut sets = domains.iter().filter_map(|domain| facts.mx.get(domain));
    let changed = match is_written(resource, facts) {
        true => sets.all(|set| mx::hosts(set).iter().all(ours)),
        false => leaving.phase != Phase::Withdrawing,
    };
    if changed { Records::Changed } else { Records::Standing }
}

/// Whether DNS may still name the host among a domain's MX records: unless it has said otherwise since then.
#[must_use]
pub fn is_named(domain: &DomainName, host: &DomainName, since: Timestamp, facts: &Facts) -> bool {
    let seen = facts.dns.mx.get(domain).filter(|seen| seen.at >= since);
    seen.and_then(|seen| seen.names(host)) != Some(false)
}

/// What keeps relays out of a domain's records, and what is wrong with the host names of those that are in.
#[must_use]
pub fn obstacles(resource: &Validated, wanted: &[Mx], facts: &Facts) -> Vec<Obstacle> {
    own_relays(resource, facts)
        .filter_map(|relay| {
            let live = facts.relays.get(&relay.name).cloned().unwrap_or_default();
            let named = wanted.iter().any(|mx| mx.host == relay.hostname);
            let hindrance = match named {
                true => of_host(resource, relay, &live, facts),
                false => hindrance(resource, relay, &live, facts),
            }?;
            Some(Obstacle { relay: relay.name.clone(), host: relay.hostname.clone(), hindrance, told: None })
        })
        .collect()
}

fn own_relays<'a>(resource: &'a Validated, facts: &Facts) -> impl Iterator<Item = &'a Relay> {
    resource.relays.iter().filter(|relay| facts.has_host(&relay.hostname))
}

fn record(relay: &Relay) -> Mx {
    Mx { preference: relay.preference, host: relay.hostname.clone() }
}

/// The domains that the claims have as published.
fn latched(facts: &Facts) -> BTreeSet<DomainName> {
    facts.relays.values().flat_map(|live| domains::noted(live, labels::PUBLISHED)).collect()
}

fn hosts(resource: &Validated, domain: &DomainName, facts: &Facts) -> Vec<Mx> {
    let written = facts.mx.get(domain);
    let named = written.map(mx::hosts).unwrap_or_default();
    // A record set that somebody deleted comes back at once, as the domain is without it: with every relay that was in it,
    // whatever is the matter with that now, and none that was never fit for it.
    let lost = written.is_none() && facts.endpoint_api == EndpointApi::Served && latched(facts).contains(domain);
    own_relays(resource, facts)
        .filter(|relay| {
            let live = facts.relays.get(&relay.name);
            let was_in = |live: &Live| lost && domains::noted(live, labels::PUBLISHED).contains(domain);
            named.contains(&relay.hostname)
                || live.is_some_and(|live| was_in(live) || hindrance(resource, relay, live, facts).is_none())
        })
        .map(record)
        .collect()
}

fn hindrance(resource: &Validated, relay: &Relay, live: &Live, facts: &Facts) -> Option<Hindrance> {
    if !live.deployment.as_ref().is_some_and(|deployment| readiness(deployment) == Readiness::Ready) {
        return Some(Hindrance::PodNotReady);
    }
    if resource.dns.addresses == AddressRecords::Publish && addresses_of(relay, live).is_empty() {
        return Some(Hindrance::NoAddress);
    }
    of_host(resource, relay, live, facts)
}

/// What is wrong with a relay's host name in DNS.
fn of_host(resource: &Validated, relay: &Relay, live: &Live, facts: &Facts) -> Option<Hindrance> {
    let wanted = match resource.dns.addresses {
        AddressRecords::Publish => addresses_of(relay, live),
        AddressRecords::Manual => Vec::new(),
    };
    match facts.dns.hosts.get(&relay.hostname).unwrap_or(&Host::Unknown) {
        Host::Unknown => Some(Hindrance::HostUnknown),
        Host::Nothing => Some(Hindrance::HostWithoutAddress(wanted)),
        Host::Alias(target) => Some(Hindrance::HostIsAlias(target.clone())),
        // Another server would get the mail, and refuse it.
        Host::Addresses(has) if !wanted.is_empty() && !wanted.iter().any(|address| has.contains(address)) => {
            Some(Hindrance::HostElsewhere(has.iter().copied().collect(), wanted))
        }
        Host::Addresses(_) => None,
    }
}

/// The addresses that a relay's host name should have, as far as they are known.
#[must_use]
pub fn addresses_of(relay: &Relay, live: &Live) -> Vec<IpAddr> {
    addresses::choose(relay, &live.balancer, live.addresses.as_ref())
}
