//! Asks the relays what they hold, apart from the passes: a pass takes what a relay said last, and comes at once when
//! that is news. Only the leader asks. A relay answers when something changes that a person would see, or when the time is
//! over, so a change shows within some seconds and a quiet relay costs a request a minute.

pub mod news;
pub mod roster;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use backupmx_crds::conditions::ConditionType;
use backupmx_relay_config::status::RelayStatus;
use futures::{
    FutureExt as _, StreamExt as _,
    future::{AbortHandle, AbortRegistration, Abortable},
    stream::FuturesUnordered,
};
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{Resource as _, ResourceExt, runtime::reflector::ObjectRef};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, MissedTickBehavior, interval},
};

use self::{
    news::News,
    roster::{Asked, Key, Room, Roster, Silence, Target, Watch},
};
use crate::{
    apply::is_leaving,
    cache::{Cache, Guarded},
    labels,
    metrics::{Metrics, Resources},
    open_files, relay_api,
    token::MasterKey,
    validated::{Owner, RelayName},
};

/// How many relays are asked at once, apart from those that wait for a change.
const AT_ONCE: usize = 32;
/// How many relays may wait for a change, where as many files may be open: each is a connection of some 20 KiB. Others are
/// asked now and then.
const WATCHED: usize = 512;
/// How often it is looked whose turn it is.
const TICK: Duration = Duration::from_millis(500);

/// What the relays said last, and whose turn it is.
#[derive(Clone, Debug, Default)]
pub struct Reports {
    roster: Arc<Mutex<Roster>>,
    hurried: Arc<Notify>,
}

impl Reports {
    /// What a relay said last. None: it does not answer.
    #[must_use]
    pub fn last(&self, key: &Key) -> Option<RelayStatus> {
        self.roster.lock().report(key).cloned()
    }

    /// Why it is not known what a relay holds, where it does not say it.
    #[must_use]
    pub fn silence(&self, key: &Key) -> Silence {
        self.roster.lock().silence(key)
    }

    /// When a relay said something last. None: never to this operator.
    #[must_use]
    pub fn heard(&self, key: &Key) -> Option<Timestamp> {
        self.roster.lock().heard(key)
    }

    /// Whether a relay that has a pod has yet to be heard for the first time.
    #[must_use]
    pub fn awaits(&self, key: &Key) -> bool {
        self.roster.lock().awaits(key)
    }

    /// Has a relay asked at once: something was done to it.
    pub fn hurry(&self, key: &Key) {
        self.roster.lock().hurry(key, Instant::now());
        self.hurried.notify_one();
    }
}

/// Asks until it is dropped. Resources whose relays have news are sent to `nudges`.
pub async fn run(
    cache: Cache,
    key: MasterKey,
    reports: Reports,
    metrics: Metrics,
    nudges: mpsc::UnboundedSender<ObjectRef<Guarded>>,
) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    metrics.conditions.read(cache.resources.clone());
    let mut asking = FuturesUnordered::new();
    let mut open = Open::default();
    let watched = open_files::lasting(WATCHED);
    loop {
        while open.quick < AT_ONCE {
            let room = if open.watched < watched { Room::ForWatches } else { Room::ForQuickOnes };
            let Some(asked) = reports.roster.lock().next(Instant::now(), room) else { break };
            let stop = open.begin(&asked);
            asking.push(Abortable::new(ask(asked.clone(), &key, &metrics), stop).map(|answer| (asked, answer)));
        }
        tokio::select! {
            Some((asked, answer)) = asking.next(), if !asking.is_empty() => {
                open.end(&asked);
                // One that another question took the place of has no answer.
                let Ok(answer) = answer else { continue };
                let told = reports.roster.lock().answered(&asked, answer, now(), rand::random());
                if told == News::Worth {
                    // An error is a process that ends.
                    let owner = &asked.target.owner;
                    let _ = nudges.send(ObjectRef::new(&owner.name).within(&owner.namespace));
                }
            }
            _ = ticks.tick() => {
                let targets = targets(&cache.pods.state(), &cache.resources.state());
                let mut roster = reports.roster.lock();
                roster.sync(targets, Instant::now());
                let (all, silent) = roster.count();
                metrics.relays(all, silent);
                metrics.resources(resources(&cache.resources.state()));
            }
            () = reports.hurried.notified() => {}
        }
    }
}

/// This instant, to measure by and to tell.
fn now() -> (Instant, Timestamp) {
    (Instant::now(), Timestamp::now())
}

/// The questions that are open.
#[derive(Default)]
struct Open {
    quick: usize,
    watched: usize,
    /// Stops the last question to each relay.
    stops: HashMap<Key, (u64, AbortHandle)>,
}

impl Open {
    /// One more; another to the same relay is stopped.
    fn begin(&mut self, asked: &Asked) -> AbortRegistration {
        *self.count(asked) += 1;
        let (stop, registration) = AbortHandle::new_pair();
        if let Some((_, older)) = self.stops.insert(asked.target.key(), (asked.number, stop)) {
            older.abort();
        }
        registration
    }

    fn end(&mut self, asked: &Asked) {
        let count = self.count(asked);
        *count = count.saturating_sub(1);
        let key = asked.target.key();
        if self.stops.get(&key).is_some_and(|(number, _)| *number == asked.number) {
            self.stops.remove(&key);
        }
    }

    const fn count(&mut self, asked: &Asked) -> &mut usize {
        match asked.watch {
            Some(_) => &mut self.watched,
            None => &mut self.quick,
        }
    }
}

async fn ask(asked: Asked, key: &MasterKey, metrics: &Metrics) -> Result<RelayStatus, Silence> {
    let Target { owner, relay, address, .. } = &asked.target;
    let token = key.token(owner, relay);
    let answer = match &asked.watch {
        Some(Watch { since, wait }) => relay_api::watch(*address, &token, since, *wait).await,
        None => relay_api::status(*address, &token).await,
    };
    metrics.asked(answer.as_ref().err());
    if let Err(error) = &answer {
        tracing::debug!(%owner, %relay, %error, "a relay did not say what it holds");
    }
    answer.map_err(Silence::from)
}

/// How the resources are, by their last status.
fn resources(all: &[Arc<Guarded>]) -> Resources {
    let mut count = Resources::default();
    for guarded in all {
        let Ok(resource) = &guarded.0 else {
            count.malformed += 1;
            continue;
        };
        let conditions = resource.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let holds =
            |kind: ConditionType| conditions.iter().any(|known| known.type_ == kind.as_str() && known.status == "True");
        match (holds(ConditionType::Stalled), holds(ConditionType::Ready)) {
            (true, _) => count.stalled += 1,
            (false, true) => count.ready += 1,
            (false, false) => count.not_ready += 1,
        }
    }
    count
}

/// The pods of relays that can be asked: those in the namespace of their resource, or of one that is gone. A relay's token
/// opens its queue, so what says of itself that it is another's relay is not asked: a copy that a restore made in another
/// namespace, or a pod with the labels of a resource elsewhere. Of two of one relay the younger counts.
#[must_use]
pub fn targets(pods: &[Arc<Pod>], resources: &[Arc<Guarded>]) -> Vec<Target> {
    let living: HashMap<&str, &Guarded> =
        resources.iter().filter_map(|one| Some((one.meta().uid.as_deref()?, one.as_ref()))).collect();
    let rightful = |target: &Target| {
        let Owner { namespace, name, uid } = &target.owner;
        living.get(uid.as_str()).is_none_or(|lives| {
            (lives.meta().namespace.as_ref(), lives.meta().name.as_ref()) == (Some(namespace), Some(name))
        })
    };
    let mut youngest: BTreeMap<(Owner, RelayName), (Option<Timestamp>, Target)> = BTreeMap::new();
    for pod in pods {
        let Some(target) = target(pod).filter(rightful) else { continue };
        let found = (pod.creation_timestamp().map(|created| created.0), target);
        let place = (found.1.owner.clone(), found.1.relay.clone());
        if youngest.get(&place).is_none_or(|known| known.0 < found.0) {
            youngest.insert(place, found);
        }
    }
    youngest.into_values().map(|(_, target)| target).collect()
}

fn target(pod: &Pod) -> Option<Target> {
    let status = pod.status.as_ref()?;
    // A pod that was evicted keeps its address, which another may have by now.
    let over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    if is_leaving(pod) || over {
        return None;
    }
    if labels::is_copy(pod) {
        return None;
    }
    let made = pod.creation_timestamp();
    Some(Target {
        owner: labels::owner_of(pod)?,
        relay: pod.labels().get(labels::RELAY)?.parse().ok()?,
        pod: pod.uid()?,
        address: status.pod_ip.as_ref()?.parse().ok()?,
        since: status.start_time.as_ref().map(|taken| made.map_or(taken.0, |made| made.0.max(taken.0))),
        ready: status.conditions.iter().flatten().any(|known| known.type_ == "Ready" && known.status == "True"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(uid: &str, created: u8, status: &serde_json::Value) -> Arc<Pod> {
        let document = json!({
            "metadata": {
                "namespace": "mail",
                "name": uid,
                "uid": uid,
                "creationTimestamp": format!("2027-01-15T08:00:{created:02}Z"),
                "labels": {"backupmx.io/owner-uid": "u", "backupmx.io/relay": "a"},
                "annotations": {"backupmx.io/owner": "mail/x"},
            },
            "status": status,
        });
        Arc::new(serde_json::from_value(document).unwrap())
    }

    fn found(pods: &[Arc<Pod>]) -> Vec<String> {
        targets(pods, &[resource("mail", "x", "u")]).into_iter().map(|target| target.pod).collect()
    }

    #[test]
    fn the_youngest_pod_that_runs_is_asked() {
        let running = json!({"phase": "Running", "podIP": "192.0.2.1"});
        let (old, new) = (pod("old", 1, &running), pod("new", 2, &running));
        assert_eq!(found(&[old.clone(), new.clone()]), ["new"]);
        assert_eq!(found(&[new, old.clone()]), ["new"]);
        let evicted = pod("evicted", 3, &json!({"phase": "Failed", "podIP": "192.0.2.2"}));
        assert_eq!(found(&[old.clone(), evicted]), ["old"]);
        let unplaced = pod("unplaced", 3, &json!({"phase": "Pending"}));
        assert_eq!(found(&[old, unplaced]), ["old"]);
    }

    fn resource(namespace: &str, name: &str, uid: &str) -> Arc<Guarded> {
        let document = json!({
            "apiVersion": "backupmx.io/v1alpha1", "kind": "BackupMX",
            "metadata": {"namespace": namespace, "name": name, "uid": uid}, "spec": {},
        });
        Arc::new(serde_json::from_value(document).unwrap())
    }

    #[test]
    fn what_says_in_another_namespace_that_it_is_a_relay_is_not_asked() {
        let running = json!({"phase": "Running", "podIP": "192.0.2.1"});
        let relay = pod("relay", 1, &running);
        let mut copy = Pod::clone(&pod("copy", 2, &running));
        copy.metadata.namespace = Some("restored".to_owned());
        assert_eq!(found(&[relay.clone(), Arc::new(copy.clone())]), ["relay"]);
        assert_eq!(found(&[Arc::new(copy.clone())]), Vec::<String>::new());
        // One that names a resource of its own namespace, and bears the UID of another's.
        for owner in ["restored/x", "restored/y"] {
            copy.annotations_mut().insert(labels::OWNER.to_owned(), owner.to_owned());
            assert_eq!(found(&[relay.clone(), Arc::new(copy.clone())]), ["relay"], "{owner}");
        }
        copy.labels_mut().insert(labels::OWNER_UID.to_owned(), "v".to_owned());
        assert_eq!(found(&[relay, Arc::new(copy)]), ["relay", "copy"], "its resource is gone");
    }

    #[test]
    fn it_is_known_whose_it_is_and_whether_it_is_ready() {
        let status = json!({"podIP": "2001:db8::1", "conditions": [{"type": "Ready", "status": "True"}]});
        let target = &targets(&[pod("one", 1, &status)], &[])[0];
        assert_eq!((target.owner.to_string(), target.relay.as_str()), ("mail/x".to_owned(), "a"));
        assert!(target.ready);
    }
}
