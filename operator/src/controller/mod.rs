//! What drives the passes: whether this operator may write, what is remembered, what follows a failure.

mod flush;
mod malformed;
mod pass;
pub mod rollouts;
pub mod triggers;
mod unreadable;
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

use self::{pass::pass, rollouts::Rollouts};
use crate::{
    allowed::AllowedDomains,
    cache::{Cache, Guarded},
    claims::Registry,
    dereference::Dereference,
    dns::asker::Asker,
    error::{Category, Error},
    events::{Event, Reason, publish::Publisher},
    metrics::{self, Metrics},
    poll::Reports,
    recipients::Recipients,
    settings::Settings,
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
    /// The live objects.
    pub cache: Cache,
    /// The operator's settings.
    pub settings: Settings,
    /// Who may claim what.
    pub allowed: AllowedDomains,
    /// What all resources claim.
    pub registry: Registry,
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
    /// The status that was last written.
    written: Option<Written>,
    /// Whether it was let go of. It may be in the cache still; what was taken away must not be made again.
    life: Remembered,
    /// Who was told to try all its mail.
    heard: flush::Heard,
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
    let resource = match &object.0 {
        Ok(resource) => resource,
        Err(invalid) => {
            // The API server let it in by an older schema; the others must not suffer for it.
            tracing::warn!(name = invalid.metadata.name, error = invalid.error, "a resource cannot be read");
            context.metrics.passes.with_label_values(&[metrics::MALFORMED]).inc();
            let told = Event::new(Reason::Malformed, invalid.error.clone());
            context.events.publish(&object.object_ref(&()), vec![told]);
            match unreadable(&invalid.metadata, &context).await? {
                Some(leaving) => &leaving.clone(),
                None => {
                    if let Some(live) = as_it_is(&invalid.metadata, &context).await? {
                        malformed::say(&context, &live, &invalid.error).await?;
                    }
                    // The API server forgets Events.
                    return Ok(Action::requeue(FORGOTTEN));
                }
            }
        }
    };
    let timer = context.metrics.seconds.start_timer();
    let done = pass(resource, &context).await;
    timer.observe_duration();
    let uid = resource.uid().unwrap_or_default();
    match &done {
        Ok(_) => {
            context.metrics.passes.with_label_values(&[metrics::PASSED]).inc();
            if let Some(memory) = context.memory.lock().get_mut(&uid) {
                memory.failures = 0;
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
    let cause = std::error::Error::source(error).map(ToString::to_string);
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
