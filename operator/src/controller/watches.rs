//! The watches, and the loop that they drive.

use std::{future::ready, sync::Arc};

use futures::{Stream, StreamExt as _, stream};
use kube::{
    Client,
    core::GroupVersionKind,
    discovery,
    runtime::{
        Controller, Predicate as _, WatchStreamExt as _,
        controller::Config as ControllerConfig,
        predicates,
        reflector::{ObjectRef, Store},
    },
};
use tokio::sync::{mpsc, watch};

use super::{Context, Role, after_error, reconcile, settled, triggers, wardens};
use crate::{
    cache::{Cache, Guarded, Scope, Watched},
    endpoints::Flusher,
    poll::{self, Reports},
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

/// What is watched.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Where the resources are.
    pub scope: Scope,
    /// The operator's own namespace, where DNSEndpoints are.
    pub namespace: String,
    /// Whether there are any.
    pub endpoints: Endpoints,
}

/// Runs passes until it is dropped, and as the leader asks the relays. `news` are resources of which something is new
/// that no watch sees; `context` is given the cache that the watches fill, and what the relays say.
pub async fn run(
    client: Client,
    watch: Watch,
    role: watch::Receiver<Role>,
    news: impl Stream<Item = Owner> + Send + 'static,
    context: impl FnOnce(Cache, Reports) -> Context,
) {
    let records = match watch.endpoints {
        Endpoints::Served => Some(watch.namespace.as_str()),
        Endpoints::Missing => None,
    };
    let (cache, Watched { resources, owners, config_maps }) = Cache::watch(&client, &watch.scope, records);
    let (nudges, nudged) = mpsc::unbounded_channel();
    let (known, rivals) = (cache.resources.clone(), nudges.clone());
    let changes = resources
        // What we write into the status is no reason to look again.
        .predicate_filter(predicates::generation.combine(predicates::annotations), Default::default())
        .inspect(move |changed| send_rivals(changed.as_ref().ok(), &known, &rivals));
    let readers = cache.resources.clone();
    let read = config_maps
        .flat_map(move |(namespace, name)| stream::iter(triggers::readers(&readers.state(), &namespace, &name)));
    let context = Arc::new(context(cache.clone(), Reports::default()));
    let passes = Controller::for_stream(changes, cache.resources.clone())
        .with_config(ControllerConfig::default().concurrency(PASSES))
        .reconcile_on(owners)
        .reconcile_on(read)
        .reconcile_on(received(nudged))
        .reconcile_on(news.map(|owner| ObjectRef::new(&owner.name).within(&owner.namespace)))
        .reconcile_all_on(won(role.clone()))
        .run(reconcile, after_error, context.clone())
        .for_each(|done| {
            if let Err(error) = done {
                tracing::debug!(%error, "the controller reports");
            }
            ready(())
        });
    tokio::select! {
        () = passes => {}
        () = ask_relays(client, &watch.scope, role, context, nudges) => {}
    }
}

/// What only the leader does besides passes: it asks the relays, tells them when a primary has become ready, and looks
/// after mail that no pass looks after.
async fn ask_relays(
    client: Client,
    scope: &Scope,
    role: watch::Receiver<Role>,
    context: Arc<Context>,
    nudges: mpsc::UnboundedSender<ObjectRef<Guarded>>,
) {
    won(role).for_each(ready).await;
    let Context { cache, settings, reports, metrics, .. } = context.as_ref();
    if cache.ready().await.is_err() {
        return;
    }
    let flusher = Flusher(context.clone());
    tokio::select! {
        () = poll::run(cache.clone(), settings.master_key.clone(), reports.clone(), metrics.clone(), nudges) => {}
        () = flusher.run(client, scope) => {}
        () = wardens::run(&context) => {}
        () = settled::run(&context) => {}
    }
}

fn send_rivals(changed: Option<&Guarded>, known: &Store<Guarded>, rivals: &mpsc::UnboundedSender<ObjectRef<Guarded>>) {
    let Some(Ok(changed)) = changed.map(|changed| &changed.0) else { return };
    for rival in triggers::rivals(&known.state(), changed) {
        // An error is a process that ends.
        let _ = rivals.send(rival);
    }
}

/// What comes out of a channel.
fn received<T: Send + 'static>(mut channel: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> + Send + 'static {
    stream::poll_fn(move |context| channel.poll_recv(context))
}

/// One item when the lease is won: everything is looked at then. A lease that is lost ends the process.
fn won(mut role: watch::Receiver<Role>) -> impl Stream<Item = ()> + Send + 'static {
    stream::once(async move {
        // An error is a process that ends.
        let _ = role.wait_for(|role| *role == Role::Leader).await;
    })
}
