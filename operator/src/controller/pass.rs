//! One pass over a resource: dereference, validate, plan, apply, status.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use backupmx_crds::{BackupMX, BackupMXStatus};
use backupmx_relay_config::{CONTRACT_VERSION, status::RelayStatus};
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
    Context, Remembered, Written, clear, flush,
    malformed::{self, Taken},
    rollouts::{self, Admission},
};
use crate::{
    apply::{Applied, Applier, Attempt, put::release},
    cache,
    conflict::Life,
    dereference,
    error::{Category, Error},
    events::{self, Less},
    labels,
    lifecycle::{Phase, Retirement},
    names,
    plan::{self, Cleared, ClearedBy, Facts, Live},
    relay_api,
    status::{self, Before, Cause, Hindered, Unapplied},
    validate::{self, Problems},
    validated::{Owner, RelayName, Validated},
};

/// How soon a resource is looked at again while something of it leaves, and otherwise.
const BUSY: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(60);
/// How soon a config is handed over once more that did not arrive: users are promised five seconds.
const HAND_OVER: Duration = Duration::from_secs(2);
/// So many passes in a row may fail for what passes before that is said.
const TRIES: u32 = 4;

/// Whether a resource can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading<'a> {
    /// It can.
    Whole,
    /// It cannot, for this reason; what could be used last is known, or it leaves.
    Unreadable(&'a str),
}

/// One pass. Of a resource that cannot be read `resource` has the metadata and the status.
pub(super) async fn pass(resource: &BackupMX, reading: Reading<'_>, context: &Context) -> Result<Action, Error> {
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
    let found = match reading {
        Reading::Whole => validate::validate(resource, &referred, &context.settings.cluster_domain),
        Reading::Unreadable(why) => Err(Problems::unreadable(why)),
    };
    let (checked, problems) = match (found, life) {
        (Ok(checked), _) => (context.terms.accept(checked), None),
        (Err(problems), Life::Leaving) => {
            tracing::info!(%owner, %problems, "leaving with what its relays have");
            (Arc::new(ask.leaving(resource)), None)
        }
        (Err(problems), Life::Staying) => match context.terms.refuse(resource, || ask.noted(resource)) {
            Some(last) => (last, Some(problems)),
            None => return unknown(resource, context, &before, &problems).await,
        },
    };
    let checked: &Validated = &checked;
    let (facts, pods) = ask.facts(checked, life, &before).await;
    let mut planned =
        plan::plan(checked, &facts, &context.settings).map_err(|error| Error::Document(error.to_string()))?;
    if let Some((name, deployment)) = plan::replaced(&mut planned, &facts) {
        let place = (owner.namespace.clone(), names::relay(&owner, name));
        let taken = rollouts::taken(&context.cache.deployments.state());
        let siblings = rollouts::generations(&owner, &facts);
        let admission = context.rollouts.lock().admit(&place, &siblings, &taken, context.max_rollouts, Instant::now());
        if admission == Admission::Wait {
            *deployment = None;
        }
    }
    let over = life == Life::Leaving && plan::is_over(&planned);
    let applier = Applier {
        client: &context.client,
        writes: &context.open_writes,
        cache: &context.cache,
        settings: &context.settings,
        owner: &checked.owner,
        facts: &facts,
        pods: &pods,
    };
    let lost = plan::lost_on_leaving(checked, &planned, &facts);
    if !lost.is_empty() {
        let told = lost.iter().map(|(relay, loss)| events::lost_on_leaving(relay, loss)).collect();
        context.events.publish_first(&resource.object_ref(&()), told).await;
    }
    let mut let_go = Vec::new();
    for (relay, messages) in plan::let_go(&planned, &facts) {
        tracing::warn!(%owner, %relay, messages, "held mail is let go, as was ordered");
        context.events.publish_first(&resource.object_ref(&()), vec![events::let_go(&relay, messages)]).await;
        let_go.push(relay);
    }
    let disobeyed: Vec<_> = plan::disobeyed(&planned, &facts).iter().map(events::not_obeyed).collect();
    if !disobeyed.is_empty() {
        context.events.publish_first(&resource.object_ref(&()), disobeyed).await;
    }
    let (for_relays, for_people): (Vec<_>, Vec<_>) =
        plan::cleared(checked, &planned, &facts).into_iter().partition(|order| order.by == ClearedBy::Relay);
    clear::hand_to_people(resource, &checked.owner, context, &for_people).await;
    if over {
        applier.finish(planned).await?;
        release(&context.client, resource, labels::RETIRE).await?;
        let there: HashSet<Option<String>> = context.cache.resources.state().iter().map(|known| known.uid()).collect();
        let mut memories = context.memory.lock();
        memories.retain(|known, _| there.contains(&Some(known.clone())));
        memories.entry(uid).or_default().life = Remembered::LetGo;
        context.terms.retain(&there);
        return Ok(Action::await_change());
    }
    let Attempt { applied, failed } = applier.apply(planned).await;
    clear::clear(resource, &checked.owner, context, &pods, noted(for_relays, &applied)).await;
    ask_again(context, &checked.owner, &facts, &applied);
    let unapplied = match &failed {
        None => None,
        Some(error) => match unapplied(error, &uid, context) {
            // What passes is no news, and the next pass knows more.
            None => return failed.map_or_else(|| Ok(Action::await_change()), Err),
            known => known,
        },
    };
    let hindered = Hindered { problems: problems.as_ref(), unapplied: unapplied.as_ref() };
    let new = status::applied(told(facts.now), checked, &facts, &applied, &context.settings, hindered);
    context.dns.expect(&checked.owner, status::dns::pace(&new));
    let overdue = status::dns::overdue(&new, &context.settings);
    let by_order = !let_go.is_empty() || plan::is_clearing(&facts, &before);
    let less = if by_order { Less::Ordered } else { Less::Delivered };
    let figures = write_status_after(resource, reading, context, new, less).await?;
    let late = hand_over_again(&facts, &applied);
    let wait = [overdue, figures, late].into_iter().flatten().fold(again(checked, &facts), Duration::min);
    match failed {
        None => Ok(Action::requeue(wait)),
        Some(error) => {
            context.memory.lock().entry(uid).or_default().look_again = Some(wait);
            Err(error)
        }
    }
}

/// The orders that are noted in their relay's claim, without which none is carried out.
fn noted(ordered: Vec<Cleared>, applied: &Applied) -> Vec<Cleared> {
    let is_noted = |order: &Cleared| {
        let relay = applied.relays.iter().find(|relay| relay.name == order.relay);
        let noted = plan::retirements(relay.and_then(|relay| relay.claim.as_ref()));
        let same = |known: &Retirement| known.domain.as_ref() == Some(&order.domain) && known.phase == Phase::Draining;
        noted.iter().any(|known| same(known) && known.ordered.is_some())
    };
    ordered.into_iter().filter(is_noted).collect()
}

/// What is told of a write that failed. None: it may well be done at the next pass.
fn unapplied(error: &Error, uid: &str, context: &Context) -> Option<Unapplied> {
    let failures = || context.memory.lock().get(uid).map_or(0, |memory| memory.failures);
    let cause = match error.category() {
        Category::Refused => Cause::Refused,
        // What goes on keeps nobody from knowing how the relays are.
        Category::Passing if failures() >= TRIES => Cause::Unanswered,
        Category::Passing | Category::Internal => return None,
    };
    Some(Unapplied { cause, message: error.with_cause() })
}

/// A spec that cannot be used, where nothing else is known that could be: its relays go on as they are. Nothing of theirs
/// is taken away, but what is another's.
async fn unknown(
    resource: &BackupMX,
    context: &Context,
    before: &BackupMXStatus,
    problems: &Problems,
) -> Result<Action, Error> {
    let ask = context.dereference();
    let released = if ask.has_lost(resource) { release_lost(resource, context, before).await } else { Ok(()) };
    let told = Before { status: before, generation: resource.metadata.generation, now: Timestamp::now() };
    let stalled = status::invalid(told, problems, &ask.running(&validate::owner(resource)));
    let figures = write_status(resource, Reading::Whole, context, stalled).await?;
    let wait = jittered(IDLE);
    released.map(|()| Action::requeue(figures.map_or(wait, |figures| wait.min(figures))))
}

/// Gives up what is another's now, though the spec cannot be used.
async fn release_lost(resource: &BackupMX, context: &Context, before: &BackupMXStatus) -> Result<(), Error> {
    let ask = context.dereference();
    let known = ask.leaving(resource);
    let (facts, pods) = ask.facts(&known, Life::Staying, before).await;
    let released = plan::released(&known, &facts, &context.settings);
    let released = released.map_err(|error| Error::Document(error.to_string()))?;
    let (client, cache, settings) = (&context.client, &context.cache, &context.settings);
    let (owner, writes) = (&known.owner, &context.open_writes);
    Applier { client, writes, cache, settings, owner, facts: &facts, pods: &pods }.release(released).await
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
    let key = &context.settings.master_key;
    let told = join_all(untold.iter().map(|(name, pod)| async move {
        let told = relay_api::flush(**pod, &key.token(owner, name), &context.open_writes).await;
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
        context.reports.hurry(&(owner.clone(), name.clone()));
    }
    flush::handled(due, before, deaf)
}

/// Has those relays asked at once that were handed a config.
fn ask_again(context: &Context, owner: &Owner, facts: &Facts, applied: &Applied) {
    let serving = behind(facts, applied).map(|(name, _)| name);
    let closing = applied.leaving.iter().filter(|relay| relay.phase == Phase::Closing).map(|relay| &relay.name);
    for name in serving.chain(closing) {
        context.reports.hurry(&(owner.clone(), name.clone()));
    }
}

/// The relays that serve and did not have their config yet when they were last heard, with what they said.
fn behind<'a>(facts: &'a Facts, applied: &'a Applied) -> impl Iterator<Item = (&'a RelayName, &'a RelayStatus)> {
    applied.relays.iter().filter_map(|relay| {
        let report = facts.relays.get(&relay.name)?.report.as_ref()?;
        (report.config_revision < relay.revision).then_some((&relay.name, report))
    })
}

/// How soon a relay is to be handed its config once more, should that have failed. None: all have theirs, refuse it, or get
/// it with a new pod.
fn hand_over_again(facts: &Facts, applied: &Applied) -> Option<Duration> {
    let takes = |report: &RelayStatus| report.contract_version == CONTRACT_VERSION && report.config_error.is_none();
    behind(facts, applied).any(|(_, report)| takes(report)).then_some(HAND_OVER)
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
async fn write_status(
    resource: &BackupMX,
    reading: Reading<'_>,
    context: &Context,
    new: BackupMXStatus,
) -> Result<Option<Duration>, Error> {
    write_status_after(resource, reading, context, new, Less::Delivered).await
}

/// The same, where less may be held for that reason.
async fn write_status_after(
    resource: &BackupMX,
    reading: Reading<'_>,
    context: &Context,
    new: BackupMXStatus,
    less: Less,
) -> Result<Option<Duration>, Error> {
    let new = BackupMXStatus { domains_text: status::domains::line(&resource.spec.domains), ..new };
    let uid = resource.uid().unwrap_or_default();
    let old = last(resource, context);
    let since = context.memory.lock().get(&uid).and_then(|memory| Some(memory.written.as_ref()?.at.elapsed()));
    let since = since.unwrap_or(Duration::MAX);
    if !status::worth_writing(&old, &new, since) {
        // What is not the case any more is told anew when it is again.
        let still = events::told(&validate::owner(resource), &old, &new, less);
        context.memory.lock().entry(uid).or_default().told.keep(&still);
        return Ok(status::worth_later(&old, &new, since));
    }
    tell(resource, context, &old, &new, less).await;
    let done = match reading {
        Reading::Whole => put_status(resource, context, &new).await.map(|()| Taken::Yes),
        Reading::Unreadable(_) => malformed::write(context, &resource.metadata, &json!(new)).await,
    };
    match done {
        // Deleted a moment ago: nobody is left to be told.
        Err(error) if error.is_gone() => return Ok(None),
        done => match done? {
            Taken::Yes => {}
            Taken::No => return Ok(Some(malformed::AGAIN)),
        },
    }
    let written = Written { at: Instant::now(), status: new, made_from: resource.resource_version() };
    let mut memories = context.memory.lock();
    let memory = memories.entry(uid).or_default();
    memory.written = Some(written);
    memory.told.taken();
    Ok(None)
}

async fn put_status(resource: &BackupMX, context: &Context, new: &BackupMXStatus) -> Result<(), Error> {
    let api: Api<BackupMX> = Api::namespaced(context.client.clone(), &resource.namespace().unwrap_or_default());
    let document = json!({"apiVersion": "backupmx.io/v1alpha1", "kind": "BackupMX", "status": new});
    let params = PatchParams::apply(labels::MANAGER).force();
    let done = api.patch_status(&resource.name_any(), &params, &Patch::Apply(&document)).await;
    done.map(|_| ()).map_err(Error::kube("write the status"))
}

/// Tells what has changed, before the status says it: an operator that is killed between the two tells it again, and not
/// never. What was told of a status that the API server did not take is not told at every try.
async fn tell(resource: &BackupMX, context: &Context, old: &BackupMXStatus, new: &BackupMXStatus, less: Less) {
    let told = events::told(&validate::owner(resource), old, new, less);
    let untold = context.memory.lock().entry(resource.uid().unwrap_or_default()).or_default().told.news(told);
    context.events.publish_first(&resource.object_ref(&()), untold).await;
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
