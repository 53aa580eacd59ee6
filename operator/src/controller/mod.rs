//! What drives the passes: whether this operator may write, what is remembered, what follows a failure.

mod clear;
mod copies;
mod flush;
mod malformed;
mod pass;
pub mod rollouts;
pub mod settled;
pub mod triggers;
mod unreadable;
mod untaken;
mod wardens;
pub mod watches;

use std::{collections::HashMap, sync::Arc, time::Duration};

use backupmx_crds::{BackupMX, BackupMXStatus};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams, ObjectMeta},
    runtime::controller::Action,
};
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

use self::{
    pass::{Reading, pass},
    rollouts::Rollouts,
    settled::{Heard, Settled},
};
use crate::{
    allowed::AllowedDomains,
    cache::{Cache, Guarded},
    claims::Registry,
    dereference::Dereference,
    dns::asker::Asker,
    error::{Category, Error},
    events::{Event, Reason, publish::Publisher},
    metrics::{self, Metrics},
    open_writes::OpenWrites,
    poll::Reports,
    recipients::Recipients,
    settings::Settings,
    terms::Terms,
};

/// How soon it is told again that a resource cannot be read.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// Whether this operator may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It keeps its caches warm.
    Standby,
    /// It has the lease.
    Leader,
}

/// What every pass needs.
pub struct Context {
    /// The API server. Its requests end before a lost lease can be taken by another.
    pub client: Client,
    /// Its writes that are under way, and what relays are being told.
    pub open_writes: OpenWrites,
    /// The live objects.
    pub cache: Cache,
    /// The operator's settings.
    pub settings: Settings,
    /// Who may claim what.
    pub allowed: AllowedDomains,
    /// What all resources claim.
    pub registry: Registry,
    /// The terms that could be used last.
    pub terms: Terms,
    /// How many ready relays may be replaced at once over the whole cluster.
    pub max_rollouts: usize,
    /// The replacements that were begun a moment ago.
    pub rollouts: Mutex<Rollouts>,
    /// The recipients that people list.
    pub recipients: Recipients,
    /// Where Events are written.
    pub events: Publisher,
    /// What the relays said last.
    pub reports: Reports,
    /// Whether this operator may write.
    pub role: watch::Receiver<Role>,
    /// Whether what the statuses say was found out by this leader; for its Lease.
    pub settled: Arc<watch::Sender<Settled>>,
    /// What is counted.
    pub metrics: Metrics,
    /// What DNS says.
    pub dns: Asker,
    /// What is remembered of each resource, by UID. Losing it costs a write and a shorter wait.
    pub memory: Mutex<HashMap<String, Memory>>,
}

impl Context {
    /// What asking needs.
    #[must_use]
    pub const fn dereference(&self) -> Dereference<'_> {
        Dereference {
            cache: &self.cache,
            reports: &self.reports,
            settings: &self.settings,
            allowed: &self.allowed,
            registry: &self.registry,
            terms: &self.terms,
            max_rollouts: self.max_rollouts,
            dns: &self.dns,
        }
    }
}

/// What is remembered of a resource.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Failures in a row.
    failures: u32,
    /// How soon to look again what there is to say, after a pass that failed and could say what there was.
    look_again: Option<Duration>,
    /// The status that was last written.
    written: Option<Written>,
    /// Whether it was let go of. It may be in the cache still; what was taken away must not be made again.
    life: Remembered,
    /// Who was told to try all its mail.
    heard: flush::Heard,
    /// What the last pass that went well knew of its relays.
    heard_all: Heard,
    /// What was told of a status that could not be written yet.
    told: untaken::Untaken,
    /// What was told of orders that are being carried out.
    ordered: clear::Told,
    /// When it was told last that it cannot be read, of which generation, and why.
    malformed: Option<(Instant, Option<i64>, String)>,
}

/// A status that was written.
#[derive(Clone, Debug)]
struct Written {
    at: Instant,
    status: BackupMXStatus,
    /// The version of the resource that it was made from: while the cache has that one still, its status is older.
    made_from: Option<String>,
}

/// Whether a resource was let go of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Remembered {
    #[default]
    There,
    LetGo,
}

/// One pass.
///
/// # Errors
/// What the first step that failed gave.
pub async fn reconcile(object: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    if *context.role.borrow() == Role::Standby || context.cache.ready().await.is_err() {
        return Ok(Action::await_change());
    }
    let (resource, reading) = match &object.0 {
        Ok(resource) => (resource, Reading::Whole),
        Err(invalid) => {
            // The API server let it in by an older schema; the others must not suffer for it.
            context.metrics.passes.with_label_values(&[metrics::MALFORMED]).inc();
            if is_news(&context, &invalid.metadata, &invalid.error) {
                tracing::warn!(name = invalid.metadata.name, error = invalid.error, "a resource cannot be read");
                let told = Event::new(Reason::Malformed, invalid.error.clone());
                context.events.publish(&object.object_ref(&()), vec![told]);
            }
            match unreadable(&invalid.metadata, &context).await? {
                Some(leaving) => (&leaving.clone(), Reading::Unreadable(&invalid.error)),
                None => {
                    return unread(&object, &invalid.metadata, &invalid.error, &context).await;
                }
            }
        }
    };
    let uid = resource.uid().unwrap_or_default();
    let heard_all = settled::heard(&context, &uid);
    let timer = context.metrics.seconds.start_timer();
    let done = pass(resource, reading, &context).await;
    timer.observe_duration();
    match &done {
        Ok(_) => {
            context.metrics.passes.with_label_values(&[metrics::PASSED]).inc();
            let mut memories = context.memory.lock();
            // One that leaves is forgotten when it is gone, and must not be remembered again.
            let memory = match resource.metadata.deletion_timestamp {
                None => Some(memories.entry(uid).or_default()),
                Some(_) => memories.get_mut(&uid),
            };
            if let Some(memory) = memory {
                memory.failures = 0;
                if object.0.is_ok() {
                    memory.malformed = None;
                }
                memory.heard_all = heard_all;
            }
        }
        Err(error) => {
            context.metrics.passes.with_label_values(&[error.category().as_str()]).inc();
            if let Some(told) = failed(error) {
                context.events.publish(&object.object_ref(&()), vec![told]);
            }
        }
    }
    done
}

/// How soon a pass that failed is tried again.
#[must_use]
pub fn after_error(object: Arc<Guarded>, error: &Error, context: Arc<Context>) -> Action {
    let mut memories = context.memory.lock();
    let memory = memories.entry(object.uid().unwrap_or_default()).or_default();
    memory.failures = memory.failures.saturating_add(1);
    let wait = error.category().wait(memory.failures, rand::random());
    let wait = memory.look_again.take().map_or(wait, |look_again| wait.min(look_again));
    let cause = error.cause();
    tracing::warn!(name = object.name_any(), %error, cause, ?wait, "a pass failed");
    Action::requeue(wait)
}

/// What is told of a pass that failed. What a person has to act on stands in the condition `Stalled`, whose change is
/// told; what passes is not told at all.
fn failed(error: &Error) -> Option<Event> {
    match error.category() {
        Category::Passing | Category::Refused => None,
        Category::Internal => Some(Event::new(Reason::InternalError, error.to_string())),
    }
}

/// A resource that cannot be read and stays: it is kept up by what could be used last.
async fn unread(object: &Guarded, metadata: &ObjectMeta, why: &str, context: &Context) -> Result<Action, Error> {
    // The API server forgets Events.
    let later = Action::requeue(FORGOTTEN);
    // Of one that is deleted meanwhile the cache will say so: it leaves by more of its spec than this knows.
    let stays = |live: &DynamicObject| live.metadata.deletion_timestamp.is_none();
    let Some(live) = as_it_is(metadata, context).await?.filter(stays) else { return Ok(later) };
    let Some(known) = malformed::readable(context, &live) else {
        return malformed::say(context, &live, why).await.map(|taken| match taken {
            malformed::Taken::Yes => later,
            malformed::Taken::No => Action::requeue(malformed::AGAIN),
        });
    };
    let done = pass(&known, Reading::Unreadable(why), context).await;
    match done.as_ref().map_err(failed) {
        Ok(_) => {
            let mut memories = context.memory.lock();
            memories.entry(known.uid().unwrap_or_default()).or_default().failures = 0;
        }
        Err(told) => context.events.publish(&object.object_ref(&()), told.into_iter().collect()),
    }
    done
}

/// Whether it is to be told that a resource cannot be read: it was not yet, or so long ago that the API server has
/// forgotten it.
fn is_news(context: &Context, metadata: &ObjectMeta, why: &str) -> bool {
    let mut memories = context.memory.lock();
    let told = &mut memories.entry(metadata.uid.clone().unwrap_or_default()).or_default().malformed;
    let known = told.as_ref().is_some_and(|(at, generation, text)| {
        (*generation, text.as_str()) == (metadata.generation, why) && at.elapsed() < FORGOTTEN
    });
    if !known {
        *told = Some((Instant::now(), metadata.generation, why.to_owned()));
    }
    !known
}

/// A resource that cannot be read and is being deleted, as far as it is known. None: it stays, and so do its relays.
async fn unreadable(metadata: &ObjectMeta, context: &Context) -> Result<Option<BackupMX>, Error> {
    if metadata.deletion_timestamp.is_none() {
        return Ok(None);
    }
    let spec = as_it_is(metadata, context).await?.map(|one| one.data["spec"].clone());
    Ok(unreadable::leaving(metadata, &spec.unwrap_or_default()))
}

/// A resource as the API server has it, whatever is in it. None: it is gone.
async fn as_it_is(metadata: &ObjectMeta, context: &Context) -> Result<Option<DynamicObject>, Error> {
    let (namespace, name) = (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default());
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &namespace, &ApiResource::erase::<BackupMX>(&()));
    // By a list, as everywhere: the right to get is not given.
    let found = api.list(&ListParams::default().fields(&format!("metadata.name={name}"))).await;
    let found = found.map_err(Error::kube("read a resource as it is"))?;
    Ok(found.items.into_iter().find(|one| one.metadata.uid == metadata.uid))
}
