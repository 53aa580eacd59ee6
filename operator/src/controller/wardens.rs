//! Looks after mail that no pass looks after: claims without their BackupMX, and namespaces that are being deleted.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use backupmx_crds::BackupMXStatus;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Resource, ResourceExt};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Context;
use crate::{apply::is_leaving, events::orphans, labels, plan};

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
        context.events.publish(&claim.object_ref(&()), vec![orphans::orphaned(&claim, held)]).await;
        told.insert(uid, Instant::now());
    }
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
            context.events.publish(&namespace.object_ref(&()), vec![event]).await;
            told.insert(name, Instant::now());
        }
    }
}
