//! Relays that were copied into another namespace, as a restore leaves them, claims and all. No pass looks after them; a
//! person who lets such a claim go has its relay taken away with it.

use std::fmt::Debug;

use backupmx_crds::BackupMX;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, PersistentVolumeClaim, Service},
};
use kube::{Api, Resource as _, ResourceExt as _, api::ListParams};

use super::Context;
use crate::{
    apply::put::{Kind, delete, release},
    cache::Cache,
    error::Error,
    events, labels,
};

/// Takes a copied claim away, and the copies of its relay's objects. What is not the relay's alone stays: none of it keeps
/// a namespace.
pub(super) async fn let_go_of(context: &Context, claim: &PersistentVolumeClaim) -> Result<(), Error> {
    let client = &context.client;
    let namespace = claim.namespace().unwrap_or_default();
    let uid = claim.labels().get(labels::OWNER_UID);
    // The cache may lag behind, and what is gone cannot be brought back.
    let api: Api<BackupMX> = Api::namespaced(client.clone(), &namespace);
    let found = api.list_metadata(&ListParams::default()).await.map_err(Error::kube("look for a BackupMX"))?;
    if found.items.iter().any(|one| one.uid().as_ref() == uid) {
        return Ok(());
    }
    let name = claim.name_any();
    tracing::warn!(namespace, name, "a person has let a copy go");
    // An Event cannot be written about what is gone.
    context.events.publish_first(&claim.object_ref(&()), vec![events::let_copy_go(&name)]).await;
    let Cache { deployments, services, config_maps, .. } = &context.cache;
    for deployment in copies::<Deployment>(&deployments.state(), claim) {
        delete(client, &deployment).await?;
    }
    for service in copies::<Service>(&services.state(), claim) {
        delete(client, &service).await?;
    }
    for config_map in copies::<ConfigMap>(&config_maps.state(), claim) {
        delete(client, &config_map).await?;
    }
    // Deleted first, while the finalizer still holds it: taken off first, another's delete could come between.
    match delete(client, claim).await? {
        Some(held) => release(client, &held, labels::HELD_MAIL).await,
        None => Ok(()),
    }
}

/// The objects beside a claim that were copied with it, of its relay alone.
fn copies<K: Kind + Debug>(all: &[std::sync::Arc<K>], claim: &PersistentVolumeClaim) -> Vec<K> {
    let same =
        |one: &K, label: &str| one.labels().get(label).is_some_and(|known| claim.labels().get(label) == Some(known));
    let of_relay = |one: &K| {
        labels::is_copy(one)
            && one.namespace() == claim.namespace()
            && same(one, labels::OWNER_UID)
            && same(one, labels::RELAY)
    };
    all.iter().filter(|one| of_relay(one)).map(|one| K::clone(one)).collect()
}
