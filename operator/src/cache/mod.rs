//! The live objects of all relays, as the watches keep them. Every kind that is watched is named here, once.

mod joined;
mod scope;

use std::{fmt::Debug, future::ready, sync::Arc};

use backupmx_crds::{BackupMX, dnsendpoint::DNSEndpoint};
use futures::{
    Stream, StreamExt as _,
    stream::{BoxStream, select_all},
};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
        storage::v1::StorageClass,
    },
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        WatchStreamExt as _,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use self::joined::joined;
pub use self::scope::Scope;
use crate::{
    labels,
    listed::{Ended, Listed, Listing},
    validated::Owner,
};

/// A resource, or why it cannot be read.
pub type Guarded = DeserializeGuard<BackupMX>;

/// A stream that ends with its watch.
type Changes<T> = BoxStream<'static, T>;

/// What the watches say, besides filling the cache.
pub struct Watched {
    /// The resources that came or changed, as a controller wants them.
    pub resources: Changes<Result<Guarded, watcher::Error>>,
    /// The resources whose objects changed or went.
    pub owners: Changes<ObjectRef<Guarded>>,
    /// The ConfigMaps of people that came, changed or went, by namespace and name.
    pub config_maps: Changes<(String, String)>,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $field:ident: $kind:ty,)+) => {
        /// The live objects.
        #[derive(Clone)]
        pub struct Cache {
            /// The resources themselves, those that cannot be read among them.
            pub resources: Store<Guarded>,
            $($(#[doc = $doc])+ pub $field: Store<$kind>,)+
            /// DNSEndpoints; none where the cluster does not serve them.
            pub endpoints: Option<Store<DNSEndpoint>>,
            /// The ConfigMaps that people made, without what is in them.
            pub foreign_config_maps: Store<PartialObjectMeta<ConfigMap>>,
            /// Storage classes.
            pub classes: Store<StorageClass>,
            /// Something that is ours, or a resource, came, changed or went.
            pub changed: Arc<Notify>,
            /// Whether every watch of our own objects has listed once.
            pub listed: Listed,
        }

        impl Cache {
            /// Begins to watch. The cache fills while what the watches say is read. `records` is the namespace of
            /// DNSEndpoints; none where the cluster does not serve them.
            #[must_use]
            pub fn watch(client: &Client, scope: &Scope, records: Option<&str>) -> (Self, Watched) {
                let mut owners = Vec::new();
                let listing = Listing::default();
                let (resources, changes) = kept(client, scope, watcher::Config::default(), whole);
                let changed = Arc::new(Notify::new());
                let changes = listing.after(changes).inspect(tells(&changed));
                $(
                    let ($field, touched) = kept::<$kind>(client, scope, ours(), whole);
                    let touched = listing.after(touched);
                    owners.push(touched.touched_objects().filter_map(|object| ready(owner_beside(object))).boxed());
                )+
                let endpoints = records.map(|namespace| {
                    let scope = Scope::new(&[namespace.to_owned()]);
                    let (store, touched) = kept::<DNSEndpoint>(client, &scope, ours(), whole);
                    let touched = listing.after(touched);
                    owners.push(touched.touched_objects().filter_map(|object| ready(owner_in(object))).boxed());
                    store
                });
                // By their type, only their metadata are asked for.
                let (foreign_config_maps, foreign) = kept(client, scope, foreign(), name_and_version);
                let config_maps = foreign.touched_objects().filter_map(|object| ready(path(object))).boxed();
                let (classes, class_changes) = classes(client);
                // Read for the cache alone: a class that changes is seen at the next pass.
                owners.push(class_changes);
                let owners = select_all(owners).inspect(tells(&changed)).boxed();
                let listed = listing.all();
                let cache = Self { resources, $($field,)+ endpoints, foreign_config_maps, classes, changed, listed };
                let resources = changes.applied_objects().boxed();
                (cache, Watched { resources, owners, config_maps })
            }

            /// Waits until every watch of our own objects has listed once. What is not seen before that may be there:
            /// a claim that is taken for absent would be let go of with its mail.
            ///
            /// # Errors
            /// A watch has ended.
            pub async fn ready(&self) -> Result<(), Ended> {
                self.listed.wait().await
            }
        }
    };
}

kinds! {
    /// Claims.
    claims: PersistentVolumeClaim,
    /// ConfigMaps.
    config_maps: ConfigMap,
    /// Deployments.
    deployments: Deployment,
    /// Services.
    services: Service,
    /// Pods.
    pods: Pod,
    /// ServiceAccounts.
    service_accounts: ServiceAccount,
    /// NetworkPolicies.
    network_policies: NetworkPolicy,
    /// PodDisruptionBudgets.
    budgets: PodDisruptionBudget,
}

/// One object by its name.
#[must_use]
pub fn get<K>(store: &Store<K>, namespace: &str, name: &str) -> Option<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store.get(&ObjectRef::new(name).within(namespace)).map(|object| K::clone(&object))
}

/// All objects of one resource that are in its namespace.
#[must_use]
pub fn of<K>(store: &Store<K>, owner: &Owner) -> Vec<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    made_for(store, &owner.namespace, &owner.uid)
}

/// All objects of a namespace that say that they were made for the resource with that UID. What says so elsewhere is a
/// copy, as a restore into another namespace makes one, or a stranger's.
#[must_use]
pub fn made_for<K>(store: &Store<K>, namespace: &str, uid: &str) -> Vec<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let ours = |object: &K| {
        object.labels().get(labels::OWNER_UID).is_some_and(|known| known == uid)
            && object.meta().namespace.as_deref() == Some(namespace)
    };
    store.state().iter().filter(|object| ours(object)).map(|object| K::clone(object)).collect()
}

/// The resource that an object was made for, by its annotation.
#[must_use]
pub fn owner_of<K: Resource>(object: &K) -> Option<ObjectRef<Guarded>> {
    let (namespace, name) = object.meta().annotations.as_ref()?.get(labels::OWNER)?.split_once('/')?;
    Some(ObjectRef::new(name).within(namespace))
}

/// The objects that this operator made.
fn ours() -> watcher::Config {
    watcher::Config::default().labels(&format!("app.kubernetes.io/managed-by={}", labels::MANAGER))
}

/// The objects that others made.
fn foreign() -> watcher::Config {
    watcher::Config::default().labels(&format!("app.kubernetes.io/managed-by!={}", labels::MANAGER))
}

/// One kind: its store, and what its watches say.
fn kept<K>(
    client: &Client,
    scope: &Scope,
    config: watcher::Config,
    trim: fn(&mut K),
) -> (Store<K>, impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send + 'static)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (store, writer) = reflector::store();
    let apis = scope.apis::<K>(client).into_iter();
    let parts = apis.map(|(namespace, api)| (namespace, watcher(api, config.clone()).default_backoff().boxed()));
    let events = joined(parts.collect(), store.clone());
    let told = events.inspect(|event| match event {
        Ok(_) => {}
        Err(error) => tracing::warn!(kind = %K::kind(&()), %error, "a watch failed; it is begun again"),
    });
    (store, told.modify(trim).reflect(writer))
}

/// Storage classes, which are in no namespace.
fn classes(client: &Client) -> (Store<StorageClass>, Changes<ObjectRef<Guarded>>) {
    let (store, writer) = reflector::store();
    let events = watcher(Api::<StorageClass>::all(client.clone()), watcher::Config::default()).default_backoff();
    let nobody = events.reflect(writer).filter_map(|event| {
        if let Err(error) = event {
            tracing::warn!(kind = "StorageClass", %error, "a watch failed; it is begun again");
        }
        ready(None)
    });
    (store, nobody.boxed())
}

/// Tells of whatever comes.
fn tells<T>(changed: &Arc<Notify>) -> impl FnMut(&T) + Send + 'static + use<T> {
    let changed = changed.clone();
    move |_| changed.notify_one()
}

/// An object as it came.
const fn whole<K>(_: &mut K) {}

/// What is looked at of an object that is not ours: there may be many of them.
fn name_and_version<K: Resource>(object: &mut K) {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    meta.annotations = None;
    meta.labels = None;
}

fn owner_in<K: Resource>(object: Result<K, watcher::Error>) -> Option<ObjectRef<Guarded>> {
    owner_of(&object.ok()?)
}

/// The same, where that is in the object's own namespace: a copy elsewhere says nothing of it.
fn owner_beside<K: Resource>(object: Result<K, watcher::Error>) -> Option<ObjectRef<Guarded>> {
    let object = object.ok()?;
    owner_of(&object).filter(|owner| owner.namespace == object.meta().namespace)
}

fn path<K: Resource>(object: Result<K, watcher::Error>) -> Option<(String, String)> {
    let object = object.ok()?;
    Some((object.namespace()?, object.name_any()))
}
