//! Mail that goes because somebody said so: by `deletionPolicy: Discard`, or by an annotation on its claim.

use backupmx_crds::{BackupMXStatus, conditions::ConditionType};
use backupmx_relay_config::DomainName;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::SignedDuration};

use super::{Facts, Live, Remains, Resources, leaving};
use crate::{
    apply::is_held,
    desired::document,
    lifecycle::{Phase, Retirement},
    validated::{RelayName, Validated},
};

/// The relays whose claims are let go now with mail in them, and how many messages; none where nobody can say.
#[must_use]
pub fn let_go(planned: &Resources, facts: &Facts) -> Vec<(RelayName, Option<u64>)> {
    let gone = |name: &RelayName, by_order: fn(&Live) -> bool| {
        let live = facts.relays.get(name).filter(|live| live.claim.as_ref().is_some_and(is_held) && by_order(live))?;
        let messages = live.last_held();
        (messages != Some(0)).then(|| (name.clone(), messages))
    };
    let left = planned
        .leaving
        .iter()
        .filter(|relay| (relay.retirement.phase, relay.remains) == (Phase::Gone, Remains::Nothing))
        // One that drained has said that it holds nothing.
        .filter_map(|relay| gone(&relay.name, |_| true));
    let renewed = planned.renewing.iter().filter_map(|relay| gone(&relay.name, leaving::cut_short));
    left.chain(renewed).collect()
}

/// What a person has said goes with a domain that leaves a relay which stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleared {
    /// The relay that holds it.
    pub relay: RelayName,
    /// The domain.
    pub domain: DomainName,
    /// How many messages it holds for that, as it said last.
    pub messages: u64,
    /// Who discards it.
    pub by: ClearedBy,
}

/// Who discards what is held for a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClearedBy {
    /// The relay, when it is told to: it takes nothing for the domain any more.
    Relay,
    /// A person, in the relay's pod: its version knows no such order, and nobody waits for it from now on.
    Person,
}

/// What goes now with domains that leave.
#[must_use]
pub fn cleared(resource: &Validated, planned: &Resources, facts: &Facts) -> Vec<Cleared> {
    let of_relay = |relay: &super::Serving| -> Vec<Cleared> {
        let Some(live) = facts.relays.get(&relay.name) else { return Vec::new() };
        let Some(report) = &live.report else { return Vec::new() };
        let before = leaving::read(live.claim.as_ref());
        let phase = |domain: &DomainName| {
            before.iter().find(|known| known.domain.as_ref() == Some(domain)).map(|known| known.phase)
        };
        let of_domain = |leaving: Retirement| {
            let domain = leaving.domain.filter(|_| leaving.ordered.is_some())?;
            let by = match (leaving.phase, report.discards_domains) {
                (Phase::Draining, true) => ClearedBy::Relay,
                (Phase::Fading, false) if phase(&domain) != Some(Phase::Fading) => ClearedBy::Person,
                _ => return None,
            };
            let tenant = document::leaving_tenant(resource, &domain);
            let messages = report.tenants.iter().find(|known| known.name == tenant)?.queue.messages;
            (messages > 0).then(|| Cleared { relay: relay.name.clone(), domain, messages, by })
        };
        leaving::read(Some(&relay.claim)).into_iter().filter_map(of_domain).collect()
    };
    planned.serving.iter().flat_map(of_relay).collect()
}

/// How long a status may be from before a domain was cleared.
const JUST_OVER: SignedDuration = SignedDuration::from_mins(5);

/// Whether less may be held than the status says because a relay has discarded it. The claims say so, and not this
/// program's memory: another one may have told the relay.
#[must_use]
pub fn is_clearing(facts: &Facts, status: &BackupMXStatus) -> bool {
    let says_so = || {
        let draining = |known: &&Condition| known.type_ == ConditionType::Draining.as_str();
        status.conditions.iter().find(draining).is_some_and(|known| known.status == "True")
    };
    let retirements = facts.relays.values().flat_map(|live| leaving::read(live.claim.as_ref()));
    retirements.filter(|leaving| leaving.ordered.is_some()).any(|leaving| match leaving.phase {
        Phase::Withdrawing | Phase::Waiting | Phase::Closing | Phase::Gone => false,
        Phase::Draining => true,
        // It is over; a status from before that is not written over yet says that something leaves. One that waits for its
        // records has the status say so for long.
        Phase::Fading => {
            (!leaving.awaits_records() || facts.now.duration_since(leaving.since) < JUST_OVER) && says_so()
        }
    })
}
