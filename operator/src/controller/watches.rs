//! The watches, and the loop that they drive.

use std::{fmt::Debug, future::ready, sync::Arc};

use backupmx_crds::{BackupMX, dnsendpoint::DNSEndpoint};
use futures::{Stream, StreamExt as _};
use kube::{
    Api, Client, Resource,
    core::{DeserializeGuard, GroupVersionKind},
    discovery,
    runtime::{
        Controller, Predicate as _, WatchStreamExt as _,
        controller::Config as ControllerConfig,
        predicates,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::{Context, Role, after_error, reconcile};
use crate::{
    cache::{Cache, owner_of},
    labels,
    validated::Owner,
};

/// How many passes run at once.
const PASSES: u16 = 16;

/// Whether the cluster serves external-dns' DNSEndpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoints {
    /// It does.
    Served,
    /// It does not: a watch would fail for ever.
    Missing,
}

/// Looks whether the cluster serves DNSEndpoints. None: the API server does not say.
pub async fn endpoints(client: &Client) -> Option<Endpoints> {
    let kind = GroupVersionKind::gvk("externaldns.k8s.io", "v1alpha1", "DNSEndpoint");
    match discovery::pinned_kind(client, &kind).await {
        Ok(_) => Some(Endpoints::Served),
        Err(kube::Error::Api(status)) if status.code == 404 => Some(Endpoints::Missing),
        Err(kube::Error::Discovery(_)) => Some(Endpoints::Missing),
        Err(_) => None,
    }
}

type Guarded = DeserializeGuard<BackupMX>;

/// Runs passes until it is dropped. `news` are resources of which something is new that no watch sees; `context` is
/// given the cache that the watches fill.
pub async fn run(
    client: Client,
    namespace: Option<&str>,
    endpoints: Endpoints,
    role: watch::Receiver<Role>,
    news: impl Stream<Item = Owner> + Send + 'static,
    context: impl FnOnce(Cache) -> Context,
) {
    let (resources, writer) = reflector::store();
    let changes = watcher(scoped::<Guarded>(&client, namespace), watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .applied_objects()
        // What we write into the status is no reason to look again.
        .predicate_filter(predicates::generation.combine(predicates::annotations), Default::default());
    let (claims, claim_changes) = children(scoped(&client, namespace));
    let (config_maps, config_map_changes) = children(scoped(&client, namespace));
    let (deployments, deployment_changes) = children(scoped(&client, namespace));
    let (services, service_changes) = children(scoped(&client, namespace));
    let (pods, pod_changes) = children(scoped(&client, namespace));
    let (service_accounts, service_account_changes) = children(scoped(&client, namespace));
    let (network_policies, network_policy_changes) = children(scoped(&client, namespace));
    let (budgets, budget_changes) = children(scoped(&client, namespace));
    let mut controller = Controller::for_stream(changes, resources.clone())
        .with_config(ControllerConfig::default().concurrency(PASSES))
        .watches_stream(claim_changes, |object| owner_of(&object))
        .watches_stream(config_map_changes, |object| owner_of(&object))
        .watches_stream(deployment_changes, |object| owner_of(&object))
        .watches_stream(service_changes, |object| owner_of(&object))
        .watches_stream(pod_changes, |object| owner_of(&object))
        .watches_stream(service_account_changes, |object| owner_of(&object))
        .watches_stream(network_policy_changes, |object| owner_of(&object))
        .watches_stream(budget_changes, |object| owner_of(&object))
        .reconcile_on(news.map(|owner| ObjectRef::new(&owner.name).within(&owner.namespace)))
        .reconcile_all_on(won(role));
    let endpoints = match endpoints {
        Endpoints::Served => {
            let (store, changes) = children::<DNSEndpoint>(Api::all(client.clone()));
            controller = controller.watches_stream(changes, |object| owner_of(&object));
            Some(store)
        }
        Endpoints::Missing => None,
    };
    let cache = Cache {
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
    };
    controller
        .run(reconcile, after_error, Arc::new(context(cache)))
        .for_each(|done| {
            if let Err(error) = done {
                tracing::debug!(%error, "the controller reports");
            }
            ready(())
        })
        .await;
}

/// One kind of object that the operator makes: its cache, and its changes.
fn children<K>(api: Api<K>) -> (Store<K>, impl Stream<Item = Result<K, watcher::Error>> + Send + 'static)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let config = watcher::Config::default().labels(&format!("app.kubernetes.io/managed-by={}", labels::MANAGER));
    (store, watcher(api, config).default_backoff().reflect(writer).touched_objects())
}

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// One item when the lease is won: everything is looked at then. A lease that is lost ends the process.
fn won(mut role: watch::Receiver<Role>) -> impl Stream<Item = ()> + Send + 'static {
    futures::stream::once(async move {
        // An error is a process that ends.
        let _ = role.wait_for(|role| *role == Role::Leader).await;
    })
}
