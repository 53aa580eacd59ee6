//! What is said of a resource: from what was applied and what its relays say. Pure.

pub mod conditions;
mod conflicts;
pub mod dns;
pub mod domains;
mod draining;
pub mod level;
mod primary;
mod queue;
mod records;
mod relays;
mod storage;
mod worth;

use std::collections::{BTreeMap, BTreeSet};

use backupmx_crds::{
    BackupMXStatus, RelayStatus, VolumeStatus,
    conditions::{ConditionType, Reason},
};
use backupmx_relay_config::{ByteSize, DomainName, HoldTimes, status::RelayStatus as Report};
use k8s_openapi::jiff::Timestamp;

use crate::{
    apply::Applied,
    conflict::Life,
    gate::Readiness,
    plan::{self, Asked, Facts, Live, readiness},
    settings::Settings,
    validate::Problems,
    validated::{RelayName, Validated},
};
use conditions::Conditions;
use conflicts::conflicts;
use relays::{RelaysReady, relays_ready};
pub use worth::{fuller, worth_later, worth_writing};

/// What every status is made from.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// The last status.
    pub status: &'a BackupMXStatus,
    /// The generation of the spec.
    pub generation: Option<i64>,
    /// The wall clock.
    pub now: Timestamp,
}

/// The relays of a resource that cannot be built: they run all the same.
#[derive(Clone, Debug, Default)]
pub struct Running {
    /// What they say of themselves. None: it does not answer. One that was not asked yet is not among them.
    pub reports: BTreeMap<RelayName, Option<Report>>,
    /// The relays whose pod takes mail.
    pub ready: BTreeSet<RelayName>,
    /// How long they hold mail.
    pub hold: HoldTimes,
}

impl Running {
    /// The relays as they are, of a resource whose objects could not be applied.
    #[must_use]
    pub fn known(resource: &Validated, facts: &Facts) -> Self {
        let ready = |live: &Live| live.deployment.as_ref().is_some_and(|one| readiness(one) == Readiness::Ready);
        let takes_mail = facts.relays.iter().filter(|(_, live)| ready(live));
        let asked = facts.relays.iter().filter(|(_, live)| live.asked == Asked::Yes);
        Self {
            reports: asked.map(|(name, live)| (name.clone(), live.report.clone())).collect(),
            ready: takes_mail.map(|(name, _)| name.clone()).collect(),
            hold: resource.hold,
        }
    }
}

/// The status of a resource that cannot be built. Its relays go on, and so does what they say of mail and primary; all
/// else that was said of them stays.
#[must_use]
pub fn stalled(before: Before<'_>, reason: Reason, message: &str, running: &Running) -> BackupMXStatus {
    let mut conditions = Conditions::new(&before.status.conditions, before.generation, before.now);
    let reports: Vec<&Report> = running.reports.values().flatten().collect();
    let relays: Vec<RelayStatus> = before.status.relays.iter().map(|known| figures(known, running)).collect();
    if !reports.is_empty() {
        let silent = running.reports.iter().filter(|(_, report)| report.is_none());
        let silent: Vec<String> = silent.map(|(name, _)| name.to_string()).collect();
        primary::condition(&mut conditions, &reports);
        let told = queue::Told { reports: &reports, relays: &relays, silent: &silent, hold: &running.hold };
        queue::condition(&mut conditions, &told);
    }
    conditions.set(ConditionType::Ready, false, reason, message);
    conditions.set(ConditionType::Reconciling, false, Reason::UpToDate, "waiting for a change of the spec");
    conditions.set(ConditionType::Stalled, true, reason, message);
    let mut list = conditions.finish();
    let others = before.status.conditions.iter().filter(|known| list.iter().all(|new| new.type_ != known.type_));
    list.extend(others.cloned().collect::<Vec<_>>());
    BackupMXStatus {
        observed_generation: before.generation,
        conditions: list,
        primary: primary::worst(&reports).or_else(|| before.status.primary.clone()),
        queue: queue::all(&relays).or_else(|| before.status.queue.clone()),
        relays,
        ..before.status.clone()
    }
}

/// A relay as it is now, of which no more is known than what it says.
fn figures(known: &RelayStatus, running: &Running) -> RelayStatus {
    let name = known.name.parse::<RelayName>().ok();
    let asked = name.as_ref().and_then(|name| running.reports.get(name));
    let report = asked.and_then(Option::as_ref);
    RelayStatus {
        name: known.name.clone(),
        ready: name.is_some_and(|name| running.ready.contains(&name)),
        addresses: known.addresses.clone(),
        config_revision: asked.map_or(known.config_revision, |report| report.as_ref().and_then(revision)),
        queue: report.map(queue::of).or_else(|| known.queue.clone()),
        volume: report.and_then(volume).or_else(|| known.volume.clone()),
    }
}

fn revision(report: &Report) -> Option<i64> {
    i64::try_from(report.config_revision).ok()
}

/// The status of a resource whose spec holds what cannot work, or refers to what is not there.
#[must_use]
pub fn invalid(before: Before<'_>, problems: &Problems, running: &Running) -> BackupMXStatus {
    stalled(before, problems.reason(), &problems.to_string(), running)
}

/// The status of a resource that was applied.
#[must_use]
pub fn applied(
    before: Before<'_>,
    resource: &Validated,
    facts: &Facts,
    applied: &Applied,
    settings: &Settings,
) -> BackupMXStatus {
    let mut conditions = Conditions::new(&before.status.conditions, before.generation, before.now);
    let reports: Vec<&Report> = facts.relays.values().filter_map(|live| live.report.as_ref()).collect();
    let serving = relays_ready(resource, facts, applied);
    let relays: Vec<RelayStatus> =
        facts.relays.keys().map(|name| relay(name, resource, facts, applied, before.status)).collect();
    let served = served(resource, facts);
    // An operator that has just started has asked nobody yet: what was known stays until it has.
    let awaited = facts.relays.values().any(|live| live.asked == Asked::NotYet);
    let kept = serving.reason == Reason::Pending && READINESS.iter().all(|kind| conditions.knows(*kind));
    if kept {
        conditions.keep(ConditionType::Ready);
        conditions.keep(ConditionType::Reconciling);
    } else {
        ready(&mut conditions, facts.life, &serving, &publication(resource, &served, facts));
    }
    conditions.set(ConditionType::Stalled, false, Reason::UpToDate, "the spec is in use");
    if kept {
        conditions.keep(ConditionType::RelaysReady);
    } else {
        conditions.set(ConditionType::RelaysReady, serving.truth, serving.reason, serving.message.clone());
    }
    if !(awaited && conditions.carry(ConditionType::PrimaryReachable)) {
        primary::condition(&mut conditions, &reports);
    }
    if !(awaited && conditions.carry(ConditionType::QueueHealthy)) {
        let silent = facts.relays.iter().filter(|(_, live)| live.report.is_none() && live.asked == Asked::Yes);
        let silent: Vec<String> = silent.map(|(name, _)| name.to_string()).collect();
        let told = queue::Told { reports: &reports, relays: &relays, silent: &silent, hold: &resource.hold };
        queue::condition(&mut conditions, &told);
    }
    match facts.life {
        Life::Staying => {
            if !(awaited && conditions.keep(ConditionType::StorageHealthy)) {
                storage::condition(&mut conditions, resource, facts, applied);
            }
            dns::condition(&mut conditions, resource, &served, facts, applied, settings);
        }
        Life::Leaving => dns::leaving(&mut conditions, resource, facts),
    }
    conflicts(&mut conditions, &facts.lost, facts);
    draining::condition(&mut conditions, resource, facts, applied);
    BackupMXStatus {
        observed_generation: before.generation,
        conditions: conditions.finish(),
        domains_text: before.status.domains_text.clone(),
        domains: served.iter().map(ToString::to_string).collect(),
        primary: if awaited {
            before.status.primary.clone()
        } else {
            primary::now(&reports, before.status.primary.as_ref())
        },
        queue: queue::all(&relays),
        relays,
        mx_records: records::lines(resource, &served, facts, before.status),
        last_handled_flush: before.status.last_handled_flush.clone(),
    }
}

/// The conditions that say whether relays take mail on the current config.
const READINESS: [ConditionType; 3] = [ConditionType::Ready, ConditionType::Reconciling, ConditionType::RelaysReady];

/// Whether the records of all domains were seen in DNS once.
enum Publication {
    /// They were.
    Reached,
    /// Those of this domain were not.
    Awaited(String),
    /// The resource has no domain.
    Nothing,
}

fn publication(resource: &Validated, served: &[&DomainName], facts: &Facts) -> Publication {
    let published = plan::published(resource, facts);
    match served.iter().find(|domain| !published.contains(domain)) {
        Some(domain) => Publication::Awaited(domain.to_string()),
        None if served.is_empty() => Publication::Nothing,
        None => Publication::Reached,
    }
}

fn ready(conditions: &mut Conditions<'_>, life: Life, relays: &RelaysReady, publication: &Publication) {
    use ConditionType::{Ready, Reconciling};
    match (life, relays.available, publication) {
        (Life::Leaving, _, _) => {
            conditions.set(Ready, false, Reason::Deleting, "the resource is being deleted");
            conditions.set(Reconciling, true, Reason::Deleting, "the resource is being deleted");
            return;
        }
        (Life::Staying, 0, _) => conditions.set(Ready, false, Reason::NoRelayAvailable, relays.message.clone()),
        (Life::Staying, _, Publication::Awaited(domain)) => {
            let message = format!("the MX records of {domain} were not seen in DNS yet; DNSPublished says why");
            conditions.set(Ready, false, Reason::NotPublishedYet, message);
        }
        (Life::Staying, _, Publication::Nothing) => {
            let message = "none of the domains is this resource's; DomainConflict says why";
            conditions.set(Ready, false, Reason::NotPublishedYet, message);
        }
        (Life::Staying, _, Publication::Reached) => {
            conditions.set(Ready, true, Reason::Available, "relays take mail, and the MX records were published");
        }
    }
    match relays.reason {
        Reason::AllReady => conditions.set(Reconciling, false, Reason::UpToDate, "the objects are as the spec says"),
        _ => conditions.set(Reconciling, true, Reason::Progressing, relays.message.clone()),
    }
}

fn relay(
    name: &RelayName,
    resource: &Validated,
    facts: &Facts,
    applied: &Applied,
    before: &BackupMXStatus,
) -> RelayStatus {
    let known = before.relays.iter().find(|relay| relay.name == name.as_str());
    let live = facts.relays.get(name);
    let report = live.and_then(|live| live.report.as_ref());
    let deployment = applied
        .relays
        .iter()
        .find(|relay| relay.name == *name)
        .and_then(|relay| relay.deployment.as_ref())
        .or_else(|| live.and_then(|live| live.deployment.as_ref()));
    RelayStatus {
        name: name.to_string(),
        ready: deployment.is_some_and(|deployment| readiness(deployment) == Readiness::Ready),
        addresses: records::of_relay(name, resource, facts, before),
        config_revision: match (report, live.map(|live| live.asked)) {
            (None, Some(Asked::NotYet)) => known.and_then(|known| known.config_revision),
            (report, _) => report.and_then(revision),
        },
        // Held mail is on disk, whatever its relay says or does not say.
        queue: report.map(queue::of).or_else(|| known?.queue.clone()),
        volume: report.and_then(volume).or_else(|| known?.volume.clone()),
    }
}

fn volume(report: &Report) -> Option<VolumeStatus> {
    let storage = &report.storage;
    (storage.size > 0)
        .then(|| VolumeStatus { size: size(storage.size).to_string(), used_percent: level::percent(storage) })
}

/// The domains that are this resource's.
fn served<'a>(resource: &'a Validated, facts: &Facts) -> Vec<&'a DomainName> {
    resource.domains.iter().filter(|domain| facts.has_domain(domain)).collect()
}

/// So many messages: `1 message`, `2 messages`.
pub(crate) fn messages(count: u64) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

/// So many messages and their verb: `1 message is`, `2 messages are`.
pub(crate) fn messages_are(count: u64) -> String {
    format!("{} {}", messages(count), if count == 1 { "is" } else { "are" })
}

/// So many of a thing whose plural ends in s.
fn counted(count: u64, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// How many of several things are named.
const NAMED: usize = 5;

/// The first of them, and how many more there are.
fn some(all: &[String], between: &str) -> String {
    let named = all.get(..NAMED).unwrap_or(all).join(between);
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named}{between}and {more} more"),
    }
}

/// Bytes as a person reads them.
fn size(bytes: u64) -> ByteSize {
    ByteSize::mebibytes(bytes >> 20)
}

#[cfg(test)]
mod dns_tests;
#[cfg(test)]
mod reason_tests;
#[cfg(test)]
mod tests;
