//! Whether the relays take mail on the current config.

use backupmx_crds::conditions::Reason;
use backupmx_relay_config::status::RelayStatus as Report;

use super::conditions::Truth;
use crate::{
    apply::{Applied, AppliedRelay},
    conflict::Life,
    gate::Readiness,
    plan::{Asked, Facts, readiness},
    validated::{Relay, Validated},
};

/// Whether every relay takes mail on the current config.
pub(super) struct RelaysReady {
    pub(super) truth: Truth,
    pub(super) reason: Reason,
    pub(super) message: String,
    /// How many take mail on the current config.
    pub(super) available: usize,
}

/// Looks at every relay that serves; the first that does not is told of.
pub(super) fn relays_ready(resource: &Validated, facts: &Facts, applied: &Applied) -> RelaysReady {
    let mut wrong: Option<(Reason, String)> = None;
    let mut awaited: Option<(Reason, String)> = None;
    let mut available = 0;
    for relay in &applied.relays {
        match relay_problem(relay, facts) {
            None => available += 1,
            // Its pod is ready. On which config it runs it has yet to say.
            Some((Reason::Pending, message)) => {
                available += 1;
                awaited = awaited.or(Some((Reason::Pending, message)));
            }
            Some(problem) => wrong = wrong.or(Some(problem)),
        }
    }
    let renewed =
        |relay: &&Relay| facts.life == Life::Staying && !applied.relays.iter().any(|known| known.name == relay.name);
    if let Some(relay) = resource.relays.iter().find(renewed) {
        let message = format!("relay {} waits for a new volume in place of the one that was deleted", relay.name);
        wrong = wrong.or(Some((Reason::RollingOut, message)));
    }
    match wrong.or(awaited) {
        None if facts.life == Life::Leaving => {
            let message = "no relay serves any more, as the resource is being deleted".to_owned();
            RelaysReady { truth: Truth::False, reason: Reason::NoneServing, message, available }
        }
        None => {
            let message = format!("{available} of {} relays take mail", resource.relays.len());
            RelaysReady { truth: Truth::True, reason: Reason::AllReady, message, available }
        }
        Some((reason, message)) => RelaysReady { truth: Truth::False, reason, message, available },
    }
}

fn relay_problem(relay: &AppliedRelay, facts: &Facts) -> Option<(Reason, String)> {
    let name = &relay.name;
    let Some(deployment) = &relay.deployment else {
        return Some((Reason::RollingOut, format!("relay {name} waits for its turn to be replaced")));
    };
    if readiness(deployment) == Readiness::Unready {
        return Some((Reason::PodNotReady, format!("the pod of relay {name} is not ready")));
    }
    let live = facts.relays.get(name);
    match live.and_then(|live| live.report.as_ref()) {
        None if live.is_some_and(|live| live.asked == Asked::NotYet) => {
            Some((Reason::Pending, format!("relay {name} was not asked yet")))
        }
        None => Some((Reason::RelayUnreachable, format!("relay {name} does not answer the operator"))),
        Some(Report { config_error: Some(error), .. }) => {
            Some((Reason::ConfigRefused, format!("relay {name} refused its config: {error}")))
        }
        Some(report) if report.config_revision < relay.revision => {
            let (has, wanted) = (report.config_revision, relay.revision);
            Some((Reason::RollingOut, format!("relay {name} runs revision {has} of its config; {wanted} is newest")))
        }
        Some(_) => None,
    }
}
