//! A primary that is a Service: when one of its pods becomes ready, held mail is handed over at once. What became ready
//! while no operator looked is found when one begins to: by then a relay may wait long for its next try.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use backupmx_relay_config::status::{PrimaryState, RelayStatus};
use futures::{
    StreamExt as _,
    future::join_all,
    stream::{self, select_all},
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::{
    Client, ResourceExt,
    runtime::{
        WatchStreamExt as _,
        reflector::ObjectRef,
        watcher::{self, Event, watcher},
    },
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

use crate::{
    cache::{Guarded, Scope},
    controller::{Context, triggers},
    poll::{self, roster::Target},
    relay_api,
    validated::Validated,
};

/// The label of an EndpointSlice that names its Service.
const SERVICE: &str = "kubernetes.io/service-name";
/// How often a relay is told to hand its mail over, and the pauses between: the nodes' own rules for the Service come
/// up to a second and more after its endpoints, and until then the relay's tries fail.
const TRIES: [(usize, Duration); 2] = [(12, Duration::from_millis(250)), (4, Duration::from_secs(1))];

/// How many relays are told at once of Services that were ready when the watch began.
const AT_ONCE: usize = 8;

/// A Service, by namespace and name.
type Place = (String, String);

/// A Service that has a pod that is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ready {
    /// It had none a moment ago.
    Now(Place),
    /// It had others, which may be ready by their word only: a node that is lost counts as ready for a while.
    Another(Place),
    /// When the watch began: since when is not known.
    AtFirst(Place),
}

/// Which Services have a pod that is ready, as one watch tells it. Pure.
#[derive(Debug, Default)]
struct Backends {
    /// By the slice's namespace and name.
    slices: HashMap<Place, Slice>,
    /// The slices of a list that is not at its end.
    listed: Option<HashSet<Place>>,
    first: First,
}

/// Whether the first list is at its end: what is ready in it was so before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum First {
    #[default]
    Listing,
    Done,
}

#[derive(Clone, Debug)]
struct Slice {
    service: Place,
    /// The addresses of those that are ready.
    ready: BTreeSet<String>,
}

impl Backends {
    /// Takes an event. The Services that have become ready by it, or are so in the first list.
    fn step(&mut self, event: Event<EndpointSlice>) -> Vec<Ready> {
        match event {
            Event::Init => {
                self.listed = Some(HashSet::new());
                Vec::new()
            }
            Event::InitApply(slice) | Event::Apply(slice) => self.seen(&slice).into_iter().collect(),
            Event::Delete(slice) => {
                self.slices.remove(&place(&slice));
                Vec::new()
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                self.slices.retain(|known, _| listed.contains(known));
                match std::mem::replace(&mut self.first, First::Done) {
                    First::Listing => {
                        let serving = self.slices.values().filter(|slice| !slice.ready.is_empty());
                        let places: BTreeSet<Place> = serving.map(|slice| slice.service.clone()).collect();
                        places.into_iter().map(Ready::AtFirst).collect()
                    }
                    First::Done => Vec::new(),
                }
            }
        }
    }

    fn seen(&mut self, slice: &EndpointSlice) -> Option<Ready> {
        let at = place(slice);
        if let Some(listed) = &mut self.listed {
            listed.insert(at.clone());
        }
        let service = (at.0.clone(), slice.labels().get(SERVICE)?.clone());
        let of_service = self.slices.values().filter(|known| known.service == service);
        let known: BTreeSet<String> = of_service.flat_map(|known| known.ready.iter().cloned()).collect();
        let ready = ready_addresses(slice);
        let is_new = !ready.is_subset(&known);
        self.slices.insert(at, Slice { service: service.clone(), ready });
        match (self.first, is_new) {
            (First::Listing, _) | (First::Done, false) => None,
            (First::Done, true) if known.is_empty() => Some(Ready::Now(service)),
            (First::Done, true) => Some(Ready::Another(service)),
        }
    }
}

/// The addresses of a slice's endpoints that are ready. No word on it counts as ready, says the API.
fn ready_addresses(slice: &EndpointSlice) -> BTreeSet<String> {
    let is_ready = |endpoint: &&Endpoint| endpoint.conditions.as_ref().and_then(|known| known.ready).unwrap_or(true);
    let ready = slice.endpoints.iter().flatten().filter(is_ready);
    ready.flat_map(|endpoint| endpoint.addresses.iter().cloned()).collect()
}

fn place(slice: &EndpointSlice) -> Place {
    (slice.namespace().unwrap_or_default(), slice.name_any())
}

/// Tells the relays, with what a pass has.
#[derive(Clone)]
pub struct Flusher(pub Arc<Context>);

impl Flusher {
    /// Watches until it is dropped, and has the relays hand their mail over to a Service that has become ready.
    pub async fn run(self, client: Client, scope: &Scope) {
        let parts = scope.apis::<EndpointSlice>(&client).into_iter().map(|(_, api)| {
            let mut backends = Backends::default();
            let events = watcher(api, watcher::Config::default().labels(SERVICE)).default_backoff();
            events
                .flat_map(move |event| {
                    let event = event.inspect_err(|error| {
                        tracing::warn!(kind = "EndpointSlice", %error, "a watch failed; it is begun again");
                    });
                    stream::iter(event.map(|event| backends.step(event)).unwrap_or_default())
                })
                .boxed()
        });
        let (ready, room) = (select_all(parts), Semaphore::new(AT_ONCE));
        ready.for_each_concurrent(None, |ready| self.told(ready, &room)).await;
    }

    async fn told(&self, ready: Ready, room: &Semaphore) {
        match ready {
            Ready::Now((namespace, service)) => {
                let of = self.service(&service);
                let targets =
                    self.relays(&triggers::behind(&self.resources(), &namespace, &of, |one| self.in_use(one)));
                if !targets.is_empty() {
                    tracing::info!(namespace, service, relays = targets.len(), "a primary has become ready");
                }
                join_all(targets.iter().map(|target| self.flush(target))).await;
            }
            // Where the others do their work, one more is no news.
            Ready::Another((namespace, service)) => {
                let targets = self.waiting(&namespace, &service);
                if !targets.is_empty() {
                    tracing::info!(
                        namespace,
                        service,
                        relays = targets.len(),
                        "another pod of a primary that was down is ready"
                    );
                }
                join_all(targets.iter().map(|target| self.flush(target))).await;
            }
            // Once: it may have been ready for long, and take no mail all the same.
            Ready::AtFirst((namespace, service)) => {
                let targets = self.waiting(&namespace, &service);
                if !targets.is_empty() {
                    tracing::info!(namespace, service, relays = targets.len(), "a primary that was down is ready");
                }
                join_all(targets.iter().map(|target| async move {
                    // It is never closed.
                    let _turn = room.acquire().await;
                    self.flush_once(target).await;
                }))
                .await;
            }
        }
    }

    fn resources(&self) -> Vec<Arc<Guarded>> {
        self.0.cache.resources.state()
    }

    fn service<'a>(&'a self, name: &'a str) -> triggers::Service<'a> {
        triggers::Service { name, cluster_domain: &self.0.settings.cluster_domain }
    }

    /// The terms that the relays of a resource go on by, where its spec cannot be used or read.
    fn in_use(&self, one: &Guarded) -> Option<Arc<Validated>> {
        self.0.dereference().in_use(one)
    }

    /// The relays that hold mail for a Service that was down when its state was last told.
    fn waiting(&self, namespace: &str, service: &str) -> Vec<Target> {
        let of = self.service(service);
        self.relays(&triggers::waiting(&self.resources(), namespace, &of, |one| self.in_use(one)))
    }

    /// The relays of those resources that have a pod.
    fn relays(&self, resources: &[ObjectRef<Guarded>]) -> Vec<Target> {
        let named = |target: &Target| {
            resources.iter().any(|resource| {
                resource.name == target.owner.name && resource.namespace.as_deref() == Some(&target.owner.namespace)
            })
        };
        if resources.is_empty() {
            return Vec::new();
        }
        poll::targets(&self.0.cache.pods.state(), &self.resources()).into_iter().filter(named).collect()
    }

    async fn flush_once(&self, target: &Target) {
        let (owner, relay) = (&target.owner, &target.relay);
        if let Err(error) =
            relay_api::flush(target.address, &self.0.settings.master_key.token(owner, relay), &self.0.open_writes).await
        {
            tracing::debug!(%owner, %relay, %error, "failed to flush a relay");
        }
        self.0.reports.hurry(&target.key());
    }

    /// Until the relay says that it reaches the primary.
    async fn flush(&self, target: &Target) {
        let (owner, relay) = (&target.owner, &target.relay);
        let (token, start) = (self.0.settings.master_key.token(owner, relay), Instant::now());
        let mut told = 0;
        for wait in TRIES.into_iter().flat_map(|(times, wait)| std::iter::repeat_n(wait, times)) {
            let flushed = relay_api::flush(target.address, &token, &self.0.open_writes).await;
            sleep(wait).await;
            if let Err(error) = flushed {
                tracing::debug!(%owner, %relay, %error, "failed to flush a relay");
                continue;
            }
            told += 1;
            if relay_api::status(target.address, &token).await.is_ok_and(|report| reaches(&report)) {
                tracing::info!(%owner, %relay, told, after = ?start.elapsed(), "the relay reaches its primary");
                break;
            }
        }
        self.0.reports.hurry(&target.key());
    }
}

/// Whether a relay has a session with every primary, so that telling it again is of no use.
fn reaches(report: &RelayStatus) -> bool {
    report.tenants.iter().all(|tenant| match tenant.primary.state {
        PrimaryState::Up | PrimaryState::Recovering | PrimaryState::Deferring => true,
        PrimaryState::Unknown | PrimaryState::Suspect | PrimaryState::Down => false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slice(name: &str, service: &str, ready: &[Option<bool>]) -> EndpointSlice {
        let address = |place: usize| format!("{name}-{place}");
        let endpoints: Vec<_> = ready
            .iter()
            .enumerate()
            .map(|(place, ready)| json!({"addresses": [address(place)], "conditions": {"ready": ready}}))
            .collect();
        let document = json!({
            "metadata": {"namespace": "mail", "name": name, "labels": {SERVICE: service}},
            "addressType": "IPv4",
            "endpoints": endpoints,
        });
        serde_json::from_value(document).unwrap()
    }

    fn listed(slices: &[EndpointSlice]) -> Backends {
        let mut backends = Backends::default();
        let first = list(&mut backends, slices);
        assert!(
            !first.iter().any(|ready| ready.starts_with("now")),
            "what was ready before does not become so: {first:?}"
        );
        backends
    }

    fn list(backends: &mut Backends, slices: &[EndpointSlice]) -> Vec<String> {
        let all = slices.iter().cloned().map(Event::InitApply);
        let events: Vec<_> = [Event::Init].into_iter().chain(all).chain([Event::InitDone]).collect();
        events.into_iter().flat_map(|event| backends.step(event)).map(text).collect()
    }

    fn told(backends: &mut Backends, slice: EndpointSlice) -> Vec<String> {
        backends.step(Event::Apply(slice)).into_iter().map(text).collect()
    }

    fn text(ready: Ready) -> String {
        match ready {
            Ready::Now((_, service)) => format!("now {service}"),
            Ready::Another((_, service)) => format!("another of {service}"),
            Ready::AtFirst((_, service)) => format!("at first {service}"),
        }
    }

    #[test]
    fn what_is_ready_at_first_is_told_apart_and_once() {
        let mut backends = Backends::default();
        let slices = [
            slice("one", "stalwart", &[Some(true)]),
            slice("two", "stalwart", &[None]),
            slice("three", "dovecot", &[Some(false)]),
        ];
        assert_eq!(list(&mut backends, &slices), ["at first stalwart"]);
        assert_eq!(list(&mut backends, &slices), NONE, "a watch that is begun again is no first list");
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn the_first_pod_that_becomes_ready_counts() {
        let mut backends = listed(&[slice("one", "stalwart", &[Some(false)])]);
        assert_eq!(told(&mut backends, slice("one", "stalwart", &[Some(true)])), ["now stalwart"]);
        assert_eq!(told(&mut backends, slice("one", "stalwart", &[Some(true)])), NONE, "it is the same");
        let both = slice("one", "stalwart", &[Some(true), Some(true)]);
        assert_eq!(told(&mut backends, both), ["another of stalwart"], "the first may be ready by its word only");
        assert_eq!(told(&mut backends, slice("one", "stalwart", &[Some(false)])), NONE);
        assert_eq!(told(&mut backends, slice("one", "stalwart", &[None])), ["now stalwart"]);
    }

    #[test]
    fn a_service_of_several_slices_is_one() {
        let mut backends = listed(&[slice("one", "stalwart", &[Some(true)]), slice("two", "stalwart", &[])]);
        assert_eq!(told(&mut backends, slice("two", "stalwart", &[Some(true)])), ["another of stalwart"]);
        backends.step(Event::Delete(slice("one", "stalwart", &[])));
        assert_eq!(told(&mut backends, slice("two", "stalwart", &[])), NONE);
        assert_eq!(told(&mut backends, slice("three", "stalwart", &[Some(true)])), ["now stalwart"]);
        assert_eq!(told(&mut backends, slice("other", "dovecot", &[Some(true)])), ["now dovecot"]);
    }

    #[test]
    fn what_a_broken_watch_missed_is_found_by_the_next_list() {
        let mut backends = listed(&[slice("one", "stalwart", &[Some(false)]), slice("gone", "dovecot", &[Some(true)])]);
        assert_eq!(list(&mut backends, &[slice("one", "stalwart", &[Some(true)])]), ["now stalwart"]);
        assert_eq!(told(&mut backends, slice("new", "dovecot", &[Some(true)])), ["now dovecot"]);
        // What took its place meanwhile is told before it is known that it is gone.
        assert_eq!(list(&mut backends, &[slice("newer", "dovecot", &[Some(true)])]), ["another of dovecot"]);
    }
}
