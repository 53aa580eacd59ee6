//! Address records that no relay has any more: a relay was taken out of the spec and came back under another host name
//! before it had left. Senders may have records that name the old one, so its addresses go as a relay's own do: when no
//! record set names it, and the caches have run out. How far that is stands in the DNSEndpoint itself. Pure.

use std::collections::BTreeSet;

use backupmx_crds::dnsendpoint::DNSEndpoint;
use backupmx_relay_config::DomainName;
use kube::ResourceExt as _;

use super::{Facts, domains, leaving, publication, ttl};
use crate::{
    desired::addresses,
    lifecycle::{Door, Held, Observed, Order, Phase, Retirement},
    settings::Settings,
    validated::{RelayName, Validated},
};

/// What becomes of them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Strays {
    /// Those that stay for now, with how far they are.
    pub(super) kept: Vec<DNSEndpoint>,
    /// Those that go, as they are.
    pub(super) deleted: Vec<DNSEndpoint>,
}

/// One more step of each.
pub(super) fn strays(resource: &Validated, facts: &Facts, settings: &Settings) -> Strays {
    let largest = ttl::largest(resource, facts);
    let known = domains_of(resource, facts);
    let mut strays = Strays::default();
    for set in &facts.address_sets {
        let Some(host) = addresses::host(set).filter(|host| !is_in_use(resource, host, set, facts)) else { continue };
        let new = || Retirement::new(None, facts.now, largest, settings.retire_grace);
        let begun = leaving::of(set.annotations()).pop().unwrap_or_else(new).published_with(largest);
        let seen = Observed {
            records: publication::standing(resource, &known, &host, &begun, facts),
            // The relay that had the name serves under another: there is nothing to close or to drain.
            door: Door::Closed,
            held: Held::Nothing,
            order: Order::Retain,
        };
        let retirement = begun.step(facts.now, seen);
        match retirement.phase {
            Phase::Gone => strays.deleted.push(set.clone()),
            Phase::Withdrawing | Phase::Waiting | Phase::Closing | Phase::Draining | Phase::Fading => {
                strays.kept.push(addresses::leaving(set, &resource.owner, &leaving::write(&[retirement]), settings));
            }
        }
    }
    strays
}

/// Whether a relay has the host name, one that leaves among them. Of one whose document is lost it is not known.
fn is_in_use(resource: &Validated, host: &DomainName, set: &DNSEndpoint, facts: &Facts) -> bool {
    let wanted = |relay: &RelayName| resource.relays.iter().any(|known| known.name == *relay);
    let unknown = facts
        .relays
        .iter()
        .any(|(name, live)| live.document.is_none() && !wanted(name) && addresses::is_of(set, &resource.owner, name));
    let mut documents = facts.relays.values().filter_map(|live| live.document.as_ref());
    unknown
        || resource.relays.iter().any(|relay| relay.hostname == *host)
        || documents.any(|document| document.hostname == *host)
}

/// The domains whose records may name a relay of the resource.
fn domains_of(resource: &Validated, facts: &Facts) -> Vec<DomainName> {
    let held = facts.relays.values().flat_map(domains::domains_of);
    let all: BTreeSet<DomainName> = resource.domains.iter().chain(facts.mx.keys()).cloned().chain(held).collect();
    all.into_iter().collect()
}
