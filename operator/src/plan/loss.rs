//! A claim that is gone though nobody let it go: its finalizers were taken off by force, or the cluster lost it. The relay
//! gets a new one, and that says so until a person has seen it. Pure.

use backupmx_crds::DeletionPolicy;
use k8s_openapi::{
    api::core::v1::PersistentVolumeClaim,
    jiff::{SignedDuration, Timestamp},
};
use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};

use super::{Facts, Live, Resources};
use crate::{
    conflict::Life,
    desired::{config_map::Claim, document},
    labels,
    lifecycle::Phase,
    validated::{RelayName, Validated},
};

/// After so long every object that was made together is known.
const SETTLED: SignedDuration = SignedDuration::from_mins(1);

/// What is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// When it was seen.
    pub since: Timestamp,
    /// How many messages the relay held, as far as it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
}

/// Whether the claim is gone from under a relay: whoever lets a claim go takes its Deployment away first. A relay that was
/// made just now may have a claim that is not known yet.
pub(super) fn is_lost(live: &Live, now: Timestamp) -> bool {
    let born = live.deployment.as_ref().and_then(|deployment| deployment.metadata.creation_timestamp.as_ref());
    live.claim.is_none() && born.is_some_and(|born| now.duration_since(born.0) > SETTLED)
}

/// Whether a claim must have been there that nobody let go. A ConfigMap of an operator that did not say so is judged by its
/// document.
fn was_held(live: &Live) -> bool {
    match live.noted {
        Some(Claim::Held) => true,
        Some(Claim::LetGo) => false,
        None => took_mail(live),
    }
}

/// Whether a relay was told to take mail, on a claim that must have been there: its document is written after its claim,
/// and says that the door is shut before one is let go. Where the document is gone too, the status may know of mail.
fn took_mail(live: &Live) -> bool {
    match &live.document {
        Some(document) => !document::is_closed(document),
        None => live.known_held.is_some_and(|messages| messages > 0),
    }
}

/// What a claim is to say of the one before it.
pub(super) fn note(live: &Live, now: Timestamp) -> Option<String> {
    match &live.claim {
        // Until a person takes it off.
        Some(claim) => claim.annotations().get(labels::LOST).cloned(),
        // A pod starts on no claim but one that is there.
        None if live.pod_since.is_some() || is_lost(live, now) || was_held(live) => {
            let messages = live.last_held();
            serde_json::to_string(&Loss { since: now, messages }).ok()
        }
        None => None,
    }
}

/// The relays that leave now though their claim is gone and nobody let it go, where their mail may be gone with it: nothing
/// is left that could say so another day.
#[must_use]
pub fn lost_on_leaving(resource: &Validated, planned: &Resources, facts: &Facts) -> Vec<(RelayName, Loss)> {
    let gone = planned.leaving.iter().filter(|relay| relay.retirement.phase == Phase::Gone);
    let lost = gone.filter_map(|relay| {
        let live = facts.relays.get(&relay.name).filter(|live| live.claim.is_none())?;
        let messages = live.last_held();
        let drained = messages == Some(0) && !took_mail(live);
        let unwanted = (facts.life, resource.deletion) == (Life::Leaving, DeletionPolicy::Discard);
        (!drained && !unwanted).then(|| (relay.name.clone(), Loss { since: facts.now, messages }))
    });
    lost.collect()
}

/// What a claim says of the one before it.
#[must_use]
pub fn lost_before(claim: &PersistentVolumeClaim) -> Option<Loss> {
    serde_json::from_str(claim.annotations().get(labels::LOST)?).ok()
}
