//! The condition `DNSPublished`: the verdicts on all domains in one.

use std::{collections::BTreeSet, time::Duration};

use backupmx_crds::{
    AddressRecords, BackupMXStatus, DnsMode,
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
        verdict::{self, AddressesTold, Case, Left, Reading, Time, Told, Verdict, Writer},
    },
    labels, names,
    plan::{self, EndpointApi, Facts},
    settings::Settings,
    validated::{Relay, Validated},
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
    // What is stuck is told before the records that a person has to remove.
    let removed = !any(|known| {
        known.type_ == ConditionType::Draining.as_str()
            && [Reason::WaitingForRecords, Reason::Stuck].iter().any(|reason| known.reason == reason.as_str())
    });
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
        obstacle.told = set.and_then(|set| addresses_told(set, facts, settings));
    }
    let mut verdict = verdict::judge(&Case {
        domain,
        writer: writer(resource, domain, facts, applied, settings),
        obstacles: &obstacles,
        wanted: &wanted,
        relays: &relays,
        seen: facts.dns.mx.get(domain),
    });
    let name = names::mx_records(domain);
    if verdict.reason == Reason::WaitingForExternalDNS && applied.mx_missing.contains(&name) {
        verdict.message = format!(
            "{domain}: DNSEndpoint {}/{name} could not be written; Stalled or Reconciling says why",
            settings.namespace
        );
    }
    for left in left(resource, domain, facts, settings) {
        verdict.message.push_str(&left);
    }
    verdict
}

/// What external-dns goes on writing though a person has taken over. It is left to that person: were the DNSEndpoint
/// deleted, external-dns would delete the records, and mail that senders bring by them would find no relay.
fn left(resource: &Validated, domain: &DomainName, facts: &Facts, settings: &Settings) -> Vec<String> {
    let (external_dns, namespace) = (&settings.external_dns, &settings.namespace);
    let text = |left: &DNSEndpoint, field: &str, records: &str| {
        format!(
            " (DNSEndpoint {namespace}/{} is left from before {field} was Manual; external-dns goes on writing what it \
             says. Take the records away from external-dns, by removing its ownership record {records}, before deleting \
             it)",
            left.name_any()
        )
    };
    let of_domain = facts.mx.get(domain).filter(|_| resource.dns.mode == DnsMode::Manual);
    let of_domain = of_domain.map(|left| text(left, "dns.mode", &external_dns.record_name(domain)));
    let field = match (resource.dns.mode, resource.dns.addresses) {
        (DnsMode::Manual, _) => Some("dns.mode"),
        (DnsMode::ExternalDNS, AddressRecords::Manual) => Some("dns.addresses"),
        (DnsMode::ExternalDNS, AddressRecords::Publish) => None,
    };
    let of_host = |relay: &Relay, field: &str| {
        let left = facts.relays.get(&relay.name)?.addresses.as_ref()?;
        let records = left.spec.endpoints.iter();
        let records = records.map(|set| external_dns.address_record_name(set.record_type, &relay.hostname));
        Some(text(left, field, &records.collect::<Vec<_>>().join(" and ")))
    };
    let of_hosts =
        field.into_iter().flat_map(|field| resource.relays.iter().filter_map(move |relay| of_host(relay, field)));
    of_domain.into_iter().chain(of_hosts).collect()
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

/// What external-dns makes of the addresses of a relay.
fn addresses_told(set: &DNSEndpoint, facts: &Facts, settings: &Settings) -> Option<AddressesTold> {
    let at = written(set, facts.now);
    match (time(at, facts, settings), reading(set)) {
        (Time::Given, _) => Some(AddressesTold::Lately(at)),
        (Time::Over, Reading::Stale) => {
            Some(AddressesTold::Unread { namespace: settings.namespace.clone(), name: set.name_any(), written: at })
        }
        (Time::Over, Reading::Current) => None,
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
