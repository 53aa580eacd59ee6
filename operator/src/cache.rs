//! The live objects of all relays, as the watches keep them.

use std::time::Duration;

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
    runtime::reflector::{ObjectRef, Store, store::WriterDropped},
};

use tokio::time::timeout;

use crate::{labels, validated::Owner};

/// How often it is looked whether a store was listed.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

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
    pub async fn ready(&self) -> Result<(), WriterDropped> {
        let Self {
            resources,
            claims,
            config_maps,
            deployments,
            services,
            pods,
            service_accounts,
            network_policies,
            budgets,
            endpoints,
        } = self;
        listed(claims).await?;
        listed(config_maps).await?;
        listed(deployments).await?;
        listed(services).await?;
        listed(pods).await?;
        listed(service_accounts).await?;
        listed(network_policies).await?;
        listed(budgets).await?;
        if let Some(endpoints) = endpoints {
            listed(endpoints).await?;
        }
        listed(resources).await
    }
}

/// Waits until a store was listed once. Of several that wait for one store only the last is woken, and one of them is
/// the controller: so it is looked again and again.
async fn listed<K>(store: &Store<K>) -> Result<(), WriterDropped>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    loop {
        if let Ok(listed) = timeout(LOOK_AGAIN, store.wait_until_ready()).await {
            return listed;
        }
    }
}
