//! The primary, as the relays see it.

use backupmx_crds::{
    PrimaryState, PrimaryStatus,
    conditions::{ConditionType, Reason},
};
use backupmx_relay_config::status::{PrimaryState as Seen, PrimaryStatus as Report, RelayStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions::{Conditions, Truth};
use crate::plan::Facts;

/// What the relay says that sees the primary worst: mail may be held there.
pub(super) fn worst(reports: &[&RelayStatus]) -> Option<PrimaryStatus> {
    let seen = reports.iter().flat_map(|report| &report.tenants).map(|tenant| &tenant.primary);
    seen.max_by_key(|primary| badness(state(primary))).map(|primary| PrimaryStatus {
        state: state(primary),
        since: primary.since.parse().ok().map(Time),
        last_error: primary.last_error.clone(),
    })
}

/// Whether the primary takes mail, as far as the relays say.
pub(super) fn takes_mail(facts: &Facts) -> bool {
    let reports: Vec<&RelayStatus> = facts.relays.values().filter_map(|live| live.report.as_ref()).collect();
    let looping = reports.iter().flat_map(|report| &report.tenants).any(|tenant| tenant.primary.looping);
    let away = worst(&reports).is_some_and(|primary| match primary.state {
        PrimaryState::Down | PrimaryState::Deferring | PrimaryState::Rejecting => true,
        PrimaryState::Unknown | PrimaryState::Up | PrimaryState::Recovering | PrimaryState::Suspect => false,
    });
    !looping && !away
}

/// What is said of the primary now. An outage that was told lasts until a relay says that it is over, whatever silence
/// or restart comes between: its end is told then.
pub(super) fn now(reports: &[&RelayStatus], before: Option<&PrimaryStatus>) -> Option<PrimaryStatus> {
    let seen = worst(reports);
    // Suspect is a failure that may be none: no end, and after an outage no new one.
    let doubtful = |primary: &PrimaryStatus| matches!(primary.state, PrimaryState::Unknown | PrimaryState::Suspect);
    let goes_on = seen.as_ref().is_none_or(doubtful);
    let outage = before.filter(|known| match known.state {
        PrimaryState::Down | PrimaryState::Deferring | PrimaryState::Rejecting => goes_on,
        PrimaryState::Unknown | PrimaryState::Up | PrimaryState::Recovering | PrimaryState::Suspect => false,
    });
    outage.cloned().or(seen)
}

pub(super) fn condition(conditions: &mut Conditions<'_>, reports: &[&RelayStatus]) {
    let mut tenants = reports.iter().flat_map(|report| report.tenants.iter().map(|tenant| (*report, tenant)));
    if let Some((report, _)) = tenants.find(|(_, tenant)| tenant.primary.looping) {
        let message = format!(
            "a host of the primary is relay {} itself, by the name that it greets with: mail for it would go in a circle \
             and is held. Correct primary.hosts or primary.serviceRef, or the address or port forwarding that leads here",
            report.hostname
        );
        conditions.set(ConditionType::PrimaryReachable, false, Reason::Looping, message);
        return;
    }
    let seen = worst(reports);
    let (truth, reason, message) = match seen.as_ref().map(|primary| primary.state) {
        None => (Truth::Unknown, Reason::NotReported, "no relay says how the primary is"),
        Some(PrimaryState::Unknown) => {
            (Truth::Unknown, Reason::NotReported, "no relay that answers has looked at the primary yet")
        }
        Some(PrimaryState::Up) => (Truth::True, Reason::Up, "the primary takes mail"),
        Some(PrimaryState::Recovering) => (Truth::True, Reason::Recovering, "the primary is back; held mail is tried"),
        Some(PrimaryState::Suspect) => (Truth::False, Reason::Suspect, "a session with the primary failed"),
        Some(PrimaryState::Down) => (Truth::False, Reason::Down, "the primary is down; mail is held"),
        Some(PrimaryState::Deferring) => (Truth::False, Reason::Deferring, "the primary takes no mail; it is held"),
        Some(PrimaryState::Rejecting) => {
            (Truth::False, Reason::RejectStorm, "the primary refuses too much; deliveries are stopped, nothing bounces")
        }
    };
    let error = seen.and_then(|primary| primary.last_error).filter(|_| truth == Truth::False);
    let mut message = error.map_or_else(|| message.to_owned(), |error| format!("{message}: {error}"));
    if reason == Reason::RejectStorm {
        message.push_str(STORM);
    }
    conditions.set(ConditionType::PrimaryReachable, truth, reason, message);
}

/// What ends a storm of rejects.
const STORM: &str = ". Mend what it refuses, such as users or domains that it lacks: one message is tried now and then, and \
                     the first that is taken starts deliveries again; so does backupmx-relay queue resume in the relay";

const fn state(primary: &Report) -> PrimaryState {
    match (primary.reject_storm, primary.state) {
        (true, _) => PrimaryState::Rejecting,
        (false, Seen::Unknown) => PrimaryState::Unknown,
        (false, Seen::Up) => PrimaryState::Up,
        (false, Seen::Suspect) => PrimaryState::Suspect,
        (false, Seen::Down) => PrimaryState::Down,
        (false, Seen::Deferring) => PrimaryState::Deferring,
        (false, Seen::Recovering) => PrimaryState::Recovering,
    }
}

const fn badness(state: PrimaryState) -> u8 {
    match state {
        PrimaryState::Unknown => 0,
        PrimaryState::Up => 1,
        PrimaryState::Recovering => 2,
        PrimaryState::Suspect => 3,
        PrimaryState::Deferring => 4,
        PrimaryState::Down => 5,
        PrimaryState::Rejecting => 6,
    }
}
