//! The condition `DNSPublished`: the verdicts on all domains in one.

use std::{collections::BTreeSet, time::Duration};

use backupmx_crds::{
    BackupMXStatus, DnsMode,
    conditions::{ConditionType, Reason},
    dnsendpoint::DNSEndpoint,
};
use backupmx_relay_config::DomainName;
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Condition,
    jiff::{SignedDuration, Timestamp},
};
use kube::ResourceExt as _;

use super::conditions::{Conditions, Truth};
use crate::{
    apply::Applied,
    dns::{
        pace::Pace,
        verdict::{self, Case, Left, Reading, Time, Told, Verdict, Writer},
    },
    labels, names,
    plan::{self, EndpointApi, Facts},
    settings::Settings,
    validated::Validated,
};

const KIND: ConditionType = ConditionType::DNSPublished;

/// Notes the condition. `served` are the domains that are the resource's.
pub(super) fn condition(
    conditions: &mut Conditions<'_>,
    resource: &Validated,
    served: &[&DomainName],
    facts: &Facts,
    applied: &Applied,
    settings: &Settings,
) {
    let verdicts: Vec<(&DomainName, Verdict)> =
        served.iter().map(|domain| (*domain, judge(resource, domain, facts, applied, settings))).collect();
    let Some(verdict) = together(&verdicts) else {
        conditions.set(KIND, false, Reason::WaitingForRelays, "none of the domains is this resource's");
        return;
    };
    // An operator that has just started has not asked yet; what was known of this spec stays until it has.
    let asked = served.iter().all(|domain| facts.dns.mx.contains_key(*domain))
        && resource.relays.iter().all(|relay| facts.dns.hosts.contains_key(&relay.hostname));
    if !asked && conditions.keep(KIND) {
        return;
    }
    conditions.set(KIND, verdict.truth, verdict.reason, verdict.message);
}

/// Notes the condition of a resource that is being deleted: what DNS still says.
pub(super) fn leaving(conditions: &mut Conditions<'_>, resource: &Validated, facts: &Facts) {
    let held = facts.relays.values().flat_map(plan::domains_of);
    let domains: BTreeSet<DomainName> = resource.domains.iter().cloned().chain(held).collect();
    let lives = facts.relays.values();
    let stored = lives.filter_map(|live| Some(live.document.as_ref()?.hostname.clone()));
    let ours = |host: &DomainName| !facts.lost.hostnames.contains_key(host);
    let hosts: BTreeSet<DomainName> =
        resource.relays.iter().map(|relay| relay.hostname.clone()).chain(stored).filter(ours).collect();
    let hosts: Vec<DomainName> = hosts.into_iter().collect();
    let left: Vec<Left<'_>> = domains.iter().map(|domain| Left { domain, seen: facts.dns.mx.get(domain) }).collect();
    if let Some(verdict) = verdict::leaving(&left, &hosts) {
        conditions.set(KIND, verdict.truth, verdict.reason, verdict.message);
    }
}

/// What is expected of the next answers.
#[must_use]
pub fn pace(status: &BackupMXStatus) -> Pace {
    let any = |test: fn(&Condition) -> bool| status.conditions.iter().any(test);
    let settled = any(|known| {
        known.type_ == KIND.as_str() && (known.status == "True" || known.reason == Reason::Withdrawn.as_str())
    });
    let removed = !any(|known| known.reason == Reason::WaitingForRecords.as_str());
    if settled && removed { Pace::Settled } else { Pace::Awaited }
}

/// How soon to look again because external-dns will have had its time then. None: it is not waited for.
#[must_use]
pub fn overdue(status: &BackupMXStatus, settings: &Settings) -> Option<Duration> {
    let waits =
        |known: &Condition| known.type_ == KIND.as_str() && known.reason == Reason::WaitingForExternalDNS.as_str();
    // The API server notes whole seconds.
    let patience = settings.patience.as_duration().saturating_add(Duration::from_secs(1));
    status.conditions.iter().any(waits).then_some(patience)
}

/// The worst of the verdicts, with the names of the other domains.
fn together(verdicts: &[(&DomainName, Verdict)]) -> Option<Verdict> {
    let of = |truth: Truth| verdicts.iter().filter(move |(_, verdict)| verdict.truth == truth);
    let (first, told) = of(Truth::False).chain(of(Truth::Unknown)).chain(of(Truth::True)).next()?;
    let others: Vec<String> = verdicts
        .iter()
        .filter(|(domain, _)| domain != first)
        .map(|(domain, verdict)| format!("{domain}: {}", verdict.reason))
        .collect();
    let mut verdict = told.clone();
    if !others.is_empty() {
        verdict.message.push_str(&format!(" [{}]", others.join(", ")));
    }
    Some(verdict)
}

fn judge(resource: &Validated, domain: &DomainName, facts: &Facts, applied: &Applied, settings: &Settings) -> Verdict {
    let wanted = plan::wanted(resource, domain, facts);
    let relays: Vec<DomainName> = resource.relays.iter().map(|relay| relay.hostname.clone()).collect();
    let mut obstacles = plan::obstacles(resource, &wanted, facts);
    for obstacle in &mut obstacles {
        let set = facts.relays.get(&obstacle.relay).and_then(|live| live.addresses.as_ref());
        obstacle.told = set.map(|set| written(set, facts.now)).filter(|at| time(*at, facts, settings) == Time::Given);
    }
    let mut verdict = verdict::judge(&Case {
        domain,
        writer: writer(resource, domain, facts, applied, settings),
        obstacles: &obstacles,
        wanted: &wanted,
        relays: &relays,
        seen: facts.dns.mx.get(domain),
    });
    if let (DnsMode::Manual, Some(left)) = (resource.dns.mode, facts.mx.get(domain)) {
        verdict.message.push_str(&format!(
            " (DNSEndpoint {}/{} is left from before dns.mode was Manual; external-dns goes on writing what it says. \
             Take the records away from external-dns, by removing its ownership record {}, before deleting it)",
            settings.namespace,
            left.name_any(),
            settings.external_dns.record_name(domain)
        ));
    }
    verdict
}

fn writer<'a>(
    resource: &Validated,
    domain: &DomainName,
    facts: &Facts,
    applied: &Applied,
    settings: &'a Settings,
) -> Writer<'a> {
    match (resource.dns.mode, facts.endpoint_api) {
        (DnsMode::Manual, _) => Writer::Person,
        (DnsMode::ExternalDNS, EndpointApi::Missing) => Writer::Nobody,
        (DnsMode::ExternalDNS, EndpointApi::Served) => {
            let name = names::mx_records(domain);
            let set = applied.mx.iter().find(|set| set.name_any() == name);
            let at = set.map_or(facts.now, |set| written(set, facts.now));
            Writer::ExternalDns(Told {
                external_dns: &settings.external_dns,
                namespace: &settings.namespace,
                reading: set.map_or(Reading::Stale, reading),
                written: at,
                time: time(at, facts, settings),
                name,
            })
        }
    }
}

fn reading(set: &DNSEndpoint) -> Reading {
    let observed = set.status.and_then(|status| status.observed_generation);
    if observed.is_some() && observed >= set.metadata.generation { Reading::Current } else { Reading::Stale }
}

/// When the operator last changed what it asks for.
fn written(set: &DNSEndpoint, now: Timestamp) -> Timestamp {
    let applied = set.managed_fields().iter().filter(|entry| entry.manager.as_deref() == Some(labels::MANAGER));
    let changed = applied.filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max();
    changed.or_else(|| set.creation_timestamp().map(|time| time.0)).unwrap_or(now)
}

/// Whether external-dns has had its time since then. A clock that went back only lengthens it.
fn time(told: Timestamp, facts: &Facts, settings: &Settings) -> Time {
    let patience = SignedDuration::try_from(settings.patience.as_duration()).unwrap_or(SignedDuration::MAX);
    if facts.now.duration_since(told) > patience { Time::Over } else { Time::Given }
}
