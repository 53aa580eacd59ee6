//! Whether the relays take mail on the current config.

use backupmx_crds::{DeletionPolicy, conditions::Reason};
use backupmx_relay_config::status::RelayStatus as Report;
use k8s_openapi::{api::apps::v1::Deployment, jiff::Timestamp};

use super::{conditions::Truth, counted, some};
use crate::{
    apply::{Applied, AppliedRelay},
    commands,
    conflict::Life,
    gate::Readiness,
    labels,
    lifecycle::Phase,
    plan::{Asked, Facts, Live, readiness},
    poll::roster::Silence,
    validated::{Owner, Relay, RelayName, Validated},
};

/// Whether every relay takes mail on the current config.
pub(super) struct RelaysReady {
    pub(super) truth: Truth,
    pub(super) reason: Reason,
    pub(super) message: String,
    /// How many take mail on the current config.
    pub(super) available: usize,
    /// What a person has to act on, where relays refuse their config.
    pub(super) refused: Option<String>,
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
    let refused: Vec<String> = wrong
        .iter()
        .filter(|(reason, _)| *reason == Reason::ConfigRefused)
        .map(|(_, message)| message.clone())
        .collect();
    let refused = (!refused.is_empty()).then(|| some(&refused, "; "));
    let wrong = wrong.first().map(|(reason, _)| (*reason, some(&messages, "; ")));
    match wrong.or(awaited) {
        None if facts.life == Life::Leaving => {
            let taking = applied.leaving.iter().filter(|relay| match relay.phase {
                Phase::Withdrawing | Phase::Waiting => resource.deletion == DeletionPolicy::Drain,
                Phase::Closing | Phase::Draining | Phase::Fading | Phase::Gone => false,
            });
            let message = match taking.count() {
                0 => "no relay serves any more, as the resource is being deleted".to_owned(),
                count => format!(
                    "the resource is being deleted; until senders have noticed that its MX records are gone, mail is still \
                     taken by {}",
                    counted(count as u64, "relay")
                ),
            };
            RelaysReady { truth: Truth::False, reason: Reason::NoneServing, message, available, refused }
        }
        None => {
            let message = format!("{available} of {} relays take mail", resource.relays.len());
            RelaysReady { truth: Truth::True, reason: Reason::AllReady, message, available, refused }
        }
        Some((reason, message)) => RelaysReady { truth: Truth::False, reason, message, available, refused },
    }
}

fn relay_problem(relay: &AppliedRelay, resource: &Validated, facts: &Facts) -> Option<(Reason, String)> {
    let name = &relay.name;
    let Some(deployment) = &relay.deployment else {
        let runs = facts.relays.get(name).is_some_and(|live| live.deployment.is_some());
        return Some(match &relay.failed {
            Some(why) if !runs => (Reason::PodNotReady, format!("relay {name} has no pod yet: {why}")),
            Some(_) | None => (Reason::RollingOut, format!("relay {name} waits for its turn to be replaced")),
        });
    };
    if readiness(deployment) == Readiness::Unready {
        let known = facts.relays.get(name).and_then(|live| live.trouble.clone()).or_else(|| refused(deployment));
        let known = known.map(|known| format!(": {known}")).unwrap_or_default();
        let message = format!("the pod of relay {name} is not ready{known}; to see more: {}", describe(resource, name));
        return Some((Reason::PodNotReady, message));
    }
    let live = facts.relays.get(name);
    match live.and_then(|live| live.report.as_ref()) {
        None if live.is_some_and(|live| live.asked == Asked::NotYet) => {
            Some((Reason::Pending, format!("relay {name} was not asked yet")))
        }
        None => Some(silent(name, live, resource)),
        Some(Report { config_error: Some(error), .. }) => {
            let message = format!(
                "relay {name} refused its config: {error}. It runs on the one before, as is shown by: {}",
                commands::in_relay(&resource.owner, name, "status")
            );
            Some((Reason::ConfigRefused, message))
        }
        Some(report) if report.config_revision < relay.revision => {
            let (has, wanted) = (report.config_revision, relay.revision);
            Some((Reason::RollingOut, format!("relay {name} runs revision {has} of its config; {wanted} is newest")))
        }
        Some(_) => None,
    }
}

/// Why it is not known how a relay is whose pod is ready.
fn silent(name: &RelayName, live: Option<&Live>, resource: &Validated) -> (Reason, String) {
    let since = live.and_then(|live| live.heard).map(since).unwrap_or_default();
    match live.map(|live| &live.silence) {
        None | Some(Silence::Unreachable) => {
            let message = format!(
                "relay {name} does not answer the operator{since}: nothing must keep the operator's pods from port 8081 of \
                 the relay's, and {} says how that is",
                describe(resource, name)
            );
            (Reason::RelayUnreachable, message)
        }
        Some(Silence::Unauthorized) => {
            let message = format!(
                "relay {name} refuses the operator's token{since}, as the master key is another than the one that it was \
                 started with: its Secret was replaced, or an operator with another key looks after the same resources. \
                 It takes and delivers mail as before, and takes the new token when its ConfigMap has reached its pod, in \
                 a minute or two. If it does not, put the former Secret back and restart the operator, or restart one \
                 relay at a time: {}",
                commands::restart(&resource.owner, name)
            );
            (Reason::RelayRefusesToken, message)
        }
        Some(Silence::Unusable(answer)) => {
            let message = format!(
                "relay {name} does not say how it is{since}: {answer}. To see what it runs: {}",
                describe(resource, name)
            );
            (Reason::RelayUnreachable, message)
        }
    }
}

/// Why no pod is made, where that is so.
fn refused(deployment: &Deployment) -> Option<String> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let failed = conditions.iter().find(|known| known.type_ == "ReplicaFailure" && known.status == "True")?;
    Some(format!("none is made: {}", failed.message.as_deref().or(failed.reason.as_deref())?))
}

fn since(heard: Timestamp) -> String {
    format!(" since {}", heard.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

/// The command that shows a relay's pod, and what became of it.
pub(super) fn describe(resource: &Validated, relay: &RelayName) -> String {
    let Owner { namespace, uid, .. } = &resource.owner;
    let (of_owner, of_relay) = (labels::OWNER_UID, labels::RELAY);
    format!("kubectl -n {namespace} describe pod -l {of_owner}={uid},{of_relay}={relay}")
}
