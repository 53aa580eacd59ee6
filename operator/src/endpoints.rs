//! A primary that is a Service: when one of its pods becomes ready, held mail is handed over at once.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use backupmx_relay_config::status::PrimaryState;
use futures::{StreamExt as _, stream::select_all};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Client, ResourceExt,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use tokio::time::sleep;

use crate::{
    cache::{Cache, Scope},
    controller::triggers,
    poll::{self, Reports, roster::Target},
    relay_api,
    token::MasterKey,
};

/// The label of an EndpointSlice that names its Service.
const SERVICE: &str = "kubernetes.io/service-name";
/// The waits before each try to have a relay hand its mail over: the node's own rules for the Service may come a
/// moment after its endpoints.
const TRIES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// A Service, by namespace and name.
type Place = (String, String);

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
    serves: bool,
}

impl Backends {
    /// Takes an event. The Service that has become ready by it.
    fn step(&mut self, event: Event<EndpointSlice>) -> Option<Place> {
        match event {
            Event::Init => {
                self.listed = Some(HashSet::new());
                None
            }
            Event::InitApply(slice) | Event::Apply(slice) => self.seen(&slice),
            Event::Delete(slice) => {
                self.slices.remove(&place(&slice));
                None
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                self.slices.retain(|known, _| listed.contains(known));
                self.first = First::Done;
                None
            }
        }
    }

    fn seen(&mut self, slice: &EndpointSlice) -> Option<Place> {
        let at = place(slice);
        if let Some(listed) = &mut self.listed {
            listed.insert(at.clone());
        }
        let service = (at.0.clone(), slice.labels().get(SERVICE)?.clone());
        let served = self.serves(&service);
        // No word on it counts as ready, says the API.
        let ready = |condition: Option<bool>| condition.unwrap_or(true);
        let serves = slice
            .endpoints
            .iter()
            .flatten()
            .any(|endpoint| ready(endpoint.conditions.as_ref().and_then(|conditions| conditions.ready)));
        self.slices.insert(at, Slice { service: service.clone(), serves });
        (self.first == First::Done && serves && !served).then_some(service)
    }

    fn serves(&self, service: &Place) -> bool {
        self.slices.values().any(|slice| slice.serves && slice.service == *service)
    }
}

fn place(slice: &EndpointSlice) -> Place {
    (slice.namespace().unwrap_or_default(), slice.name_any())
}

/// What telling the relays needs.
#[derive(Clone)]
pub struct Flusher {
    /// The live objects.
    pub cache: Cache,
    /// What the relays' admin tokens are derived from.
    pub key: MasterKey,
    /// What the relays said last.
    pub reports: Reports,
}

impl Flusher {
    /// Watches until it is dropped, and has the relays hand their mail over to a Service that has become ready.
    pub async fn run(self, client: Client, scope: &Scope) {
        let parts = scope.apis::<EndpointSlice>(&client).into_iter().map(|(_, api)| {
            let mut backends = Backends::default();
            let events = watcher(api, watcher::Config::default().labels(SERVICE)).default_backoff();
            events
                .filter_map(move |event| {
                    let event = event.inspect_err(|error| {
                        tracing::warn!(kind = "EndpointSlice", %error, "a watch failed; it is begun again");
                    });
                    std::future::ready(event.ok().and_then(|event| backends.step(event)))
                })
                .boxed()
        });
        let ready = select_all(parts);
        ready
            .for_each_concurrent(None, |(namespace, service)| {
                let flusher = self.clone();
                async move { flusher.told(&namespace, &service).await }
            })
            .await;
    }

    async fn told(&self, namespace: &str, service: &str) {
        let resources = triggers::behind(&self.cache.resources.state(), namespace, service);
        if resources.is_empty() {
            return;
        }
        let named = |target: &Target| {
            resources.iter().any(|resource| {
                resource.name == target.owner.name && resource.namespace.as_deref() == Some(&target.owner.namespace)
            })
        };
        let targets: Vec<Target> = poll::targets(&self.cache.pods.state()).into_iter().filter(named).collect();
        tracing::info!(namespace, service, relays = targets.len(), "a primary has become ready");
        let tries = targets.iter().map(|target| self.flush(target));
        futures::future::join_all(tries).await;
    }

    /// Until the relay says that the primary takes mail.
    async fn flush(&self, target: &Target) {
        let (owner, relay) = (&target.owner, &target.relay);
        let token = self.key.token(owner, relay);
        for wait in TRIES {
            sleep(wait).await;
            if let Err(error) = relay_api::flush(target.address, &token).await {
                tracing::debug!(%owner, %relay, %error, "failed to flush a relay");
                continue;
            }
            let report = relay_api::status(target.address, &token).await;
            let takes = |state| matches!(state, PrimaryState::Up | PrimaryState::Recovering);
            if report.is_ok_and(|report| report.tenants.iter().all(|tenant| takes(tenant.primary.state))) {
                break;
            }
        }
        self.reports.hurry(&(owner.uid.clone(), relay.clone()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slice(name: &str, service: &str, ready: &[Option<bool>]) -> EndpointSlice {
        let endpoints: Vec<_> =
            ready.iter().map(|ready| json!({"addresses": ["192.0.2.1"], "conditions": {"ready": ready}})).collect();
        let document = json!({
            "metadata": {"namespace": "mail", "name": name, "labels": {SERVICE: service}},
            "addressType": "IPv4",
            "endpoints": endpoints,
        });
        serde_json::from_value(document).unwrap()
    }

    fn listed(slices: &[EndpointSlice]) -> Backends {
        let mut backends = Backends::default();
        assert_eq!(list(&mut backends, slices), Vec::<String>::new(), "what was ready before does not become so");
        backends
    }

    fn list(backends: &mut Backends, slices: &[EndpointSlice]) -> Vec<String> {
        let all = slices.iter().cloned().map(Event::InitApply);
        let events: Vec<_> = [Event::Init].into_iter().chain(all).chain([Event::InitDone]).collect();
        events.into_iter().filter_map(|event| backends.step(event)).map(|(_, service)| service).collect()
    }

    fn told(backends: &mut Backends, slice: EndpointSlice) -> Option<String> {
        backends.step(Event::Apply(slice)).map(|(_, service)| service)
    }

    #[test]
    fn the_first_pod_that_becomes_ready_counts() {
        let mut backends = listed(&[slice("one", "stalwart", &[Some(false)])]);
        assert_eq!(told(&mut backends, slice("one", "stalwart", &[Some(true)])), Some("stalwart".into()));
        assert_eq!(told(&mut backends, slice("one", "stalwart", &[Some(true), Some(true)])), None, "one more of them");
        assert_eq!(told(&mut backends, slice("one", "stalwart", &[Some(false)])), None);
        assert_eq!(told(&mut backends, slice("one", "stalwart", &[None])), Some("stalwart".into()));
    }

    #[test]
    fn a_service_of_several_slices_is_one() {
        let mut backends = listed(&[slice("one", "stalwart", &[Some(true)]), slice("two", "stalwart", &[])]);
        assert_eq!(told(&mut backends, slice("two", "stalwart", &[Some(true)])), None);
        backends.step(Event::Delete(slice("one", "stalwart", &[])));
        assert_eq!(told(&mut backends, slice("two", "stalwart", &[])), None);
        assert_eq!(told(&mut backends, slice("three", "stalwart", &[Some(true)])), Some("stalwart".into()));
        assert_eq!(told(&mut backends, slice("other", "dovecot", &[Some(true)])), Some("dovecot".into()));
    }

    #[test]
    fn what_a_broken_watch_missed_is_found_by_the_next_list() {
        let mut backends = listed(&[slice("one", "stalwart", &[Some(false)]), slice("gone", "dovecot", &[Some(true)])]);
        assert_eq!(list(&mut backends, &[slice("one", "stalwart", &[Some(true)])]), ["stalwart"]);
        assert_eq!(told(&mut backends, slice("new", "dovecot", &[Some(true)])), Some("dovecot".into()));
    }
}
