//! Which domains a relay serves, defers, and lets go.

use std::collections::BTreeSet;

use backupmx_crds::Activation;
use backupmx_relay_config::{AcceptMode, DomainName, Recipients};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;

use super::{
    Facts, Live, leaving, publication, ttl,
    word::{self, Word},
};
use crate::{
    desired::document::{self, LeavingDomain, Tenancy},
    labels,
    lifecycle::{Door, Held, Observed, Order, Phase, Records, Retirement},
    settings::Settings,
    validated::{Relay, Validated},
};

/// The domains that leave this relay, each a step further. One that is back in the spec is not among them.
pub(super) fn leaving(
    resource: &Validated,
    relay: &Relay,
    live: &Live,
    facts: &Facts,
    settings: &Settings,
) -> Vec<Retirement> {
    // A claim that another left is taken over as it is, with the domains of the spec alone, or not at all.
    let ours =
        live.claim.as_ref().is_some_and(|claim| claim.labels().get(labels::OWNER_UID) == Some(&resource.owner.uid));
    let known = leaving::read(live.claim.as_ref().filter(|_| ours));
    let held: BTreeSet<DomainName> = domains_of(live).into_iter().filter(|_| ours).collect();
    let begun = |domain: &DomainName| known.iter().find(|leaving| leaving.domain.as_ref() == Some(domain)).cloned();
    let word = Word::of(live.claim.as_ref());
    held.into_iter()
        .filter(|domain| !resource.domains.contains(domain))
        .map(|domain| {
            let largest = ttl::largest(resource, facts);
            let new = || Retirement::new(Some(domain.clone()), facts.now, largest, settings.retire_grace);
            let leaving = begun(&domain).unwrap_or_else(new).published_with(largest);
            let leaving = word::heard(word.as_ref(), &domain, leaving, facts);
            let leaving = if leaving::withdrawn(live) { leaving.withdrawn(facts.now) } else { leaving };
            leaving.step(facts.now, observe(resource, relay, &domain, &leaving, live, facts))
        })
        .filter(|leaving| leaving.phase != Phase::Gone)
        .collect()
}

/// Whose mail is taken.
pub(super) fn tenancy(
    resource: &Validated,
    relay: &Relay,
    live: &Live,
    retiring: &[Retirement],
    facts: &Facts,
) -> Tenancy {
    let published = publication::published(resource, facts);
    let (mut deferred, serving): (Vec<DomainName>, _) = resource.domains.iter().cloned().partition(|domain| {
        let elsewhere = !facts.has_host(&relay.hostname);
        let waits = match resource.activation {
            Activation::Immediate => false,
            Activation::WhenPublished => !published.contains(domain),
        };
        elsewhere || waits || !facts.has_domain(domain)
    });
    let leaving = retiring
        .iter()
        .filter_map(|leaving| {
            let domain = leaving.domain.clone()?;
            // What was answered 451 while it was in the spec goes on so, and so does what there was no room for: who had
            // an address in it is not kept.
            let accept = if is_deferred(live, &domain) { AcceptMode::Defer } else { leaving.accept(Order::Drain) };
            Some(LeavingDomain { recipients: recipients(live, &domain), accept, domain })
        })
        // Another resource may have it already; two relays that take its mail do no harm, one tenant twice would.
        .collect::<Vec<_>>();
    // Their records may name this relay still, and a 550 would bounce.
    let sought = facts.sought.get(&relay.hostname).into_iter().flatten();
    let strange =
        sought.filter(|domain| !resource.domains.contains(domain) && !leaving.iter().any(|one| one.domain == **domain));
    deferred.extend(strange.cloned());
    Tenancy { serving, deferred, leaving }
}

/// Who had an address in a domain when it was last served; anybody, where that is not known: a 550 would bounce.
fn recipients(live: &Live, domain: &DomainName) -> Recipients {
    let tenants = live.document.iter().flat_map(|stored| &stored.tenants);
    let tenant = tenants.into_iter().find(|tenant| tenant.domains.contains(domain));
    tenant.map(|tenant| tenant.acceptance.recipients.clone()).unwrap_or_default()
}

/// Whether a domain was answered 451 by the last document.
fn is_deferred(live: &Live, domain: &DomainName) -> bool {
    let mut tenants = live.document.iter().flat_map(|stored| &stored.tenants);
    tenants.any(|tenant| tenant.accept == AcceptMode::Defer && tenant.domains.contains(domain))
}

/// The domains whose mail a claim may hold.
#[must_use]
pub fn domains_of(live: &Live) -> Vec<DomainName> {
    noted(live, labels::DOMAINS)
}

/// The domains whose mail a claim may hold.
#[must_use]
pub fn domains_in(claim: &PersistentVolumeClaim) -> Vec<DomainName> {
    listed(claim, labels::DOMAINS)
}

/// The domains that an annotation of a claim lists.
pub(super) fn noted(live: &Live, key: &str) -> Vec<DomainName> {
    live.claim.as_ref().map(|claim| listed(claim, key)).unwrap_or_default()
}

fn listed(claim: &PersistentVolumeClaim, key: &str) -> Vec<DomainName> {
    let list = claim.metadata.annotations.as_ref().and_then(|annotations| annotations.get(key));
    list.map(|list| list.split(',').filter_map(|domain| domain.parse().ok()).collect()).unwrap_or_default()
}

fn observe(
    resource: &Validated,
    relay: &Relay,
    domain: &DomainName,
    leaving: &Retirement,
    live: &Live,
    facts: &Facts,
) -> Observed {
    let tenant = document::leaving_tenant(resource, domain);
    let closed = leaving.phase >= Phase::Closing
        && live.document.as_ref().is_some_and(|stored| {
            let mut tenants = stored.tenants.iter().filter(|known| known.name == tenant);
            tenants.any(|known| known.accept == leaving.accept(Order::Drain)) && live.keeps(stored)
        });
    let held = live.report.as_ref().and_then(|report| report.tenants.iter().find(|known| known.name == tenant));
    let records = if leaving.withdrawn.is_some() {
        Records::Changed
    } else {
        publication::standing(resource, std::slice::from_ref(domain), &relay.hostname, leaving, facts)
    };
    Observed {
        records,
        door: if closed { Door::Closed } else { Door::Open },
        held: match (held, closed) {
            (Some(tenant), true) => leaving::count(tenant.queue.messages + leaving::in_flight(tenant.in_flight)),
            (Some(_), false) | (None, _) => Held::Unknown,
        },
        order: match (leaving.ordered, &live.report) {
            (None, _) => Order::Drain,
            // One that is silent may be able to.
            (Some(_), Some(report)) if !report.discards_domains => Order::CutShort,
            (Some(_), Some(_) | None) => Order::Clear,
        },
    }
}
