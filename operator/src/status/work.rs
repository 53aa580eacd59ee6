//! The conditions `Ready`, `Reconciling` and `Stalled`: whether relays serve, and how the work on them goes. At most one of
//! the last two is True, as who waits for a resource (kstatus) would take it for one or the other.

use backupmx_crds::conditions::{ConditionType, Reason};
use backupmx_relay_config::DomainName;

use super::{Cause, Unapplied, conditions::Conditions, draining::Course, relays::RelaysReady};
use crate::{
    conflict::Life,
    gate::Readiness,
    plan::{self, Facts},
    validate::Problems,
    validated::Validated,
};

use ConditionType::{Ready, Reconciling, Stalled};

/// What they are made from, besides the conditions that this pass has noted already.
pub(super) struct Work<'a> {
    pub(super) resource: &'a Validated,
    pub(super) facts: &'a Facts,
    pub(super) served: &'a [&'a DomainName],
    pub(super) relays: &'a RelaysReady,
    pub(super) leaving: Course,
    /// What is wrong with the newest spec, where an older one is in use.
    pub(super) problems: Option<&'a Problems>,
    /// What could not be written.
    pub(super) unapplied: Option<&'a Unapplied>,
    /// Whether a relay's first word is awaited.
    pub(super) awaited: bool,
}

/// Notes them.
pub(super) fn conditions(conditions: &mut Conditions<'_>, work: &Work<'_>) {
    // An operator that has just started has asked nobody yet: what was known stays until it has.
    let all_known =
        [Ready, Reconciling, ConditionType::RelaysReady].iter().all(|kind| conditions.known(*kind).is_some());
    let kept = work.relays.reason == Reason::Pending && all_known;
    if kept {
        conditions.keep(ConditionType::RelaysReady);
        conditions.keep(Ready);
    } else {
        let RelaysReady { truth, reason, message, .. } = work.relays;
        conditions.set(ConditionType::RelaysReady, *truth, *reason, message.clone());
        ready(conditions, work);
    }
    match (stalled(conditions, work), work.unapplied) {
        (Some((reason, message)), _) => {
            conditions.set(Reconciling, false, reason, WAITS);
            conditions.set(Stalled, true, reason, message);
        }
        (None, Some(Unapplied { message, .. })) => {
            conditions.set(Reconciling, true, Reason::ApplyFailed, format!("{message}; it is tried again"));
            conditions.set(Stalled, false, Reason::UpToDate, IN_USE);
        }
        (None, None) if work.awaited && only_asking_shows(conditions) => {
            conditions.keep(Reconciling);
            conditions.keep(Stalled);
        }
        (None, None) => {
            if !(kept && conditions.keep(Reconciling)) {
                reconciling(conditions, work);
            }
            conditions.set(Stalled, false, Reason::UpToDate, IN_USE);
        }
    }
}

const IN_USE: &str = "the spec is in use";

/// What `Reconciling` says while `Stalled` is True.
pub(super) const WAITS: &str = "nothing goes on until a person acts; Stalled says what is to be done";

fn ready(conditions: &mut Conditions<'_>, work: &Work<'_>) {
    match (work.facts.life, unready(work), work.unapplied) {
        (Life::Leaving, _, _) => conditions.set(Ready, false, Reason::Deleting, DELETED),
        (Life::Staying, Some(_), Some(unapplied)) => {
            // As long as a relay takes mail: what was published and runs does so without what could not be written.
            let was = conditions.known(Ready).is_some_and(|known| known.status == "True");
            if !(was && takes_mail(work.facts) && conditions.keep(Ready)) {
                conditions.set(Ready, false, Reason::ApplyFailed, unapplied.message.clone());
            }
        }
        (Life::Staying, Some((reason, message)), None) => conditions.set(Ready, false, reason, message),
        (Life::Staying, None, _) => {
            let message = "relays take mail, and the MX records were published";
            let used =
                work.problems.map(|_| format!(", by {}; Stalled says why the newest spec is not in use", used(work)));
            conditions.set(Ready, true, Reason::Available, format!("{message}{}", used.unwrap_or_default()));
        }
    }
}

/// Why a resource that stays does not serve, if it does not.
fn unready(work: &Work<'_>) -> Option<(Reason, String)> {
    let published = plan::published(work.resource, work.facts);
    let awaited = work.served.iter().find(|domain| !published.contains(domain));
    match (work.relays.available, awaited) {
        (0, _) => Some((Reason::NoRelayAvailable, work.relays.message.clone())),
        (_, Some(domain)) => {
            let message = format!("the MX records of {domain} were not seen in DNS yet; DNSPublished says why");
            Some((Reason::NotPublishedYet, message))
        }
        (_, None) if work.served.is_empty() => {
            let message = "none of the domains is this resource's; DomainConflict says why";
            Some((Reason::NotPublishedYet, message.to_owned()))
        }
        (_, None) => None,
    }
}

/// Whether a relay's pod takes mail, on whatever config.
fn takes_mail(facts: &Facts) -> bool {
    let deployments = facts.relays.values().filter_map(|live| live.deployment.as_ref());
    deployments.into_iter().any(|deployment| plan::readiness(deployment) == Readiness::Ready)
}

const DELETED: &str = "the resource is being deleted";

fn reconciling(conditions: &mut Conditions<'_>, work: &Work<'_>) {
    match (work.facts.life, work.relays.reason, work.leaving) {
        (Life::Leaving, _, _) => conditions.set(Reconciling, true, Reason::Deleting, DELETED),
        (Life::Staying, Reason::AllReady, Course::GoesOn) => {
            let message = "a relay or a domain leaves; Draining says how far it is";
            conditions.set(Reconciling, true, Reason::Progressing, message);
        }
        // What waits for the primary must not keep a GitOps tool from the commit that repairs it.
        (Life::Staying, Reason::AllReady, Course::Over | Course::Held | Course::Stuck) => {
            conditions.set(Reconciling, false, Reason::UpToDate, "the objects are as the spec says");
        }
        (Life::Staying, _, _) => {
            conditions.set(Reconciling, true, Reason::Progressing, work.relays.message.clone());
        }
    }
}

/// What only a person can go on with, and what that person has to do. The first counts: what is said of the spec may be all
/// that is wrong.
fn stalled(conditions: &Conditions<'_>, work: &Work<'_>) -> Option<(Reason, String)> {
    let noted = |kind: ConditionType| {
        let noted = conditions.noted(kind)?;
        let reason = Reason::ALL.iter().find(|reason| reason.as_str() == noted.reason)?;
        Some((*reason, noted.message.clone()))
    };
    if let Some(problems) = work.problems {
        let also = work.unapplied.map(|unapplied| format!("; and {}", unapplied.message)).unwrap_or_default();
        let message = format!("{problems}. Until it is mended, all goes on by {}{also}", used(work));
        return Some((problems.reason(), message));
    }
    if let Some(Unapplied { cause: Cause::Refused, message }) = work.unapplied {
        return Some((Reason::ApplyFailed, message.clone()));
    }
    if let Some(refused) = &work.relays.refused {
        return Some((Reason::ConfigRefused, refused.clone()));
    }
    let hosts = || work.resource.relays.iter().all(|relay| !work.facts.has_host(&relay.hostname));
    match (work.facts.life, work.leaving) {
        (Life::Staying, _) if work.served.is_empty() => noted(ConditionType::DomainConflict),
        (Life::Staying, _) if hosts() => noted(ConditionType::HostnameConflict),
        (Life::Staying | Life::Leaving, Course::Stuck) => noted(ConditionType::Draining),
        (Life::Staying | Life::Leaving, Course::Over | Course::Held | Course::GoesOn) => None,
    }
}

/// Which spec the objects are made by, where it is not the newest that can be used.
fn used(work: &Work<'_>) -> String {
    let generation = work.resource.generation.map(|generation| format!(" (generation {generation})"));
    format!("what could be used last{}", generation.unwrap_or_default())
}

/// Whether the last pass said of this spec what only a relay's own word shows.
fn only_asking_shows(conditions: &Conditions<'_>) -> bool {
    let known = conditions.known(Stalled).filter(|known| known.status == "True");
    known.is_some_and(|known| [Reason::ConfigRefused, Reason::Stuck].iter().any(|one| one.as_str() == known.reason))
}
