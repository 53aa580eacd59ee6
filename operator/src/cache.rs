//! The live objects of all relays, as the watches keep them.

use backupmx_crds::{BackupMX, dnsendpoint::DNSEndpoint};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::reflector::{ObjectRef, Store},
};

use crate::{
    labels,
    listed::{Ended, Listed},
    validated::Owner,
};

/// The live objects.
#[derive(Clone)]
pub struct Cache {
    /// The resources themselves, those that cannot be read among them.
    pub resources: Store<DeserializeGuard<BackupMX>>,
    /// Claims.
    pub claims: Store<PersistentVolumeClaim>,
    /// ConfigMaps.
    pub config_maps: Store<ConfigMap>,
    /// Deployments.
    pub deployments: Store<Deployment>,
    /// Services.
    pub services: Store<Service>,
    /// Pods.
    pub pods: Store<Pod>,
    /// ServiceAccounts.
    pub service_accounts: Store<ServiceAccount>,
    /// NetworkPolicies.
    pub network_policies: Store<NetworkPolicy>,
    /// PodDisruptionBudgets.
    pub budgets: Store<PodDisruptionBudget>,
    /// DNSEndpoints; none where the cluster does not serve them.
    pub endpoints: Option<Store<DNSEndpoint>>,
    /// Whether all of them are filled.
    pub listed: Listed,
}

/// One object by its name.
#[must_use]
pub fn get<K>(store: &Store<K>, namespace: &str, name: &str) -> Option<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store.get(&ObjectRef::new(name).within(namespace)).map(|object| K::clone(&object))
}

/// All objects of one resource.
#[must_use]
pub fn of<K>(store: &Store<K>, owner: &Owner) -> Vec<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let ours = |object: &K| object.labels().get(labels::OWNER_UID) == Some(&owner.uid);
    store.state().iter().filter(|object| ours(object)).map(|object| K::clone(object)).collect()
}

/// The resource that an object was made for, by its annotation.
#[must_use]
pub fn owner_of<K: Resource>(object: &K) -> Option<ObjectRef<DeserializeGuard<BackupMX>>> {
    let (namespace, name) = object.meta().annotations.as_ref()?.get(labels::OWNER)?.split_once('/')?;
    Some(ObjectRef::new(name).within(namespace))
}

impl Cache {
    /// Waits until every watch has listed once. What is not seen before that may be there: a claim that is taken for
    /// absent would be let go of with its mail.
    ///
    /// # Errors
    /// A watch has ended.
    pub async fn ready(&self) -> Result<(), Ended> {
        self.listed.wait().await
    }
}
