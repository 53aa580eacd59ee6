//! What a former resource of the same name left behind, and who may take it over.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, ServiceAccount},
};
use kube::{Resource, ResourceExt, runtime::reflector::Store};

use super::{
    Applier,
    put::{
        Kind,
        Ownership::{self, Inherited, Own},
        delete, may_touch, put,
    },
};
use crate::{cache, conflict::Life, error::Error, labels, names, plan::Serving, validated::Owner};

impl Applier<'_> {
    pub(super) async fn own<K: Kind>(&self, store: &Store<K>, wanted: K) -> Result<K, Error> {
        let live = cache::get(store, &wanted.namespace().unwrap_or_default(), &wanted.name_any());
        let ownership = if live.as_ref().is_some_and(|live| self.is_left(live)) { Inherited } else { Own };
        put(self.client, live, &wanted, ownership).await
    }

    /// Writes a Deployment. One that a former resource left selects that one's pods, and no selector can be changed: it
    /// makes way, and the next pass makes another on the same claim. None: it has just made way.
    pub(super) async fn run(&self, wanted: Deployment) -> Result<Option<Deployment>, Error> {
        let live: Option<Deployment> = cache::get(&self.cache.deployments, &self.owner.namespace, &wanted.name_any());
        match live.filter(|live| self.is_left(live)) {
            Some(left) => delete(self.client, &left).await.map(|_| None),
            None => self.own(&self.cache.deployments, wanted).await.map(Some),
        }
    }

    /// Whether an object was left by a former resource of this name: it was made for one with another UID, and there is
    /// none with that UID any more. Nobody else can have a right to it, as there is one resource of a name at a time.
    pub(super) fn is_left<K: Kind>(&self, live: &K) -> bool {
        let Owner { namespace, name, uid } = self.owner;
        let former = labels::owner_of(live)
            .filter(|former| (&former.namespace, &former.name) == (namespace, name) && former.uid != *uid);
        let lives = |uid: &String| self.cache.resources.state().iter().any(|one| one.uid().as_ref() == Some(uid));
        self.facts.life == Life::Staying && former.is_some_and(|former| !lives(&former.uid))
    }

    /// Whether what a former resource of this name left may be taken over, if there is any: all of its relays that run are
    /// to be relays of this one, on their claims. One that is not goes on for its mail, and needs all that it has.
    pub(super) fn may_inherit(&self, serving: &[Serving]) -> Result<(), Error> {
        let shared: Option<ServiceAccount> =
            cache::get(&self.cache.service_accounts, &self.owner.namespace, &names::shared(self.owner));
        if !shared.is_some_and(|shared| self.is_left(&shared)) {
            return Ok(());
        }
        let deployments = self.cache.deployments.state();
        let beside = |one: &Deployment| !labels::is_copy(one) && self.is_left(one);
        for left in deployments.iter().filter(|one| beside(one)) {
            let name = left.name_any();
            let wanted = serving.iter().map(|relay| &relay.claim).find(|claim| claim.name_any() == name);
            let live: Option<PersistentVolumeClaim> = cache::get(&self.cache.claims, &self.owner.namespace, &name);
            let adopted = |wanted: &PersistentVolumeClaim| {
                live.as_ref().is_none_or(|live| may_touch(live.meta(), wanted.meta(), Ownership::Adopted))
            };
            if !wanted.is_some_and(adopted) {
                return Err(Error::NotOurs { kind: PersistentVolumeClaim::kind(&()).into_owned(), name });
            }
        }
        Ok(())
    }
}
