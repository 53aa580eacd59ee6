//! Whose turn it is to take a new pod template.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;

use super::{
    Facts, Leaving, Live, Resources, Serving,
    renewal::{self, Stage},
};
use crate::{
    apply::subset,
    gate::{self, Candidate, Readiness, Standing},
    labels,
    validated::RelayName,
};

/// The relay that is ready and to be replaced, with the Deployment that would do it; one at most.
#[must_use]
pub fn replaced<'a>(planned: &'a mut Resources, facts: &Facts) -> Option<(&'a RelayName, &'a mut Option<Deployment>)> {
    let serving = planned.serving.iter_mut().map(|relay| (&relay.name, &mut relay.deployment));
    let leaving = planned.leaving.iter_mut().map(|relay| (&relay.name, &mut relay.deployment));
    serving.chain(leaving).find(|(name, deployment)| {
        deployment.is_some()
            && standing(facts.relays.get(*name), deployment.as_ref()) == Standing::Stale(Readiness::Ready)
    })
}

/// Takes the Deployments out whose turn it is not. A relay whose claim is being replaced takes no mail: while it does not,
/// no other is taken away from those that do. `stages` are those of the relays that stay.
pub(super) fn hold_back(
    serving: &mut [Serving],
    leaving: &mut [Leaving],
    stages: &BTreeMap<RelayName, Stage>,
    facts: &Facts,
) {
    let candidate = |name: &RelayName, wanted: Option<&Deployment>| Candidate {
        name: name.clone(),
        standing: match stages.get(name) {
            Some(Stage::Going) => Standing::Absent,
            Some(Stage::Closing) => Standing::Current(Readiness::Unready),
            Some(Stage::Serving) | None => standing(facts.relays.get(name), wanted),
        },
    };
    let wanted = |name: &RelayName| serving.iter().find(|relay| relay.name == *name)?.deployment.as_ref();
    let all: Vec<Candidate> = stages.keys().map(|name| candidate(name, wanted(name))).collect();
    let others: Vec<Candidate> =
        leaving.iter().filter_map(|relay| Some(candidate(&relay.name, Some(relay.deployment.as_ref()?)))).collect();
    let open = gate::open(&all, facts.free_rollouts);
    let open_leaving = gate::open_leaving(&all, &others, facts.free_rollouts);
    let lasting = |name: &RelayName| facts.relays.get(name).is_some_and(renewal::is_irreplaceable);
    for relay in serving.iter_mut().filter(|relay| !open.contains(&relay.name) || lasting(&relay.name)) {
        relay.deployment = None;
    }
    for relay in leaving.iter_mut().filter(|relay| !open_leaving.contains(&relay.name) || lasting(&relay.name)) {
        relay.deployment = None;
    }
}

fn standing(live: Option<&Live>, wanted: Option<&Deployment>) -> Standing {
    let Some(deployment) = live.and_then(|live| live.deployment.as_ref()) else { return Standing::Absent };
    if live.is_some_and(renewal::is_irreplaceable) || matches(deployment, wanted) {
        Standing::Current(readiness(deployment))
    } else {
        Standing::Stale(in_service(deployment))
    }
}

/// Whether a relay that is to be replaced takes mail: it does from the moment that its pod is ready, also while it is not
/// counted as available yet. Two that have just come up must not be taken for broken, and replaced at once.
fn in_service(deployment: &Deployment) -> Readiness {
    let ready = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0) > 0;
    // A status that is older than the spec tells of a pod that is being replaced.
    if ready && is_observed(deployment) { Readiness::Ready } else { readiness(deployment) }
}

/// Whether a Deployment has the pod template that is wanted, so that writing it replaces no pod. What is in the template
/// and was ours, and is wanted no longer, goes with the next write.
fn matches(live: &Deployment, wanted: Option<&Deployment>) -> bool {
    let template = |deployment: &Deployment| {
        let template = deployment.spec.as_ref().map(|spec| &spec.template);
        serde_json::to_value(template).unwrap_or_default()
    };
    wanted.map(template).is_some_and(|wanted| {
        subset::contains(Some(&template(live)), &wanted)
            && subset::wants_all_of_its_own_in(&["spec", "template"], live.managed_fields(), labels::MANAGER, &wanted)
    })
}

/// Whether a Deployment's status is of its spec as it is.
fn is_observed(deployment: &Deployment) -> bool {
    let observed = deployment.status.as_ref().and_then(|status| status.observed_generation).unwrap_or(0);
    observed >= deployment.metadata.generation.unwrap_or(0)
}

/// Whether a Deployment's pod takes mail on its newest template.
#[must_use]
pub fn readiness(deployment: &Deployment) -> Readiness {
    let status = deployment.status.clone().unwrap_or_default();
    let (updated, available) = (status.updated_replicas.unwrap_or(0), status.available_replicas.unwrap_or(0));
    if is_observed(deployment) && updated > 0 && available > 0 && status.replicas == Some(updated) {
        Readiness::Ready
    } else {
        Readiness::Unready
    }
}
