//! A relay that leaves: everything it needs is in its own objects, as the spec may be gone.

use std::collections::BTreeMap;

use backupmx_crds::DeletionPolicy;
use backupmx_relay_config::{AcceptMode, RelayConfig, status::RelayStatus};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::PersistentVolumeClaim};

use super::{Facts, Leaving, Live, domains, loss, pod_memory, publication, remains, ttl, volume, word::Word};
use crate::{
    apply::{is_discarded, is_held, is_leaving},
    conflict::Life,
    desired::{claim, config_map, deployment, document},
    labels,
    lifecycle::{Door, Held, Observed, Order, Phase, Records, Retirement},
    settings::Settings,
    validated::{RelayName, Validated},
};

/// One more step of a relay that leaves; none where nothing is left of it.
pub(super) fn build(
    resource: &Validated,
    name: &RelayName,
    live: &Live,
    facts: &Facts,
    settings: &Settings,
) -> Result<Option<Leaving>, serde_yaml::Error> {
    let begun = read(live.claim.as_ref()).into_iter().find(|leaving| leaving.domain.is_none());
    let released = live.claim.as_ref().filter(|claim| is_leaving(*claim) && !is_held(claim));
    // A claim that was let go lingers until its pod is gone; there is nothing left to do for it.
    let over = released.is_some() && begun.as_ref().is_some_and(|leaving| leaving.phase == Phase::Gone);
    // Lost together with its Deployment: what is left beside them is all that there is to see to.
    let bereft = live.claim.is_none() && live.deployment.is_none();
    if (bereft && live.document.is_none() && live.service.is_none()) || (over && live.deployment.is_none()) {
        return Ok(None);
    }
    let owner = &resource.owner;
    let largest = ttl::largest(resource, facts);
    let new = || {
        let new = Retirement::new(None, facts.now, largest, settings.retire_grace);
        match loss::is_lost(live, facts.now) {
            _ if bereft => Retirement { phase: Phase::Gone, ..new },
            // There is nowhere to note how far it is; what its pod still holds is all that can be waited for.
            true => Retirement { phase: Phase::Draining, ..new },
            false => new,
        }
    };
    let begun = begun.unwrap_or_else(new).published_with(largest);
    let seen = observe(resource, name, live, &begun, facts);
    let retirement = begun.step(facts.now, seen);
    let config = match &live.document {
        Some(stored) => Some(next(resource, name, stored, retirement.accept(seen.order), live, settings)?),
        None => None,
    };
    let document = config.as_ref().map(|(_, document)| document);
    let deployment = document.and_then(|document| pod(resource, name, live, &retirement, document, settings));
    let known = domains::domains_of(live);
    let state = write(std::slice::from_ref(&retirement));
    let noted = domains::noted(live, labels::PUBLISHED);
    let published: Vec<_> =
        publication::published(resource, facts).into_iter().filter(|domain| noted.contains(domain)).collect();
    let lifetime = ttl::note(resource, facts);
    let notes = claim::Notes {
        domains: &known,
        published: &published,
        ttl: lifetime.as_deref(),
        retiring: Some(&state),
        lost: None,
        release: None,
    };
    let mut claim = claim::build(owner, name, &resource.storage, &volume(live), notes);
    if released.is_some() {
        // A person took it off: none can be added to what is deleted.
        claim.metadata.finalizers = None;
    }
    let remains = remains(resource.deletion, facts.life);
    Ok(Some(Leaving { name: name.clone(), claim, config, deployment, remains, retirement }))
}

/// Its next document: what it had, on the terms of the spec where that can be used. Who moves the primary, or has mail
/// held for longer, means what is drained too.
fn next(
    resource: &Validated,
    name: &RelayName,
    stored: &RelayConfig,
    accept: AcceptMode,
    live: &Live,
    settings: &Settings,
) -> Result<(k8s_openapi::api::core::v1::ConfigMap, RelayConfig), serde_yaml::Error> {
    let owner = &resource.owner;
    let token = settings.master_key.token(owner, name).hash();
    let current = document::within(document::on_terms(stored.clone(), resource, token), pod_memory(live));
    let wanted = match accept {
        AcceptMode::Active => current,
        AcceptMode::Defer => document::closed(current),
    };
    let reported = live.report.as_ref().map(|report| report.config_revision);
    let revision = document::revision(Some(stored), reported, &wanted);
    let document = RelayConfig { revision, ..wanted };
    Ok((config_map::build(owner, name, &document, config_map::Claim::Held)?, document))
}

/// Its Deployment, so that a new image, or the repair of a broken one, reaches what drains. None: there is nothing to
/// drain, or no pod could start on its claim.
fn pod(
    resource: &Validated,
    name: &RelayName,
    live: &Live,
    retirement: &Retirement,
    document: &RelayConfig,
    settings: &Settings,
) -> Option<Deployment> {
    let claim = live.claim.as_ref()?;
    match &live.deployment {
        _ if retirement.phase == Phase::Gone => return None,
        Some(deployment) if is_leaving(deployment) => return None,
        // A claim that is being deleted takes no new pod, nor does a namespace, in which all claims are.
        None if is_leaving(claim) => return None,
        Some(_) | None => {}
    }
    let known = resource.relays.iter().find(|relay| relay.name == *name);
    Some(deployment::again(resource, name, known, live.deployment.as_ref(), document, settings))
}

fn observe(resource: &Validated, name: &RelayName, live: &Live, leaving: &Retirement, facts: &Facts) -> Observed {
    let stored = live.document.as_ref();
    let closed = stored.is_some_and(|stored| document::is_closed(stored) && live.keeps(stored));
    // What is held counts only from a relay that says in the same breath that it takes nothing more.
    let held = match (&live.report, closed) {
        (Some(report), true) => count(held(report) + in_flight(report.in_flight)),
        (Some(_), false) | (None, _) => Held::Unknown,
    };
    let order = match (
        cut_short(live) || (loss::is_lost(live, facts.now) && live.report.is_none()),
        facts.life,
        resource.deletion,
    ) {
        (true, _, _) => Order::CutShort,
        (false, Life::Leaving, DeletionPolicy::Retain) => Order::Retain,
        (false, Life::Leaving, DeletionPolicy::Discard) => Order::Discard,
        (false, Life::Leaving, DeletionPolicy::Drain) | (false, Life::Staying, _) => Order::Drain,
    };
    let known = resource.relays.iter().find(|relay| relay.name == *name).map(|relay| &relay.hostname);
    let domains = domains::domains_of(live);
    let records = match (withdrawn(live), stored.map(|stored| &stored.hostname).or(known)) {
        (true, _) => Records::Changed,
        (false, Some(host)) => publication::standing(resource, &domains, host, leaving, facts),
        // Its host name is not known any more, so it cannot be looked for.
        (false, None) => publication::foreign(resource, &domains, leaving, facts),
    };
    Observed { records, door: if closed { Door::Closed } else { Door::Open }, held, order }
}

/// What a relay holds: mail, nobody's mail, reports, parked mail (all of them in its queue) and damaged parts alike.
#[must_use]
pub const fn held(report: &RelayStatus) -> u64 {
    report.queue.messages + report.storage.quarantined
}

/// What is coming in and may still be held: it was begun before the relay was told to take no more. A relay that is too
/// old to say it is believed to have none.
pub(super) const fn in_flight(reported: Option<u64>) -> u64 {
    match reported {
        Some(transactions) => transactions,
        None => 0,
    }
}

pub(super) const fn count(messages: u64) -> Held {
    if messages == 0 { Held::Nothing } else { Held::Some(messages) }
}

/// Whether a person has said that all held mail may go. An order for one domain is none for the relay.
pub(super) fn cut_short(live: &Live) -> bool {
    live.claim.as_ref().is_some_and(is_discarded)
}

/// Whether a person has said that no record names the relay any more: DNS may never say so of a domain that is gone.
pub(super) fn withdrawn(live: &Live) -> bool {
    Word::of(live.claim.as_ref()) == Some(Word::Withdrawn)
}

/// What a claim says is leaving. What cannot be read begins anew: it only lengthens the wait.
#[must_use]
pub fn read(claim: Option<&PersistentVolumeClaim>) -> Vec<Retirement> {
    claim.and_then(|claim| claim.metadata.annotations.as_ref()).map(of).unwrap_or_default()
}

/// The same, by the annotations of an object.
pub(super) fn of(annotations: &BTreeMap<String, String>) -> Vec<Retirement> {
    annotations.get(labels::RETIRING).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

pub(super) fn write(leaving: &[Retirement]) -> String {
    serde_json::to_string(leaving).unwrap_or_default()
}
