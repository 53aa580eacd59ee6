//! The condition `DNSPublished`: the verdicts on all domains in one.

use std::time::Duration;

use backupmx_crds::{
    BackupMXStatus, DnsMode,
    conditions::{ConditionType, Reason},
    dnsendpoint::DNSEndpoint,
};
use backupmx_relay_config::DomainName;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

use super::conditions::{Conditions, Truth};
use crate::{
    apply::Applied,
    dns::{
        pace::Pace,
        verdict::{self, Case, Reading, Told, Verdict, Writer},
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
    // An operator that has just started has not asked yet; what was known stays until it has.
    if verdict.reason == Reason::Pending && conditions.keep(KIND) {
        return;
    }
    conditions.set(KIND, verdict.truth, verdict.reason, verdict.message);
}

/// What is expected of the next answers.
#[must_use]
pub fn pace(status: &BackupMXStatus) -> Pace {
    let published = status.conditions.iter().any(|known| known.type_ == KIND.as_str() && known.status == "True");
    if published { Pace::Settled } else { Pace::Awaited }
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
    verdict::judge(&Case {
        domain,
        writer: writer(resource, domain, facts, applied, settings),
        obstacles: &plan::obstacles(resource, &wanted, facts),
        wanted: &wanted,
        relays: &relays,
        seen: facts.dns.mx.get(domain),
    })
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
            Writer::ExternalDns(Told {
                external_dns: &settings.external_dns,
                namespace: &settings.namespace,
                reading: set.map_or(Reading::Stale, reading),
                ago: set.map(|set| ago(set, facts.now)).unwrap_or_default(),
                patience: settings.patience.as_duration(),
                name,
            })
        }
    }
}

fn reading(set: &DNSEndpoint) -> Reading {
    let observed = set.status.and_then(|status| status.observed_generation);
    if observed.is_some() && observed >= set.metadata.generation { Reading::Current } else { Reading::Stale }
}

/// How long ago the operator last changed what it asks for.
fn ago(set: &DNSEndpoint, now: Timestamp) -> Duration {
    let applied = set.managed_fields().iter().filter(|entry| entry.manager.as_deref() == Some(labels::MANAGER));
    let changed = applied.filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max();
    let written = changed.or_else(|| set.creation_timestamp().map(|time| time.0)).unwrap_or(now);
    Duration::try_from(now.duration_since(written)).unwrap_or_default()
}
