//! Whether the relays take mail on the current config.

use backupmx_crds::conditions::Reason;
use backupmx_relay_config::status::RelayStatus as Report;

use super::{conditions::Truth, some};
use crate::{
    apply::{Applied, AppliedRelay},
    conflict::Life,
    gate::Readiness,
    labels,
    plan::{Asked, Facts, readiness},
    validated::{Owner, Relay, RelayName, Validated},
};

/// Whether every relay takes mail on the current config.
pub(super) struct RelaysReady {
    pub(super) truth: Truth,
    pub(super) reason: Reason,
    pub(super) message: String,
    /// How many take mail on the current config.
    pub(super) available: usize,
}

/// Looks at every relay that serves; all that do not are told of.
pub(super) fn relays_ready(resource: &Validated, facts: &Facts, applied: &Applied) -> RelaysReady {
    let mut wrong: Vec<(Reason, String)> = Vec::new();
    let mut awaited: Option<(Reason, String)> = None;
    let mut available = 0;
    for relay in &applied.relays {
        match relay_problem(relay, resource, facts) {
            None => available += 1,
            // Its pod is ready. On which config it runs it has yet to say.
            Some((Reason::Pending, message)) => {
                available += 1;
                awaited = awaited.or(Some((Reason::Pending, message)));
            }
            Some(problem) => wrong.push(problem),
        }
    }
    let renewed =
        |relay: &&Relay| facts.life == Life::Staying && !applied.relays.iter().any(|known| known.name == relay.name);
    if let Some(relay) = resource.relays.iter().find(renewed) {
        let message = format!("relay {} waits for a new volume in place of the one that was deleted", relay.name);
        wrong.push((Reason::RollingOut, message));
    }
    let messages: Vec<String> = wrong.iter().map(|(_, message)| message.clone()).collect();
    let wrong = wrong.first().map(|(reason, _)| (*reason, some(&messages, "; ")));
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

fn relay_problem(relay: &AppliedRelay, resource: &Validated, facts: &Facts) -> Option<(Reason, String)> {
    let name = &relay.name;
    let Some(deployment) = &relay.deployment else {
        return Some((Reason::RollingOut, format!("relay {name} waits for its turn to be replaced")));
    };
    if readiness(deployment) == Readiness::Unready {
        let message = format!("the pod of relay {name} is not ready; to see why: {}", describe(resource, name));
        return Some((Reason::PodNotReady, message));
    }
    let live = facts.relays.get(name);
    match live.and_then(|live| live.report.as_ref()) {
        None if live.is_some_and(|live| live.asked == Asked::NotYet) => {
            Some((Reason::Pending, format!("relay {name} was not asked yet")))
        }
        None => {
            let message = format!(
                "relay {name} does not answer the operator: nothing must keep the operator's pods from port 8081 of the \
                 relay's, and {} says how that is",
                describe(resource, name)
            );
            Some((Reason::RelayUnreachable, message))
        }
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

/// The command that shows a relay's pod, and what became of it.
fn describe(resource: &Validated, relay: &RelayName) -> String {
    let Owner { namespace, uid, .. } = &resource.owner;
    let (of_owner, of_relay) = (labels::OWNER_UID, labels::RELAY);
    format!("kubectl -n {namespace} describe pod -l {of_owner}={uid},{of_relay}={relay}")
}
