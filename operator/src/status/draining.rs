//! The condition `Draining`: what leaves, what it waits for, and what a person can do.

use backupmx_crds::{
    DeletionPolicy,
    conditions::{ConditionType, Reason},
};
use backupmx_relay_config::{
    DomainName,
    status::{QueueStatus, RelayStatus},
};
use k8s_openapi::jiff::Timestamp;

use super::conditions::Conditions;
use crate::{
    apply::{Applied, AppliedLeaving},
    conflict::Life,
    desired::document,
    labels,
    lifecycle::{Phase, Retirement},
    plan::{self, Facts},
    validated::Validated,
};

const KIND: ConditionType = ConditionType::Draining;

pub(super) fn condition(conditions: &mut Conditions<'_>, resource: &Validated, facts: &Facts, applied: &Applied) {
    if let Some(message) = to_remove(resource, facts, applied) {
        conditions.set(KIND, true, Reason::WaitingForRecords, message);
        return;
    }
    let relay = applied.leaving.iter().find(|relay| relay.phase != Phase::Gone);
    match (relay, domains(applied).first()) {
        (Some(relay), _) => of_relay(conditions, relay, resource, facts),
        (None, Some((relay, leaving))) => of_domain(conditions, relay, leaving, resource, facts),
        (None, None) => conditions.set(KIND, false, Reason::NotDraining, "nothing is leaving"),
    }
}

fn of_relay(conditions: &mut Conditions<'_>, relay: &AppliedLeaving, resource: &Validated, facts: &Facts) {
    let name = &relay.name;
    if facts.relays.get(name).is_none_or(|live| live.document.is_none() && live.report.is_none()) {
        let message = format!(
            "relay {name} is gone with its ConfigMap, as in a namespace that is deleted: nothing delivers what its \
             volume holds; the annotation {}=discard on its claim lets it go",
            labels::RELEASE
        );
        conditions.set(KIND, true, Reason::Stuck, message);
        return;
    }
    match relay.phase {
        Phase::Withdrawing | Phase::Waiting => {
            let then = match (facts.life, resource.deletion) {
                (Life::Leaving, DeletionPolicy::Retain) => "answers 451, and goes without its volume when",
                (Life::Leaving, DeletionPolicy::Discard) => "answers 451, and goes with all that it holds when",
                (Life::Leaving, DeletionPolicy::Drain) | (Life::Staying, _) => "takes mail until",
            };
            let message = format!("relay {name} {then} senders have noticed that its MX records are gone");
            conditions.set(KIND, true, Reason::WaitingForCaches, message);
        }
        Phase::Closing | Phase::Draining | Phase::Fading | Phase::Gone => {
            match facts.relays.get(name).and_then(|live| live.report.as_ref()) {
                Some(report) if waits_for_a_person(report) => {
                    let message = format!(
                        "relay {name} holds {}. None of it is tried by itself: see backupmx-relay queue list in its \
                         pod, and release or discard what is there; the annotation {}=discard on its claim lets all \
                         of it go",
                        left(report),
                        labels::RELEASE
                    );
                    conditions.set(KIND, true, Reason::Stuck, message);
                }
                Some(report) => {
                    conditions.set(KIND, true, Reason::Delivering, format!("relay {name} holds {}", left(report)));
                }
                None => {
                    let message = format!(
                        "relay {name} does not say what it holds; the annotation {}=discard on its claim lets it go",
                        labels::RELEASE
                    );
                    conditions.set(KIND, true, Reason::Stuck, message);
                }
            }
        }
    }
}

/// All that keeps a relay from going.
fn left(report: &RelayStatus) -> String {
    let RelayStatus { queue, orphaned, reports, storage, in_flight, config_revision, config_kept, .. } = report;
    let mut parts = vec![messages(queue)];
    if orphaned.messages > 0 {
        parts.push(format!("{} for domains that it does not serve any more", messages(orphaned)));
    }
    if reports.messages > 0 {
        parts.push(format!("{} reports to senders", reports.messages));
    }
    if storage.quarantined > 0 {
        parts.push(format!("{} damaged parts that were set aside", storage.quarantined));
    }
    if config_kept < &Some(*config_revision) {
        parts.push("and has not written to its volume yet that it takes no more".to_owned());
    }
    match in_flight {
        Some(0) => {}
        Some(count) => parts.push(format!("{count} transactions under way")),
        None => parts.push("maybe transactions under way (its version does not say)".to_owned()),
    }
    parts.join(", ")
}

fn messages(queue: &QueueStatus) -> String {
    let QueueStatus { messages, held, parked, .. } = queue;
    let some = [(*held, "waiting for a person"), (*parked, "parked")].into_iter().filter(|(count, _)| *count > 0);
    let some: Vec<String> = some.map(|(count, what)| format!("{count} {what}")).collect();
    let all = super::messages(*messages);
    if some.is_empty() { all } else { format!("{all} ({})", some.join(", ")) }
}

/// Whether something is left, and nothing of it is delivered by itself.
const fn waits_for_a_person(report: &RelayStatus) -> bool {
    let RelayStatus { queue, orphaned, reports, storage, in_flight, .. } = report;
    let goes_out = queue.messages.saturating_sub(queue.held).saturating_sub(queue.parked) + reports.messages;
    goes_out == 0 && matches!(in_flight, Some(0)) && queue.messages + orphaned.messages + storage.quarantined > 0
}

fn of_domain(conditions: &mut Conditions<'_>, relay: &str, leaving: &Retirement, resource: &Validated, facts: &Facts) {
    let domain = leaving.domain.as_ref().map(ToString::to_string).unwrap_or_default();
    match leaving.phase {
        Phase::Withdrawing | Phase::Waiting => {
            let message = format!("mail for {domain} is taken until senders have noticed that its records changed");
            conditions.set(KIND, true, Reason::WaitingForCaches, message);
        }
        Phase::Closing | Phase::Draining | Phase::Fading | Phase::Gone => {
            let report = relay.parse().ok().and_then(|name| facts.relays.get(&name)?.report.as_ref());
            let tenant = leaving.domain.as_ref().map(|domain| document::leaving_tenant(resource, domain));
            let held =
                report.and_then(|report| report.tenants.iter().find(|known| Some(&known.name) == tenant.as_ref()));
            let message = match held {
                Some(held) => format!("relay {relay} holds {} for {domain}", messages(&held.queue)),
                None => format!("relay {relay} does not say what it holds for {domain}"),
            };
            conditions.set(KIND, true, Reason::Delivering, message);
        }
    }
}

/// The domains that leave a relay which stays, with the relay's name. One that is only answered 451 any more holds
/// nothing, and nobody has to know.
fn domains(applied: &Applied) -> Vec<(String, Retirement)> {
    let of = |relay: &crate::apply::AppliedRelay| -> Vec<(String, Retirement)> {
        let leaving = plan::retirements(Some(&relay.claim)).into_iter();
        let held = leaving.filter(|leaving| leaving.domain.is_some() && leaving.phase < Phase::Fading);
        held.map(|leaving| (relay.name.to_string(), leaving)).collect()
    };
    applied.relays.iter().flat_map(of).collect()
}

/// The records that a person has to remove before what leaves can go on; none where there are none, or where
/// external-dns does it.
fn to_remove(resource: &Validated, facts: &Facts, applied: &Applied) -> Option<String> {
    if plan::is_written(resource, facts) {
        return None;
    }
    let of_relays = applied.leaving.iter().filter(|relay| relay.phase == Phase::Withdrawing).flat_map(|relay| {
        let live = facts.relays.get(&relay.name);
        let host = live.and_then(|live| Some(live.document.as_ref()?.hostname.clone()));
        let begun = live.map(|live| plan::retirements(live.claim.as_ref())).unwrap_or_default();
        let since = begun.iter().find(|leaving| leaving.domain.is_none()).map_or(facts.now, |leaving| leaving.since);
        let domains = live.map(plan::domains_of).unwrap_or_default();
        host.map(|host| named(&domains, &host, since, facts)).unwrap_or_default()
    });
    let of_domains = domains(applied).into_iter().filter(|(_, leaving)| leaving.phase == Phase::Withdrawing).flat_map(
        |(relay, leaving)| {
            let spec = resource.relays.iter().find(|known| known.name.as_str() == relay);
            let host = spec.map(|relay| relay.hostname.clone());
            let domains: Vec<DomainName> = leaving.domain.into_iter().collect();
            host.map(|host| named(&domains, &host, leaving.since, facts)).unwrap_or_default()
        },
    );
    let mut records: Vec<String> = of_relays.chain(of_domains).collect();
    records.sort();
    records.dedup();
    let all = (!records.is_empty()).then(|| records.join("; "))?;
    Some(format!(
        "mail is taken until these MX records are gone from DNS, so remove them: {all}. The annotation {}=withdrawn \
         on a relay's claim says that none of them is there, where DNS cannot say so",
        labels::RELEASE
    ))
}

/// The records by which domains still name a host, or may.
fn named(domains: &[DomainName], host: &DomainName, since: Timestamp, facts: &Facts) -> Vec<String> {
    domains
        .iter()
        .filter(|domain| plan::is_named(domain, host, since, facts))
        .map(|domain| match facts.dns.mx.get(domain).and_then(|seen| seen.names(host)) {
            Some(true) => format!("{domain} MX {host}"),
            Some(false) | None => format!("{domain} MX {host} (if it is there: {domain} could not be looked up yet)"),
        })
        .collect()
}
