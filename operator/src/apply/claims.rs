//! Claims: what is written over, and what is said of one that is not there.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, ResourceExt, api::ListParams};

use super::{
    Applier, is_leaving,
    put::{Ownership, put},
};
use crate::{
    cache,
    error::{Category, Error},
    labels,
    lifecycle::Phase,
    plan,
    validated::RelayName,
};

impl Applier<'_> {
    /// Writes a claim. One that may not grow, as a quota forbids it, keeps its size and takes the rest; why it may not
    /// is returned too.
    pub(super) async fn hold(
        &self,
        relay: &RelayName,
        mut claim: PersistentVolumeClaim,
    ) -> Result<(PersistentVolumeClaim, Option<Error>), Error> {
        let live = self.live_claim(relay, &mut claim).await?;
        let kept = live.as_ref().and_then(|live| live.spec.as_ref()?.resources.clone());
        let refused = match put(self.client, live.clone(), &claim, Ownership::Adopted).await {
            Err(error) if error.category() == Category::Refused => error,
            written => return written.map(|claim| (claim, None)),
        };
        let resources = claim.spec.as_mut().map(|spec| &mut spec.resources);
        match (resources, kept) {
            (Some(asked), Some(kept)) if *asked != Some(kept.clone()) => *asked = Some(kept),
            _ => return Err(refused),
        }
        let written = put(self.client, live, &claim, Ownership::Adopted).await?;
        Ok((written, Some(refused)))
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

/// Whether a claim bears an order of a person to let go that is carried out, or that nothing was there for. It must not
/// meet what leaves another day.
pub(super) fn is_spent(claim: &PersistentVolumeClaim) -> bool {
    let pending = || plan::retirements(Some(claim)).iter().any(|leaving| leaving.phase < Phase::Fading);
    claim.annotations().contains_key(labels::RELEASE) && !is_leaving(claim) && !pending()
}

/// Whether a claim has the finalizer that keeps it while it may hold mail.
#[must_use]
pub fn is_held(claim: &PersistentVolumeClaim) -> bool {
    claim.finalizers().iter().any(|finalizer| finalizer == labels::HELD_MAIL)
}
