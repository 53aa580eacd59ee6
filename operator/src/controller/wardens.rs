//! Looks after mail that no pass looks after: claims without their BackupMX, and namespaces that are being deleted.
//! Nothing of theirs is taken away but at a person's word.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use backupmx_crds::{BackupMX, BackupMXStatus};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, ObjectMeta},
};
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Context, unreadable};
use crate::{
    apply::{Applier, is_leaving},
    conflict::Life,
    error::Error,
    events::orphans,
    labels,
    lifecycle::Phase,
    plan,
    validated::{Owner, RelayName},
};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(60);
/// How long an Event lasts before the API server forgets it: then it is told again.
const LASTS: Duration = Duration::from_secs(3600);

/// Looks until it is dropped.
pub(super) async fn run(context: &Context) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: HashMap<String, Instant> = HashMap::new();
    loop {
        ticks.tick().await;
        told.retain(|_, since| since.elapsed() < LASTS);
        claims(context, &mut told).await;
        let_go(context).await;
        namespaces(context, &mut told).await;
    }
}

async fn claims(context: &Context, told: &mut HashMap<String, Instant>) {
    let cache = &context.cache;
    let resources = cache.resources.state();
    let known = resources.iter().map(|one| (one.namespace().unwrap_or_default(), one.name_any())).collect();
    for claim in orphans::orphans(&cache.claims.state(), &cache.deployments.state(), &known) {
        let Some(uid) = claim.uid().filter(|uid| !told.contains_key(uid)) else { continue };
        let relay = claim.labels().get(labels::RELAY).and_then(|relay| relay.parse().ok());
        let key = claim.labels().get(labels::OWNER_UID).cloned().zip(relay);
        let held = key.and_then(|key| context.reports.last(&key)).map(|report| plan::held(&report));
        context.events.publish(&claim.object_ref(&()), vec![orphans::orphaned(&claim, held)]);
        told.insert(uid, Instant::now());
    }
}

/// Takes away what a person has let go.
async fn let_go(context: &Context) {
    let claims = context.cache.claims.state();
    let living: BTreeSet<String> = context.cache.resources.state().iter().filter_map(|one| one.uid()).collect();
    context.metrics.claims_left.set(i64::try_from(orphans::left(&claims, &living)).unwrap_or(i64::MAX));
    let owners: BTreeSet<Owner> =
        orphans::released(&claims, &living).iter().filter_map(|claim| labels::owner_of(claim.as_ref())).collect();
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
    let (client, cache, settings) = (&context.client, &context.cache, &context.settings);
    let applier = Applier { client, cache, settings, owner, facts: &facts, pods: &pods };
    if over {
        // The last of them: the records and what all relays shared go too.
        return applier.finish(planned).await;
    }
    (planned.mx, planned.addresses, planned.mx_deleted) = Default::default();
    applier.apply(planned).await.map(|_| ())
}

async fn namespaces(context: &Context, told: &mut HashMap<String, Instant>) {
    // In a namespace that is being deleted everything is: only those are asked after.
    let resources = context.cache.resources.state();
    let claims = context.cache.claims.state();
    let leaving: BTreeSet<String> =
        claims.iter().filter(|claim| is_leaving(claim.as_ref())).filter_map(|claim| claim.namespace()).collect();
    for name in leaving {
        if told.contains_key(&name) {
            continue;
        }
        let namespace = match Api::<Namespace>::all(context.client.clone()).get_opt(&name).await {
            Ok(Some(namespace)) if is_leaving(&namespace) => namespace,
            Ok(_) => continue,
            Err(error) => {
                tracing::warn!(name, %error, "failed to look whether a namespace is being deleted");
                continue;
            }
        };
        let here = |object: &Option<String>| object.as_deref() == Some(name.as_str());
        let statuses: Vec<BackupMXStatus> = resources
            .iter()
            .filter(|one| here(&one.namespace()))
            .filter_map(|one| one.0.as_ref().ok()?.status.clone())
            .collect();
        let volumes = claims.iter().filter(|claim| here(&claim.namespace()));
        let volumes = volumes.filter_map(|claim| claim.spec.as_ref()?.volume_name.clone()).collect();
        if let Some(event) = orphans::terminating(&statuses.iter().collect::<Vec<_>>(), &volumes) {
            context.events.publish(&namespace.object_ref(&()), vec![event]);
            told.insert(name, Instant::now());
        }
    }
}
