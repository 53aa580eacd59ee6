//! One pass over a resource: dereference, validate, plan, apply, status.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    time::Duration,
};

use backupmx_crds::{BackupMX, BackupMXStatus, conditions::Reason};
use futures::future::join_all;
use k8s_openapi::jiff::Timestamp;
use kube::{
    Api, Resource as _, ResourceExt,
    api::{Patch, PatchParams},
    runtime::controller::Action,
};
use serde_json::json;
use tokio::time::Instant;

use super::{
    Context, Remembered, Written, flush,
    rollouts::{self, Admission},
};
use crate::{
    apply::{Applied, Applier, put::release},
    cache,
    conflict::Life,
    dereference,
    error::{Category, Error},
    events, labels,
    lifecycle::Phase,
    names,
    plan::{self, Facts, Live},
    relay_api,
    status::{self, Before, Running},
    validate,
    validated::{Owner, RelayName, Validated},
};

/// How soon a resource is looked at again while something of it leaves, and otherwise.
const BUSY: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(60);

/// One pass.
pub(super) async fn pass(resource: &BackupMX, context: &Context) -> Result<Action, Error> {
    let life = dereference::life(resource);
    let uid = resource.uid().unwrap_or_default();
    if context.memory.lock().get(&uid).is_some_and(|memory| memory.life == Remembered::LetGo) {
        return Ok(Action::await_change());
    }
    let retires = resource.finalizers().iter().any(|finalizer| finalizer == labels::RETIRE);
    match (life, retires) {
        (Life::Leaving, false) => {
            context.memory.lock().remove(&uid);
            return Ok(Action::await_change());
        }
        // Before anything is made that would be left behind.
        (Life::Staying, false) => match hold(resource, context).await {
            Err(error) if error.is_gone() => return Ok(Action::await_change()),
            held => held?,
        },
        (Life::Staying | Life::Leaving, true) => {}
    }
    let ask = context.dereference();
    let owner = validate::owner(resource);
    let mut before = last(resource, context);
    before.last_handled_flush = flush(resource, &owner, context, &ask.pods(&owner)).await;
    let generation = resource.metadata.generation;
    let told = |now| Before { status: &before, generation, now };
    let referred = context.recipients.referred(&context.client, &context.cache, resource).await?;
    let checked = match (validate::validate(resource, &referred, &context.settings.cluster_domain), life) {
        (Ok(checked), _) => checked,
        (Err(problems), Life::Leaving) => {
            tracing::info!(%owner, %problems, "leaving with what its relays have");
            ask.leaving(resource)
        }
        (Err(problems), Life::Staying) => {
            // Its relays go on as they are: nothing of theirs is taken away over a spec that cannot be used, but what is
            // another's.
            let released = if ask.has_lost(resource) { release_lost(resource, context, &before).await } else { Ok(()) };
            let stalled = status::invalid(told(Timestamp::now()), &problems, &ask.running(&owner));
            let figures = write_status(resource, context, stalled).await?;
            let wait = jittered(IDLE);
            return released.map(|()| Action::requeue(figures.map_or(wait, |figures| wait.min(figures))));
        }
    };
    let (facts, pods) = ask.facts(&checked, life, &before).await;
    let mut planned =
        plan::plan(&checked, &facts, &context.settings).map_err(|error| Error::Document(error.to_string()))?;
    if let Some((name, deployment)) = plan::replaced(&mut planned, &facts) {
        let place = (owner.namespace.clone(), names::relay(&owner, name));
        let taken = rollouts::taken(&context.cache.deployments.state());
        let admission = context.rollouts.lock().admit(&place, &taken, context.max_rollouts, Instant::now());
        if admission == Admission::Wait {
            *deployment = None;
        }
    }
    let over = life == Life::Leaving && plan::is_over(&planned);
    let applier = Applier {
        client: &context.client,
        cache: &context.cache,
        settings: &context.settings,
        owner: &checked.owner,
        facts: &facts,
        pods: &pods,
    };
    let lost = plan::lost_on_leaving(&checked, &planned, &facts);
    if !lost.is_empty() {
        let told = lost.iter().map(|(relay, loss)| events::lost_on_leaving(relay, loss)).collect();
        context.events.publish(&resource.object_ref(&()), told);
    }
    let mut let_go = Vec::new();
    for (relay, messages) in plan::let_go(&planned, &facts) {
        tracing::warn!(%owner, %relay, messages, "held mail is let go, as was ordered");
        context.events.publish(&resource.object_ref(&()), vec![events::let_go(&relay, messages)]);
        let_go.push(relay);
    }
    if over {
        applier.finish(planned).await?;
        release(&context.client, resource, labels::RETIRE).await?;
        let there: HashSet<Option<String>> = context.cache.resources.state().iter().map(|known| known.uid()).collect();
        let mut memories = context.memory.lock();
        memories.retain(|known, _| there.contains(&Some(known.clone())));
        memories.entry(uid).or_default().life = Remembered::LetGo;
        return Ok(Action::await_change());
    }
    let applied = match applier.apply(planned).await {
        Ok(applied) => applied,
        Err(error) => {
            if error.category() == Category::Refused {
                let running = Running::known(&checked, &facts);
                let stalled = status::stalled(told(facts.now), Reason::ApplyFailed, &full(&error), &running);
                write_status(resource, context, stalled).await?;
            }
            return Err(error);
        }
    };
    ask_again(context, &checked.owner, &facts, &applied);
    let new = status::applied(told(facts.now), &checked, &facts, &applied, &context.settings);
    context.dns.expect(&checked.owner, status::dns::pace(&new));
    let overdue = status::dns::overdue(&new, &context.settings);
    let figures = write_status_after(resource, context, new, &let_go).await?;
    let wait = again(&checked, &facts);
    Ok(Action::requeue([overdue, figures].into_iter().flatten().fold(wait, Duration::min)))
}

/// Gives up what is another's now, though the spec cannot be used.
async fn release_lost(resource: &BackupMX, context: &Context, before: &BackupMXStatus) -> Result<(), Error> {
    let ask = context.dereference();
    let known = ask.leaving(resource);
    let (facts, pods) = ask.facts(&known, Life::Staying, before).await;
    let released = plan::released(&known, &facts, &context.settings);
    let released = released.map_err(|error| Error::Document(error.to_string()))?;
    let (client, cache, settings) = (&context.client, &context.cache, &context.settings);
    Applier { client, cache, settings, owner: &known.owner, facts: &facts, pods: &pods }.release(released).await
}

/// Has the relays try all held mail where the annotation has a new value. The value that counts as acted on then.
async fn flush(
    resource: &BackupMX,
    owner: &Owner,
    context: &Context,
    pods: &BTreeMap<RelayName, IpAddr>,
) -> Option<String> {
    let before = resource.status.as_ref().and_then(|status| status.last_handled_flush.as_deref());
    let wanted = resource.annotations().get(labels::FLUSH).map(String::as_str);
    let Some(due) = flush::due(wanted, before) else { return before.map(str::to_owned) };
    let uid = resource.uid().unwrap_or_default();
    let mut heard = context.memory.lock().get(&uid).map(|memory| memory.heard.of(due)).unwrap_or_default();
    let untold: Vec<_> = pods.iter().filter(|(name, _)| !heard.contains(*name)).collect();
    let told = join_all(untold.iter().map(|(name, pod)| async move {
        let told = relay_api::flush(**pod, &context.settings.master_key.token(owner, name)).await;
        match told {
            Ok(()) => Some((*name).clone()),
            Err(error) => {
                tracing::warn!(%owner, relay = %name, %error, "failed to flush a relay");
                None
            }
        }
    }));
    heard.extend(told.await.into_iter().flatten());
    context.memory.lock().entry(uid).or_default().heard = flush::Heard::new(due, heard.clone());
    let deaf = flush::deaf(&cache::of(&context.cache.claims, owner), &heard);
    for (name, _) in untold {
        context.reports.hurry(&(owner.uid.clone(), name.clone()));
    }
    flush::handled(due, before, deaf)
}

/// Has those relays asked at once that were handed a config.
fn ask_again(context: &Context, owner: &Owner, facts: &Facts, applied: &Applied) {
    let behind = |name: &RelayName, revision: u64| {
        let report = facts.relays.get(name).and_then(|live| live.report.as_ref());
        report.is_some_and(|report| report.config_revision < revision)
    };
    let serving = applied.relays.iter().filter(|relay| behind(&relay.name, relay.revision)).map(|relay| &relay.name);
    let closing = applied.leaving.iter().filter(|relay| relay.phase == Phase::Closing).map(|relay| &relay.name);
    for name in serving.chain(closing) {
        context.reports.hurry(&(owner.uid.clone(), name.clone()));
    }
}

/// When to look again: what the relays hold has a pass of its own when it is news.
fn again(resource: &Validated, facts: &Facts) -> Duration {
    let retires =
        |live: &Live| live.claim.as_ref().is_some_and(|claim| claim.annotations().contains_key(labels::RETIRING));
    let leaves = facts.relays.len() > resource.relays.len() || facts.relays.values().any(retires);
    jittered(if leaves || facts.life == Life::Leaving { BUSY } else { IDLE })
}

/// 500 resources must not come in one second.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::random_range(0.9..1.1))
}

/// The last status: what was written, where the cache does not have that yet.
fn last(resource: &BackupMX, context: &Context) -> BackupMXStatus {
    let memories = context.memory.lock();
    let written = memories.get(&resource.uid().unwrap_or_default()).and_then(|memory| memory.written.as_ref());
    match written {
        Some(written) if written.made_from == resource.resource_version() => written.status.clone(),
        Some(_) | None => resource.status.clone().unwrap_or_default(),
    }
}

/// Writes a status that is worth it, and tells what has changed. How soon one that is not will be.
async fn write_status(resource: &BackupMX, context: &Context, new: BackupMXStatus) -> Result<Option<Duration>, Error> {
    write_status_after(resource, context, new, &[]).await
}

/// The same, after mail was let go of some relays.
async fn write_status_after(
    resource: &BackupMX,
    context: &Context,
    new: BackupMXStatus,
    let_go: &[RelayName],
) -> Result<Option<Duration>, Error> {
    let new = BackupMXStatus { domains_text: status::domains::line(&resource.spec.domains), ..new };
    let uid = resource.uid().unwrap_or_default();
    let old = last(resource, context);
    let since = context.memory.lock().get(&uid).and_then(|memory| Some(memory.written.as_ref()?.at.elapsed()));
    let since = since.unwrap_or(Duration::MAX);
    if !status::worth_writing(&old, &new, since) {
        return Ok(status::worth_later(&old, &new, since));
    }
    let api: Api<BackupMX> = Api::namespaced(context.client.clone(), &resource.namespace().unwrap_or_default());
    let document = json!({"apiVersion": "backupmx.io/v1alpha1", "kind": "BackupMX", "status": new});
    let params = PatchParams::apply(labels::MANAGER).force();
    let done = api.patch_status(&resource.name_any(), &params, &Patch::Apply(&document)).await;
    match done.map_err(Error::kube("write the status")) {
        // Deleted a moment ago: nobody is left to be told.
        Err(error) if error.is_gone() => return Ok(None),
        done => done.map(|_| ())?,
    }
    let told = events::told(&old, &new, let_go);
    let written = Written { at: Instant::now(), status: new, made_from: resource.resource_version() };
    context.memory.lock().entry(uid).or_default().written = Some(written);
    context.events.publish(&resource.object_ref(&()), told);
    Ok(None)
}

/// Has a resource stay until its relays are retired.
async fn hold(resource: &BackupMX, context: &Context) -> Result<(), Error> {
    let api: Api<BackupMX> = Api::namespaced(context.client.clone(), &resource.namespace().unwrap_or_default());
    let document = json!({
        "apiVersion": "backupmx.io/v1alpha1",
        "kind": "BackupMX",
        // With the UID: a resource of the same name that came later is another.
        "metadata": {"uid": resource.uid(), "finalizers": [labels::RETIRE]},
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
