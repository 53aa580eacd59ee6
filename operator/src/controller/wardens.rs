//! Looks after mail that no pass looks after: claims without their BackupMX, and claims that somebody deletes, by
//! themselves or with their namespace.
//! Nothing of theirs is taken away but at a person's word.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use backupmx_crds::{BackupMX, BackupMXStatus};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, ObjectMeta},
};
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::{Context, copies, unreadable};
use crate::{
    apply::{Applier, is_leaving},
    cache::Cache,
    conflict::Life,
    error::Error,
    events::{
        self,
        deleted::{self, Deleted, Keeper},
        orphans,
    },
    labels,
    lifecycle::Phase,
    plan, poll,
    validated::{Owner, RelayName},
};

/// How often it is looked, though nothing has changed.
const EVERY: Duration = Duration::from_secs(60);
/// How long after a change: others follow it, and the watches of claims and of resources need not be equally quick.
const AFTER: Duration = Duration::from_secs(2);
/// How long an Event lasts before the API server forgets it: then it is told again.
const LASTS: Duration = Duration::from_secs(3600);

/// Looks until it is dropped.
pub(super) async fn run(context: &Context) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: HashMap<String, Instant> = HashMap::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = context.cache.changed.notified() => sleep(AFTER).await,
        }
        told.retain(|_, since| since.elapsed() < LASTS);
        claims(context, &mut told).await;
        let_go(context).await;
        deleted_ones(context, &mut told).await;
        let resources = context.cache.resources.state();
        context.recipients.keep(resources.iter().filter_map(|one| one.0.as_ref().ok()));
    }
}

async fn claims(context: &Context, told: &mut HashMap<String, Instant>) {
    let cache = &context.cache;
    let living = living(cache);
    for claim in orphans::orphans(&cache.claims.state(), &cache.deployments.state(), &living) {
        // Of one that is deleted its deletion is told, which says the same and more.
        if is_leaving(claim.as_ref()) {
            continue;
        }
        let Some(uid) = claim.uid().filter(|uid| !told.contains_key(uid)) else { continue };
        let held = key(&claim).and_then(|key| context.reports.last(&key)).map(|report| plan::held(&report));
        context.events.publish(&claim.object_ref(&()), vec![orphans::orphaned(&claim, held)]);
        told.insert(uid, Instant::now());
    }
}

fn living(cache: &Cache) -> BTreeSet<orphans::Life> {
    cache.resources.state().iter().filter_map(|one| Some((one.namespace()?, one.uid()?))).collect()
}

/// Takes away what a person has let go.
async fn let_go(context: &Context) {
    let claims = context.cache.claims.state();
    let living = living(&context.cache);
    context.metrics.claims_left.set(i64::try_from(orphans::left(&claims, &living)).unwrap_or(i64::MAX));
    let (copies, claims): (Vec<_>, Vec<_>) =
        orphans::released(&claims, &living).into_iter().partition(|claim| labels::is_copy(claim.as_ref()));
    for claim in copies {
        if let Err(error) = copies::let_go_of(context, &claim).await {
            let (namespace, name) = (claim.namespace().unwrap_or_default(), claim.name_any());
            tracing::warn!(namespace, name, %error, "failed to take a copy away that a person has let go");
        }
    }
    let owners: BTreeSet<Owner> = claims.iter().filter_map(|claim| labels::owner_of(claim.as_ref())).collect();
    for owner in owners {
        if let Err(error) = let_go_of(context, &owner).await {
            tracing::warn!(%owner, %error, "failed to take away what a person has let go");
        }
    }
}

async fn let_go_of(context: &Context, owner: &Owner) -> Result<(), Error> {
    // The cache may lag behind, and what is gone cannot be brought back.
    let api: Api<BackupMX> = Api::namespaced(context.client.clone(), &owner.namespace);
    let found = api.list_metadata(&ListParams::default().fields(&format!("metadata.name={}", owner.name))).await;
    let found = found.map_err(Error::kube("look for a BackupMX"))?;
    if found.items.iter().any(|one| one.uid().as_ref() == Some(&owner.uid)) {
        return Ok(());
    }
    let ask = context.dereference();
    let metadata = ObjectMeta {
        namespace: Some(owner.namespace.clone()),
        name: Some(owner.name.clone()),
        uid: Some(owner.uid.clone()),
        ..ObjectMeta::default()
    };
    let Some(gone) = unreadable::leaving(&metadata, &Value::Null) else { return Ok(()) };
    let checked = ask.leaving(&gone);
    let (facts, pods) = ask.facts(&checked, Life::Leaving, &BackupMXStatus::default()).await;
    let mut planned =
        plan::plan(&checked, &facts, &context.settings).map_err(|error| Error::Document(error.to_string()))?;
    let over = plan::is_over(&planned);
    // Another of the same name may have objects of these names by now.
    let own = |name: &RelayName| {
        let claim = facts.relays.get(name).and_then(|live| live.claim.as_ref());
        claim.and_then(labels::owner_of).as_ref() == Some(owner)
    };
    planned.leaving.retain(|relay| relay.retirement.phase == Phase::Gone && own(&relay.name));
    tracing::info!(%owner, relays = planned.leaving.len(), "a person has let go what the resource left");
    for (relay, messages) in plan::let_go(&planned, &facts) {
        tracing::warn!(%owner, %relay, messages, "held mail is let go, as was ordered");
        // The resource is gone: what it left is all that it can be told of.
        let claim = facts.relays.get(&relay).and_then(|live| live.claim.as_ref());
        if let Some(claim) = claim {
            context.events.publish_first(&claim.object_ref(&()), vec![events::let_go(&relay, messages)]).await;
        }
    }
    let (client, cache, settings) = (&context.client, &context.cache, &context.settings);
    let writes = &context.open_writes;
    let applier = Applier { client, writes, cache, settings, owner, facts: &facts, pods: &pods };
    if over {
        // The last of them: the records and what all relays shared go too.
        return applier.finish(planned).await;
    }
    (planned.mx, planned.addresses, planned.mx_deleted) = Default::default();
    applier.apply(planned).await.failed.map_or(Ok(()), Err)
}

/// Tells of every claim that somebody deletes, whether it has its BackupMX or not: about the claim, or where its whole
/// namespace goes about that, as nothing can be written in it any more.
async fn deleted_ones(context: &Context, told: &mut HashMap<String, Instant>) {
    let mut namespaces: BTreeMap<String, Vec<Deleted>> = BTreeMap::new();
    for claim in context.cache.claims.state().into_iter().filter(|claim| deleted::is_kept(claim)) {
        // Of a relay that has yet to be heard it is not known that it says nothing.
        let Some(one) = judge(context, claim) else { continue };
        namespaces.entry(one.claim.namespace().unwrap_or_default()).or_default().push(one);
    }
    for (name, list) in namespaces {
        let key = |one: &Deleted| format!("deleted/{}", one.claim.uid().unwrap_or_default());
        if list.iter().all(|one| told.contains_key(&key(one))) {
            continue;
        }
        match Api::<Namespace>::all(context.client.clone()).get_opt(&name).await {
            Ok(Some(namespace)) if is_leaving(&namespace) => {
                let Some(event) = deleted::of_namespace(&list) else { continue };
                context.events.publish(&namespace.object_ref(&()), vec![event]);
                told.extend(list.iter().map(|one| (key(one), Instant::now())));
            }
            Ok(_) => {
                for one in list.iter().filter(|one| !told.contains_key(&key(one))).collect::<Vec<_>>() {
                    context.events.publish(&one.claim.object_ref(&()), vec![deleted::told(one)]);
                    told.insert(key(one), Instant::now());
                }
            }
            Err(error) => tracing::warn!(name, %error, "failed to look whether a namespace is being deleted"),
        }
    }
}

/// The relay that a claim was made for.
fn key(claim: &PersistentVolumeClaim) -> Option<poll::roster::Key> {
    Some((labels::owner_of(claim)?, claim.labels().get(labels::RELAY)?.parse().ok()?))
}

/// What is known of a claim that is being deleted. None: its relay has yet to be heard.
fn judge(context: &Context, claim: Arc<PersistentVolumeClaim>) -> Option<Deleted> {
    let cache = &context.cache;
    if labels::is_copy(claim.as_ref()) {
        return Some(Deleted { claim, held: None, keeper: Keeper::Elsewhere });
    }
    let key = key(&claim)?;
    // Without a pod there is nobody to be heard.
    let has_pod =
        || poll::targets(&cache.pods.state(), &cache.resources.state()).iter().any(|target| target.key() == key);
    if context.reports.awaits(&key) && has_pod() {
        return None;
    }
    let resource = cache.resources.state().into_iter().find(|one| one.uid().as_ref() == Some(&key.0.uid));
    let report = context.reports.last(&key).map(|report| plan::held(&report));
    // What was said last counts where it was mail: that there was none says nothing of damaged parts.
    let said = resource.as_ref().and_then(|one| one.0.as_ref().ok()?.status.as_ref()).and_then(|status| {
        let relay = status.relays.iter().find(|known| known.name == key.1.as_str())?;
        relay.queue.as_ref().map(|queue| queue.messages).filter(|messages| *messages > 0)
    });
    let place = (claim.namespace(), claim.name_any());
    let served = || cache.deployments.state().iter().any(|one| (one.namespace(), one.name_any()) == place);
    let keeper = match resource {
        Some(_) => Keeper::Resource,
        // A relay's Deployment and its claim have one name.
        None if served() => Keeper::Relay,
        None => Keeper::Nobody,
    };
    Some(Deleted { claim, held: report.or(said), keeper })
}
