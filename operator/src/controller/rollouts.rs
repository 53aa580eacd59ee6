//! How many relays that take mail are being replaced over the whole cluster. Pure: time is a parameter.
//!
//! A relay that fails for reasons of its own (a pod that cannot be placed, a volume that is not mounted) must not keep
//! all others from being replaced for ever. Kubernetes says of its Deployment that it makes no progress
//! (`progressDeadlineSeconds`), and then it counts no more; but only when another relay runs on the same image: an image
//! that nobody has seen work must not be brought to one relay after the other.
//!
//! Passes run side by side, and a replacement that one has begun is in the cache of the others a moment later only. So
//! what was begun is counted here until the cache has certainly seen it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition};
use kube::ResourceExt as _;
use tokio::time::Instant;

use crate::{
    gate::Readiness,
    labels, names,
    plan::{Facts, readiness},
    validated::Owner,
};

/// How long what was begun is counted here: the watches lag by less.
const SEEN: Duration = Duration::from_secs(30);

/// A Deployment, by namespace and name.
pub type Place = (String, String);

/// The replacements that were begun a moment ago.
#[derive(Debug, Default)]
pub struct Rollouts(HashMap<Place, Begun>);

#[derive(Clone, Copy, Debug)]
struct Begun {
    at: Instant,
    /// That of the Deployment before it was written.
    generation: i64,
}

impl Rollouts {
    /// Whether one more relay that takes mail may be replaced now; then it counts. `taken` are those that are being
    /// replaced as the cache knows, `most` how many there may be. `siblings` are the Deployments of its resource, with
    /// the generations that the cache knows: where one of the others was written and the cache has not seen that, its pod
    /// is going down though it looks ready.
    pub fn admit(
        &mut self,
        relay: &Place,
        siblings: &BTreeMap<Place, i64>,
        taken: &BTreeSet<Place>,
        most: usize,
        now: Instant,
    ) -> Admission {
        self.0.retain(|_, begun| now.duration_since(begun.at) < SEEN);
        let unseen = |place: &Place, known: i64| self.0.get(place).is_some_and(|begun| begun.generation == known);
        let others = taken.iter().chain(self.0.keys()).filter(|other| *other != relay).collect::<BTreeSet<_>>();
        if others.len() >= most || siblings.iter().any(|(place, known)| place != relay && unseen(place, *known)) {
            return Admission::Wait;
        }
        let generation = siblings.get(relay).copied().unwrap_or_default();
        self.0.insert(relay.clone(), Begun { at: now, generation });
        Admission::Go
    }
}

/// The generations of a resource's Deployments.
#[must_use]
pub fn generations(owner: &Owner, facts: &Facts) -> BTreeMap<Place, i64> {
    let known = facts.relays.iter().filter_map(|(name, live)| {
        let generation = live.deployment.as_ref()?.metadata.generation?;
        Some(((owner.namespace.clone(), names::relay(owner, name)), generation))
    });
    known.collect()
}

/// Whether a relay may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Go,
    /// Others are being replaced.
    Wait,
}

/// The relays that are being replaced.
#[must_use]
pub fn taken(deployments: &[Arc<Deployment>]) -> BTreeSet<Place> {
    let works: BTreeSet<&str> =
        deployments.iter().filter(|one| readiness(one) == Readiness::Ready).filter_map(|one| image(one)).collect();
    let proven = |one: &Deployment| image(one).is_some_and(|image| works.contains(image));
    deployments
        .iter()
        .filter(|one| !labels::is_copy(one.as_ref()))
        .filter(|one| match progress(one) {
            Progress::Replaced => true,
            Progress::GivenUp => !proven(one),
            Progress::None => false,
        })
        .map(|one| (one.namespace().unwrap_or_default(), one.name_any()))
        .collect()
}

/// How the replacement of a relay's pod goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// There is none: it is ready, it was before it failed, or it never took mail.
    None,
    /// It is under way.
    Replaced,
    /// Kubernetes says that it makes no progress.
    GivenUp,
}

fn progress(deployment: &Deployment) -> Progress {
    let generation = deployment.metadata.generation.unwrap_or(0);
    // The first template of a relay takes no mail from anybody.
    if generation <= 1 || readiness(deployment) == Readiness::Ready {
        return Progress::None;
    }
    let status = deployment.status.as_ref();
    if status.and_then(|status| status.observed_generation).unwrap_or(0) < generation {
        return Progress::Replaced;
    }
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let progressing = |known: &&DeploymentCondition| known.type_ == "Progressing";
    match conditions.iter().find(progressing).map(|known| (known.status.as_str(), known.reason.as_deref())) {
        Some(("False", _)) => Progress::GivenUp,
        Some((_, Some("NewReplicaSetAvailable"))) => Progress::None,
        Some(_) | None => Progress::Replaced,
    }
}

fn image(deployment: &Deployment) -> Option<&str> {
    deployment.spec.as_ref()?.template.spec.as_ref()?.containers.first()?.image.as_deref()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deployment(name: &str, image: &str, generation: i64, available: u8, progressing: &Value) -> Arc<Deployment> {
        let document = json!({
            "metadata": {"namespace": "mail", "name": name, "generation": generation},
            "spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "relay", "image": image}]}}},
            "status": {
                "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available,
                "conditions": progressing,
            },
        });
        Arc::new(serde_json::from_value(document).unwrap())
    }

    fn progressing(status: &str, reason: &str) -> Value {
        json!([{"type": "Available", "status": "False"}, {"type": "Progressing", "status": status, "reason": reason}])
    }

    #[test]
    fn what_is_being_replaced_counts_and_what_is_broken_does_not() {
        let counts = |generation, available, conditions: &Value| {
            !taken(&[deployment("a", "new", generation, available, conditions)]).is_empty()
        };
        for (what, generation, available, conditions, wanted) in [
            ("ready", 2, 1, progressing("True", "NewReplicaSetAvailable"), false),
            ("its new pod starts", 2, 0, progressing("True", "ReplicaSetUpdated"), true),
            ("nobody has seen its new template", 3, 1, progressing("True", "NewReplicaSetAvailable"), true),
            ("nothing is known", 2, 0, json!([]), true),
            ("it was ready and failed since", 2, 0, progressing("True", "NewReplicaSetAvailable"), false),
            ("it never was ready", 1, 0, progressing("True", "ReplicaSetUpdated"), false),
            (
                "it is given up, and its image runs nowhere",
                2,
                0,
                progressing("False", "ProgressDeadlineExceeded"),
                true,
            ),
        ] {
            assert_eq!(counts(generation, available, &conditions), wanted, "{what}");
        }
    }

    #[test]
    fn one_that_is_given_up_frees_its_slot_when_its_image_is_known_to_work() {
        let given_up = deployment("a", "new", 2, 0, &progressing("False", "ProgressDeadlineExceeded"));
        let good = |image| deployment("b", image, 2, 1, &progressing("True", "NewReplicaSetAvailable"));
        assert_eq!(taken(&[given_up.clone(), good("old")]), [relay("a")].into(), "the image may be what is broken");
        assert_eq!(taken(&[given_up, good("new")]), BTreeSet::new(), "the relay is broken, the image is not");
    }

    fn relay(name: &str) -> Place {
        ("mail".to_owned(), name.to_owned())
    }

    #[test]
    fn passes_side_by_side_begin_no_more_than_may_be() {
        let (mut rollouts, now) = (Rollouts::default(), Instant::now());
        let mut admit = |name: &str, second: u64, unready: &[&str]| {
            let unready = unready.iter().map(|name| relay(name)).collect();
            rollouts.admit(&relay(name), &BTreeMap::new(), &unready, 2, now + Duration::from_secs(second))
        };
        assert_eq!(admit("a", 0, &[]), Admission::Go);
        assert_eq!(admit("b", 0, &[]), Admission::Go);
        assert_eq!(admit("c", 0, &[]), Admission::Wait, "the cache has not seen the two yet");
        assert_eq!(admit("a", 1, &[]), Admission::Go, "its own turn again");
        assert_eq!(admit("c", 5, &["a", "b"]), Admission::Wait, "and none is counted twice");
        assert_eq!(admit("c", 40, &["b"]), Admission::Go, "a is ready again");
        assert_eq!(admit("d", 41, &["b"]), Admission::Wait);
    }

    #[test]
    fn one_waits_until_the_cache_has_seen_that_its_sibling_is_being_replaced() {
        let (mut rollouts, now) = (Rollouts::default(), Instant::now());
        let mut admit = |name: &str, second: u64, generations: [i64; 2]| {
            let siblings = ["a", "b"].map(relay).into_iter().zip(generations).collect();
            rollouts.admit(&relay(name), &siblings, &BTreeSet::new(), 9, now + Duration::from_secs(second))
        };
        assert_eq!(admit("b", 0, [1, 1]), Admission::Go);
        assert_eq!(admit("a", 1, [1, 1]), Admission::Wait);
        assert_eq!(admit("b", 1, [1, 1]), Admission::Go, "its own write may have failed");
        assert_eq!(admit("a", 2, [1, 2]), Admission::Go, "whether it is ready is for the gate now");
        assert_eq!(admit("b", 40, [1, 2]), Admission::Go, "the cache is not behind for so long");
    }
}
