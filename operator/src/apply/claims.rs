//! Claims: what is written over, and what is said of one that is not there.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, ResourceExt, api::ListParams};

use super::{
    Applier, RefusedGrowth, is_leaving,
    put::{Ownership, put},
};
use crate::{
    cache,
    error::{Category, Error},
    labels,
    lifecycle::{Phase, Retirement},
    plan,
    validated::RelayName,
};

impl Applier<'_> {
    /// Writes a claim. One that may not grow, as a quota forbids it, keeps its size and takes the rest; that it may not
    /// is returned too.
    pub(super) async fn hold(
        &self,
        relay: &RelayName,
        mut claim: PersistentVolumeClaim,
    ) -> Result<(PersistentVolumeClaim, Option<RefusedGrowth>), Error> {
        let live = self.live_claim(relay, &mut claim).await?;
        let kept = live.as_ref().and_then(|live| live.spec.as_ref()?.resources.clone());
        let refused = match put(self.client, live.clone(), &claim, Ownership::Adopted).await {
            Err(error) if error.category() == Category::Refused => error,
            written => return written.map(|claim| (claim, None)),
        };
        let size = request(&claim);
        let resources = claim.spec.as_mut().map(|spec| &mut spec.resources);
        match (resources, kept) {
            (Some(asked), Some(kept)) if *asked != Some(kept.clone()) => *asked = Some(kept),
            _ => return Err(refused),
        }
        let written = put(self.client, live, &claim, Ownership::Adopted).await?;
        Ok((written, Some(RefusedGrowth { size, why: refused.with_cause() })))
    }

    /// The claim as it is there. Of a loss it goes on saying what it says now: a person may have seen it and taken it off
    /// since the plan was made. That one is lost is not said because the cache has not seen it yet; and one that was there
    /// when this pass began, and is gone by now, is not made anew by it: the next one says that it was lost.
    async fn live_claim(
        &self,
        relay: &RelayName,
        wanted: &mut PersistentVolumeClaim,
    ) -> Result<Option<PersistentVolumeClaim>, Error> {
        let name = wanted.name_any();
        let seen = || self.facts.relays.get(relay).and_then(|live| live.claim.clone());
        let mut live = cache::get(&self.cache.claims, &self.owner.namespace, &name).or_else(seen);
        if !wanted.annotations().contains_key(labels::LOST) {
            return Ok(live);
        }
        if live.is_none() {
            let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &self.owner.namespace);
            let found = api.list(&ListParams::default().fields(&format!("metadata.name={name}"))).await;
            live = found.map_err(Error::kube(format!("look for the claim {name}")))?.items.pop();
        }
        if let Some(live) = &live {
            let said = live.annotations().get(labels::LOST).cloned();
            wanted.annotations_mut().remove(labels::LOST);
            wanted.annotations_mut().extend(said.map(|said| (labels::LOST.to_owned(), said)));
        }
        Ok(live)
    }
}

/// What a claim asks for, as it is written.
fn request(claim: &PersistentVolumeClaim) -> String {
    let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    requests.and_then(|all| all.get("storage")).map(|size| size.0.clone()).unwrap_or_default()
}

/// Whether a claim bears a word of a person that is noted elsewhere, or that nothing is there for any more. It must not
/// meet what leaves another day.
pub(super) fn is_spent(claim: &PersistentVolumeClaim) -> bool {
    let pending = || {
        let waits = |leaving: &Retirement| leaving.phase < Phase::Fading || leaving.awaits_records();
        plan::retirements(Some(claim)).iter().any(waits)
    };
    match claim.annotations().get(labels::RELEASE).map(String::as_str) {
        None => false,
        Some(labels::NOTED) => true,
        Some(labels::WITHDRAWN) => !is_leaving(claim) && !pending(),
        // No plan has seen it yet, and so it is noted and told nowhere.
        Some(_) => false,
    }
}

/// Whether a person has said that what a claim holds may go.
#[must_use]
pub fn is_discarded(claim: &PersistentVolumeClaim) -> bool {
    claim.annotations().get(labels::RELEASE).map(String::as_str) == Some(labels::DISCARD)
}

/// Whether a claim has the finalizer that keeps it while it may hold mail.
#[must_use]
pub fn is_held(claim: &PersistentVolumeClaim) -> bool {
    claim.finalizers().iter().any(|finalizer| finalizer == labels::HELD_MAIL)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CHANGED: &str = "2027-01-15T08:00:00Z";

    /// `phase` may end in a `+`: the records are seen to be changed.
    fn claim(release: Option<&str>, phase: Option<&str>, deleted: Option<&str>) -> PersistentVolumeClaim {
        let note = phase.map(|phase| {
            let (phase, changed) = match phase.strip_suffix('+') {
                Some(phase) => (phase, Some(CHANGED)),
                None => (phase, None),
            };
            let domain = "example.org";
            json!([{"domain": domain, "phase": phase, "since": CHANGED, "ttl": 60, "changed": changed}]).to_string()
        });
        let annotations = json!({labels::RELEASE: release, labels::RETIRING: note});
        let annotations = annotations.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
        let annotations: serde_json::Map<_, _> = annotations.map(|(key, value)| (key.clone(), value.clone())).collect();
        let metadata = json!({"annotations": annotations, "deletionTimestamp": deleted});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    #[test]
    fn what_a_person_said_is_taken_off_when_it_is_noted_or_was_for_nothing() {
        let now = Some("2027-01-15T09:00:00Z");
        for (release, phase, deleted, spent) in [
            (None, Some("Fading"), None, false),
            (Some(labels::NOTED), Some("Closing"), None, true),
            (Some(labels::NOTED), Some("Closing"), now, true),
            (Some(labels::NOTED), None, None, true),
            (Some(labels::DISCARD), Some("Closing"), None, false),
            (Some(labels::DISCARD), None, None, false),
            (Some("discard:example.org"), Some("Closing"), None, false),
            (Some("discard:example.net"), None, None, false),
            (Some("discrad"), None, None, false),
            (Some("withdrawn"), Some("Withdrawing"), None, false),
            (Some("withdrawn"), Some("Fading"), None, false),
            (Some("withdrawn"), Some("Draining+"), None, false),
            (Some("withdrawn"), Some("Fading+"), None, true),
            (Some("withdrawn"), None, None, true),
            (Some("withdrawn"), None, now, false),
        ] {
            assert_eq!(is_spent(&claim(release, phase, deleted)), spent, "{release:?} {phase:?} {deleted:?}");
        }
    }
}
