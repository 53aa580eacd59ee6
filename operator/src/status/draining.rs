//! The condition `Draining`: what leaves, what it waits for, and what a person can do.

use std::cmp::Reverse;

use backupmx_crds::{
    DeletionPolicy,
    conditions::{ConditionType, Reason},
};
use backupmx_relay_config::{
    DomainName,
    status::{QueueStatus, RelayStatus},
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{conditions::Conditions, counted, primary, queue, relays::describe, some};
use crate::{
    apply::{Applied, AppliedLeaving},
    commands,
    conflict::Life,
    desired::document,
    labels,
    lifecycle::{Phase, Retirement},
    names,
    plan::{self, Asked, Facts},
    validated::{RelayName, Validated},
};

const KIND: ConditionType = ConditionType::Draining;
/// How long a relay that answers, and takes nothing more, has to discard what was ordered before a person is asked to look.
const DISCARDS: SignedDuration = SignedDuration::from_mins(5);

/// How it is with one thing that leaves. The worse stands below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Waiting,
    Delivering,
    Records,
    /// Nothing is known of what it holds, which may be over at the next word.
    Silent,
    /// Only a person can go on.
    Stuck,
}

impl Standing {
    const fn reason(self) -> Reason {
        match self {
            Self::Waiting => Reason::WaitingForCaches,
            Self::Delivering => Reason::Delivering,
            Self::Records => Reason::WaitingForRecords,
            Self::Silent | Self::Stuck => Reason::Stuck,
        }
    }
}

/// How it goes with all that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// Nothing leaves.
    Over,
    /// It goes on by itself.
    GoesOn,
    /// What is left waits for a primary that takes none of it.
    Held,
    /// Something of it waits for a person.
    Stuck,
}

/// Notes the condition: the worst of what leaves first, then all else.
pub(super) fn condition(
    conditions: &mut Conditions<'_>,
    resource: &Validated,
    facts: &Facts,
    applied: &Applied,
) -> Course {
    let relays = applied.leaving.iter().filter(|relay| relay.phase != Phase::Gone);
    let relays = relays.map(|relay| {
        let (standing, message) = of_relay(relay, resource, facts);
        (standing, message + &unheard(relay, facts))
    });
    let domains = domains(applied).into_iter().map(|(relay, leaving)| of_domain(&relay, &leaving, resource, facts));
    let records = to_remove(resource, facts, applied).map(|message| (Standing::Records, message));
    let mut all: Vec<(Standing, String)> = records.into_iter().chain(relays).chain(domains).collect();
    all.sort_by_key(|(standing, _)| Reverse(*standing));
    let Some(worst) = all.first().map(|(standing, _)| *standing) else {
        conditions.set(KIND, false, Reason::NotDraining, "nothing is leaving");
        return Course::Over;
    };
    let held = !primary::takes_mail(facts) && all.iter().all(|(standing, _)| *standing == Standing::Delivering);
    let messages: Vec<String> = all.into_iter().map(|(_, message)| message).collect();
    conditions.set(KIND, true, worst.reason(), some(&messages, "; "));
    match worst {
        Standing::Stuck => Course::Stuck,
        Standing::Delivering if held => Course::Held,
        Standing::Waiting | Standing::Delivering | Standing::Records | Standing::Silent => Course::GoesOn,
    }
}

/// What is said of words on the claim of a relay that leaves as a whole which are no order for that.
fn unheard(relay: &AppliedLeaving, facts: &Facts) -> String {
    let claim = facts.relays.get(&relay.name).and_then(|live| live.claim.as_ref());
    let unheard = plan::unheard(claim).map(|value| {
        let release = labels::RELEASE;
        format!("; {release}={value} on its claim is no order for a relay that leaves as a whole, and is not obeyed")
    });
    unheard.unwrap_or_default()
}

fn of_relay(relay: &AppliedLeaving, resource: &Validated, facts: &Facts) -> (Standing, String) {
    let name = &relay.name;
    let release = discard(resource, name);
    if facts.relays.get(name).is_none_or(|live| live.document.is_none() && live.report.is_none()) {
        let claim = facts.relays.get(name).and_then(|live| live.claim.as_ref());
        let volume = claim.and_then(|claim| claim.spec.as_ref()?.volume_name.as_deref());
        let keep = volume.map(|volume| {
            let keep = commands::keep_volume(volume);
            format!("to have the volume kept for a BackupMX that is put back in its place: {keep} && {release}; ")
        });
        let message = format!(
            "relay {name} is gone with its ConfigMap, as in a namespace that is deleted: nothing delivers what its \
             volume holds; {}to lose it: {release}",
            keep.unwrap_or_default()
        );
        return (Standing::Stuck, message);
    }
    let report = facts.relays.get(name).and_then(|live| live.report.as_ref());
    match (relay.phase, report) {
        (Phase::Withdrawing | Phase::Waiting, report) => {
            let then = match (facts.life, resource.deletion) {
                (Life::Leaving, DeletionPolicy::Retain) => "answers 451, and goes without its volume when",
                (Life::Leaving, DeletionPolicy::Discard) => "answers 451, and goes with all that it holds when",
                (Life::Leaving, DeletionPolicy::Drain) | (Life::Staying, _) => "takes mail until",
            };
            let held = report.map_or("what it holds is not known".to_owned(), |report| {
                format!("it holds {}", messages(&report.queue))
            });
            let until = until(relay.due);
            let text = format!("relay {name} {then} senders have noticed that its MX records are gone{until}; {held}");
            (Standing::Waiting, text)
        }
        (Phase::Closing | Phase::Draining | Phase::Fading | Phase::Gone, Some(report)) => {
            if report.tenants.iter().any(|tenant| tenant.suspended && tenant.queue.messages > 0) {
                let stopped = queue::suspended(&resume(resource, name));
                let message = format!("relay {name} holds {}; {stopped}; to let all of it go: {release}", left(report));
                return (Standing::Stuck, message);
            }
            if !waits_for_a_person(report) {
                return (Standing::Delivering, format!("relay {name} holds {}", left(report)));
            }
            let message = format!(
                "relay {name} holds {}. None of it is tried by itself: {}; to let all of it go: {release}",
                left(report),
                all_by_hand(resource, name, report)
            );
            (Standing::Stuck, message)
        }
        (Phase::Closing | Phase::Draining | Phase::Fading | Phase::Gone, None) => {
            let known = facts.relays.get(name).and_then(|live| live.trouble.as_ref());
            let known = known.map(|known| format!(", as its pod is not ready: {known}")).unwrap_or_default();
            let message = format!(
                "relay {name} does not say what it holds{known}; it keeps that; to see more: {}; to lose it: {release}",
                describe(resource, name)
            );
            (Standing::Silent, message)
        }
    }
}

/// How a person decides what becomes of each message that nothing delivers by itself.
fn by_hand(resource: &Validated, relay: &RelayName) -> String {
    let list = commands::in_relay(&resource.owner, relay, "queue list");
    format!("{list} shows it, and queue release ID or queue discard ID in place of that decides what becomes of it")
}

/// The same, of messages and of damaged parts.
fn all_by_hand(resource: &Validated, relay: &RelayName, report: &RelayStatus) -> String {
    let list = commands::in_relay(&resource.owner, relay, "quarantine list");
    let parts = format!(
        "{list} shows damaged parts, and quarantine show NAME or quarantine discard NAME in place of that prints one or \
         removes it"
    );
    let messages = (report.queue.messages > 0).then(|| by_hand(resource, relay));
    let parts = (report.storage.quarantined > 0).then_some(parts);
    messages.into_iter().chain(parts).collect::<Vec<_>>().join("; ")
}

/// What ends a person's stop of deliveries.
fn resume(resource: &Validated, relay: &RelayName) -> String {
    commands::in_relay(&resource.owner, relay, "queue resume --all")
}

/// What lets go of all that a relay holds of what leaves.
fn discard(resource: &Validated, relay: &RelayName) -> String {
    let (namespace, claim) = (&resource.owner.namespace, names::relay(&resource.owner, relay));
    commands::discard(namespace, &claim)
}

/// What lets go of what a relay holds for one domain that leaves it.
fn discard_domain(resource: &Validated, relay: &RelayName, domain: &DomainName) -> String {
    let (namespace, claim) = (&resource.owner.namespace, names::relay(&resource.owner, relay));
    commands::discard_domain(namespace, &claim, domain)
}

fn until(due: Option<Timestamp>) -> String {
    due.map(|due| format!(", at {}", due.strftime("%Y-%m-%dT%H:%M:%SZ"))).unwrap_or_default()
}

/// All that keeps a relay from going.
fn left(report: &RelayStatus) -> String {
    let RelayStatus { queue, orphaned, reports, storage, in_flight, config_revision, config_kept, .. } = report;
    let mut parts = vec![messages(queue)];
    // The queue is all of it.
    if orphaned.messages > 0 {
        parts.push(format!("among them {} for domains that it does not serve any more", messages(orphaned)));
    }
    if reports.messages > 0 {
        parts.push(format!("among them {} to senders", counted(reports.messages, "report")));
    }
    if storage.quarantined > 0 {
        parts.push(format!("{} set aside", counted(storage.quarantined, "damaged part")));
    }
    if config_kept < &Some(*config_revision) {
        parts.push("and has not written to its volume yet that it takes no more".to_owned());
    }
    match in_flight {
        Some(0) => {}
        Some(count) => parts.push(format!("{} under way", counted(*count, "transaction"))),
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
fn waits_for_a_person(report: &RelayStatus) -> bool {
    let RelayStatus { queue, tenants, reports, storage, in_flight, .. } = report;
    let is_left = queue.messages > 0 || storage.quarantined > 0;
    // What is no tenant's, and no report, goes nowhere.
    let goes_out = tenants.iter().map(|tenant| &tenant.queue).chain([reports]).any(goes_out);
    is_left && !goes_out && matches!(in_flight, Some(0))
}

/// Whether something of it is delivered by itself.
const fn goes_out(queue: &QueueStatus) -> bool {
    queue.messages > queue.held.saturating_add(queue.parked)
}

fn of_domain(relay: &RelayName, leaving: &Retirement, resource: &Validated, facts: &Facts) -> (Standing, String) {
    let domain = leaving.domain.as_ref().map(ToString::to_string).unwrap_or_default();
    let live = facts.relays.get(relay);
    let report = live.and_then(|live| live.report.as_ref());
    let tenant = leaving.domain.as_ref().map(|domain| document::leaving_tenant(resource, domain));
    let held = report.and_then(|report| report.tenants.iter().find(|known| Some(&known.name) == tenant.as_ref()));
    let release = leaving.domain.as_ref().map(|domain| discard_domain(resource, relay, domain)).unwrap_or_default();
    match (leaving.phase, held) {
        (Phase::Withdrawing | Phase::Waiting, held) => {
            let until = until(leaving.due());
            let message = format!(
                "mail for {domain} is taken by relay {relay} until senders have noticed that its records changed{until}; {}",
                held.map_or("what it holds for it is not known".to_owned(), |held| {
                    format!("it holds {} for it", messages(&held.queue))
                })
            );
            (Standing::Waiting, message)
        }
        (Phase::Fading, _) => {
            let message =
                format!("relay {relay} answers 451 to mail for {domain} until a day after its MX records are gone");
            (Standing::Records, message)
        }
        (Phase::Closing | Phase::Draining | Phase::Gone, Some(held)) => {
            let message = format!("relay {relay} holds {} for {domain}", messages(&held.queue));
            if let Some(ordered) = leaving.ordered {
                let since = ordered.max(leaving.since);
                let overdue = leaving.phase == Phase::Draining && facts.now.duration_since(since) > DISCARDS;
                if !overdue || held.in_flight != Some(0) || held.queue.messages == 0 {
                    return (Standing::Delivering, format!("{message}, and discards it, as was ordered"));
                }
                let message = format!(
                    "{message}, and has not discarded it since {}, as was ordered; its log says why: {}; {}",
                    since.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    commands::logs(&resource.owner, relay),
                    by_hand(resource, relay)
                );
                return (Standing::Stuck, message);
            }
            let then = if report.is_some_and(|report| report.discards_domains) {
                "to discard all of it"
            } else {
                "to wait for it no longer (the relay's version cannot discard it)"
            };
            if held.suspended && held.queue.messages > 0 {
                let stopped = queue::suspended(&resume(resource, relay));
                return (Standing::Stuck, format!("{message}; {stopped}; {then}: {release}"));
            }
            if held.queue.messages == 0 || goes_out(&held.queue) || held.in_flight != Some(0) {
                return (Standing::Delivering, message);
            }
            let message =
                format!("{message}. None of it is tried by itself: {}; {then}: {release}", by_hand(resource, relay));
            (Standing::Stuck, message)
        }
        (Phase::Closing | Phase::Draining | Phase::Gone, None) => {
            let message = format!("relay {relay} does not say what it holds for {domain}");
            let is_silent = report.is_none() && live.is_some_and(|live| live.asked == Asked::Yes);
            let message = match leaving.ordered {
                None => message,
                Some(_) => format!("{message}, and discards that when it answers, as was ordered"),
            };
            if !is_silent {
                return (Standing::Delivering, message);
            }
            let message = format!("{message}; to see why: {}", describe(resource, relay));
            match leaving.ordered {
                None => {
                    (Standing::Silent, format!("{message}; to have all of it discarded when it answers: {release}"))
                }
                Some(_) => (Standing::Silent, message),
            }
        }
    }
}

/// The domains that leave a relay which stays, with the relay's name. One that is only answered 451 any more holds
/// nothing, and nobody has to know, unless records that name the relay keep it so.
fn domains(applied: &Applied) -> Vec<(RelayName, Retirement)> {
    let of = |relay: &crate::apply::AppliedRelay| -> Vec<(RelayName, Retirement)> {
        let leaving = plan::retirements(relay.claim.as_ref()).into_iter();
        let waits = |leaving: &Retirement| leaving.phase < Phase::Fading || leaving.awaits_records();
        let waiting = leaving.filter(|leaving| leaving.domain.is_some() && waits(leaving));
        waiting.map(|leaving| (relay.name.clone(), leaving)).collect()
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
    let of_domains =
        domains(applied).into_iter().filter(|(_, leaving)| leaving.awaits_records()).flat_map(|(relay, leaving)| {
            let spec = resource.relays.iter().find(|known| known.name == relay);
            let host = spec.map(|relay| relay.hostname.clone());
            let domains: Vec<DomainName> = leaving.domain.into_iter().collect();
            host.map(|host| named(&domains, &host, leaving.since, facts)).unwrap_or_default()
        });
    let mut records: Vec<String> = of_relays.chain(of_domains).collect();
    records.sort();
    records.dedup();
    let all = (!records.is_empty()).then(|| records.join("; "))?;
    Some(format!(
        "mail is taken, or answered 451 where what is held was ordered to go, until these MX records are gone from DNS, \
         so remove them: {all}. The annotation {}=withdrawn on a relay's claim says that none of them is there, where DNS \
         cannot say so",
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
