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
mod work;
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
    plan::{Asked, Facts, readiness},
    settings::Settings,
    validate::Problems,
    validated::{Owner, RelayName, Validated},
};
use conditions::{Conditions, Generations};
use conflicts::conflicts;
pub use queue::ROOM;
use relays::relays_ready;
use work::Work;
pub use worth::{fuller, worth_later, worth_writing};

/// What every status is made from, besides the terms that are in use.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// The last status.
    pub status: &'a BackupMXStatus,
    /// The generation of the newest spec.
    pub generation: Option<i64>,
    /// The wall clock.
    pub now: Timestamp,
}

/// The relays of a resource that cannot be built: they run all the same.
#[derive(Clone, Debug)]
pub struct Running {
    /// Whose they are.
    pub owner: Owner,
    /// What they say of themselves. None: it does not answer. One that was not asked yet is not among them.
    pub reports: BTreeMap<RelayName, Option<Report>>,
    /// When they said something last, as far as this operator heard it.
    pub heard: BTreeMap<RelayName, Timestamp>,
    /// The relays whose pod takes mail.
    pub ready: BTreeSet<RelayName>,
    /// How long they hold mail.
    pub hold: HoldTimes,
}

/// The status of a resource that cannot be built. Its relays go on, and so does what they say of mail and primary; all
/// else that was said of them stays.
#[must_use]
pub fn stalled(before: Before<'_>, reason: Reason, message: &str, running: &Running) -> BackupMXStatus {
    let generations = Generations::newest(before.generation);
    let mut conditions = Conditions::new(&before.status.conditions, generations, before.now);
    let reports: Vec<&Report> = running.reports.values().flatten().collect();
    let relays: Vec<RelayStatus> = before.status.relays.iter().map(|known| figures(known, running)).collect();
    if !reports.is_empty() {
        let named = running.reports.iter().filter_map(|(name, report)| Some((name, report.as_ref()?)));
        let silent = running.reports.iter().filter(|(_, report)| report.is_none());
        let silent = silent.map(|(name, _)| (name, running.heard.get(name).copied()));
        primary::condition(&mut conditions, &reports);
        let told = queue::Told {
            owner: &running.owner,
            reports: named.collect(),
            relays: &relays,
            silent: silent.collect(),
            hold: &running.hold,
        };
        queue::condition(&mut conditions, &told);
    }
    conditions.set(ConditionType::Ready, false, reason, message);
    conditions.set(ConditionType::Reconciling, false, reason, work::WAITS);
    conditions.set(ConditionType::Stalled, true, reason, message);
    let mut list = conditions.finish();
    let others = before.status.conditions.iter().filter(|known| list.iter().all(|new| new.type_ != known.type_));
    list.extend(others.cloned().collect::<Vec<_>>());
    BackupMXStatus {
        observed_generation: before.generation,
        conditions: list,
        primary: primary::now(&reports, before.status.primary.as_ref()).or_else(|| before.status.primary.clone()),
        queue: queue::all(&relays).or_else(|| before.status.queue.clone()),
        relays,
        ..before.status.clone()
    }
}

/// What was in the way of an object of a resource. What was published and runs does so without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unapplied {
    /// Why.
    pub cause: Cause,
    /// What a person has to know of it.
    pub message: String,
}

/// Why an object could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The API server refused it, and will until a person acts.
    Refused,
    /// The API server, or what it asks, did not do it time after time: a webhook that is down, for one.
    Unanswered,
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
    let message = format!(
        "{problems}. What could be used before is not known to this operator: until it is mended, relays go on as they are, \
         but none is repaired or replaced, no volume grows, and nothing is looked up in DNS"
    );
    let message = if before.status.relays.is_empty() { problems.to_string() } else { message };
    stalled(before, problems.reason(), &message, running)
}

/// What keeps objects from being as the newest spec says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hindered<'a> {
    /// What is wrong with the newest spec, where an older one is in use.
    pub problems: Option<&'a Problems>,
    /// What could not be written.
    pub unapplied: Option<&'a Unapplied>,
}

/// The status of a resource that was applied, as far as it could be.
#[must_use]
pub fn applied(
    before: Before<'_>,
    resource: &Validated,
    facts: &Facts,
    applied: &Applied,
    settings: &Settings,
    hindered: Hindered<'_>,
) -> BackupMXStatus {
    let Hindered { problems, unapplied } = hindered;
    // Not all that is there is by the spec whose objects could not all be written.
    let known = before.status.conditions.iter().find(|known| known.type_ == ConditionType::Ready.as_str());
    let used = known.filter(|_| unapplied.is_some()).map_or(resource.generation, |known| known.observed_generation);
    let generations = Generations { newest: before.generation, used };
    let mut conditions = Conditions::new(&before.status.conditions, generations, before.now);
    let reports: Vec<&Report> = facts.relays.values().filter_map(|live| live.report.as_ref()).collect();
    let serving = relays_ready(resource, facts, applied);
    let relays: Vec<RelayStatus> =
        facts.relays.keys().map(|name| relay(name, resource, facts, applied, before.status)).collect();
    let served = served(resource, facts);
    // An operator that has just started has asked nobody yet: what was known stays until it has.
    let awaited = facts.relays.values().any(|live| live.asked == Asked::NotYet);
    if !(awaited && conditions.carry(ConditionType::PrimaryReachable)) {
        primary::condition(&mut conditions, &reports);
    }
    if !(awaited && conditions.carry(ConditionType::QueueHealthy)) {
        let silent = facts.relays.iter().filter(|(_, live)| live.report.is_none() && live.asked == Asked::Yes);
        let named = facts.relays.iter().filter_map(|(name, live)| Some((name, live.report.as_ref()?)));
        let told = queue::Told {
            owner: &resource.owner,
            reports: named.collect(),
            relays: &relays,
            silent: silent.map(|(name, live)| (name, live.heard)).collect(),
            hold: &resource.hold,
        };
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
    let leaving = draining::condition(&mut conditions, resource, facts, applied);
    let work = Work { resource, facts, served: &served, relays: &serving, leaving, problems, unapplied, awaited };
    work::conditions(&mut conditions, &work);
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
pub(crate) fn some(all: &[String], between: &str) -> String {
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
mod message_tests;
#[cfg(test)]
mod reason_tests;
#[cfg(test)]
mod refused_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod work_tests;
