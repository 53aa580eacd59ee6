//! One pass over a resource: dereference, validate, plan, apply, status.

pub mod watches;

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use backupmx_crds::{BackupMX, BackupMXStatus, conditions::Reason};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
    core::DeserializeGuard,
    runtime::controller::Action,
};
use parking_lot::Mutex;
use serde_json::json;
use tokio::{sync::watch, time::Instant};

use crate::{
    allowed::AllowedDomains,
    apply::Applier,
    cache::Cache,
    conflict::Life,
    dereference::{self, Dereference},
    dns::asker::Asker,
    error::{Category, Error},
    labels,
    metrics::Metrics,
    plan::{self, Facts},
    relay_api,
    settings::Settings,
    status::{self, Before},
    validate,
    validated::{Owner, RelayName, Validated},
};

/// How soon a resource is looked at again while its relays hold mail, and while they do not.
const BUSY: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(60);

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
    /// How many ready relays may be replaced at once over the whole cluster.
    pub max_rollouts: usize,
    /// Whether this operator may write.
    pub role: watch::Receiver<Role>,
    /// What is counted.
    pub metrics: Metrics,
    /// What DNS says.
    pub dns: Asker,
    /// What is remembered of each resource, by UID. Losing it costs a write and a shorter wait.
    pub memory: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of a resource.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Failures in a row.
    failures: u32,
    /// When its status was last written.
    written: Option<Instant>,
}

/// One pass.
///
/// # Errors
/// What the first step that failed gave.
pub async fn reconcile(object: Arc<DeserializeGuard<BackupMX>>, context: Arc<Context>) -> Result<Action, Error> {
    if *context.role.borrow() == Role::Standby || context.cache.ready().await.is_err() {
        return Ok(Action::await_change());
    }
    let resource = match &object.0 {
        Ok(resource) => resource,
        Err(invalid) => {
            // The API server let it in by an older schema; the others must not suffer for it.
            tracing::warn!(name = invalid.metadata.name, error = invalid.error, "a resource cannot be read");
            context.metrics.passes.with_label_values(&["malformed"]).inc();
            return Ok(Action::await_change());
        }
    };
    let timer = context.metrics.seconds.start_timer();
    let done = pass(resource, &context).await;
    timer.observe_duration();
    let uid = resource.uid().unwrap_or_default();
    match &done {
        Ok(_) => {
            context.metrics.passes.with_label_values(&["ok"]).inc();
            if let Some(memory) = context.memory.lock().get_mut(&uid) {
                memory.failures = 0;
            }
        }
        Err(error) => context.metrics.passes.with_label_values(&[error.category().as_str()]).inc(),
    }
    done
}

/// How soon a pass that failed is tried again.
#[must_use]
pub fn after_error(object: Arc<DeserializeGuard<BackupMX>>, error: &Error, context: Arc<Context>) -> Action {
    let mut memories = context.memory.lock();
    let memory = memories.entry(object.uid().unwrap_or_default()).or_default();
    memory.failures = memory.failures.saturating_add(1);
    let wait = error.category().wait(memory.failures, rand::random());
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(name = object.name_any(), %error, cause, ?wait, "a pass failed");
    Action::requeue(wait)
}

async fn pass(resource: &BackupMX, context: &Context) -> Result<Action, Error> {
    let life = dereference::life(resource);
    let retires = resource.finalizers().iter().any(|finalizer| finalizer == labels::RETIRE);
    match (life, retires) {
        (Life::Leaving, false) => {
            context.memory.lock().remove(&resource.uid().unwrap_or_default());
            return Ok(Action::await_change());
        }
        // Before anything is made that would be left behind.
        (Life::Staying, false) => finalizers(resource, context, &[labels::RETIRE]).await?,
        (Life::Staying | Life::Leaving, true) => {}
    }
    let ask = Dereference {
        client: &context.client,
        cache: &context.cache,
        settings: &context.settings,
        allowed: &context.allowed,
        max_rollouts: context.max_rollouts,
        dns: &context.dns,
    };
    let before = resource.status.clone().unwrap_or_default();
    let generation = resource.metadata.generation;
    let told = |now| Before { status: &before, generation, now };
    let referred = ask.referred(resource).await?;
    let checked = match validate::validate(resource, &referred, &context.settings.cluster_domain) {
        Ok(checked) => checked,
        Err(problems) => {
            // Its relays go on as they are: nothing of theirs is taken away over a spec that cannot be used.
            write_status(resource, context, status::invalid(told(Timestamp::now()), &problems)).await?;
            return Ok(Action::await_change());
        }
    };
    let (facts, pods) = ask.facts(&checked, life).await?;
    let planned =
        plan::plan(&checked, &facts, &context.settings).map_err(|error| Error::Document(error.to_string()))?;
    let over = life == Life::Leaving && plan::is_over(&planned);
    let applier = Applier {
        client: &context.client,
        cache: &context.cache,
        settings: &context.settings,
        owner: &checked.owner,
        facts: &facts,
        pods: &pods,
    };
    let applied = match applier.apply(planned).await {
        Ok(applied) => applied,
        Err(error) => {
            if error.category() == Category::Refused {
                let stalled = status::stalled(told(facts.now), Reason::ApplyFailed, &full(&error));
                write_status(resource, context, stalled).await?;
            }
            return Err(error);
        }
    };
    if over {
        applier.finish().await?;
        finalizers(resource, context, &[]).await?;
        return Ok(Action::await_change());
    }
    let mut new = status::applied(told(facts.now), &checked, &facts, &applied, &context.settings);
    context.dns.expect(&checked.owner, status::dns::pace(&new));
    new.last_handled_flush = flush(resource, &checked.owner, context, &pods).await;
    write_status(resource, context, new).await?;
    Ok(Action::requeue(again(&checked, &facts)))
}

/// Has the relays try all held mail where the annotation has a new value. The value that counts as handled then.
async fn flush(
    resource: &BackupMX,
    owner: &Owner,
    context: &Context,
    pods: &BTreeMap<RelayName, IpAddr>,
) -> Option<String> {
    let wanted = resource.annotations().get(labels::FLUSH).cloned();
    let handled = resource.status.as_ref().and_then(|status| status.last_handled_flush.clone());
    if wanted.is_none() || wanted == handled {
        return handled;
    }
    for (name, pod) in pods {
        let token = context.settings.master_key.token(owner, name);
        if let Err(error) = relay_api::flush(*pod, &token).await {
            tracing::warn!(%owner, relay = %name, %error, "failed to flush a relay");
            return handled;
        }
    }
    wanted
}

/// When to look again, with some jitter: 500 resources must not ask all their relays in one second.
fn again(resource: &Validated, facts: &Facts) -> Duration {
    let reports = facts.relays.values().map(|live| live.report.as_ref());
    let holds = reports.flatten().any(|report| report.queue.messages > 0);
    let unknown = facts.relays.len() < resource.relays.len() || facts.relays.values().any(|live| live.report.is_none());
    let wait = if holds || unknown || facts.life == Life::Leaving { BUSY } else { IDLE };
    wait.mul_f64(rand::random_range(0.9..1.1))
}

async fn write_status(resource: &BackupMX, context: &Context, new: BackupMXStatus) -> Result<(), Error> {
    let uid = resource.uid().unwrap_or_default();
    let since = context.memory.lock().get(&uid).and_then(|memory| memory.written).map(|written| written.elapsed());
    let old = resource.status.clone().unwrap_or_default();
    if !status::worth_writing(&old, &new, since.unwrap_or(Duration::MAX)) {
        return Ok(());
    }
    let api: Api<BackupMX> = Api::namespaced(context.client.clone(), &resource.namespace().unwrap_or_default());
    let document = json!({"apiVersion": "backupmx.io/v1alpha1", "kind": "BackupMX", "status": new});
    let params = PatchParams::apply(labels::MANAGER).force();
    api.patch_status(&resource.name_any(), &params, &Patch::Apply(&document))
        .await
        .map_err(Error::kube("write the status"))?;
    context.memory.lock().entry(uid).or_default().written = Some(Instant::now());
    Ok(())
}

async fn finalizers(resource: &BackupMX, context: &Context, wanted: &[&str]) -> Result<(), Error> {
    let api: Api<BackupMX> = Api::namespaced(context.client.clone(), &resource.namespace().unwrap_or_default());
    let document = json!({
        "apiVersion": "backupmx.io/v1alpha1",
        "kind": "BackupMX",
        // With the UID: a resource of the same name that came later is another.
        "metadata": {"uid": resource.uid(), "finalizers": wanted},
    });
    let params = PatchParams::apply(labels::MANAGER).force();
    let done = api.patch(&resource.name_any(), &params, &Patch::Apply(&document)).await;
    done.map(|_| ()).map_err(Error::kube("write the finalizer"))
}

/// An error with its cause.
fn full(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
