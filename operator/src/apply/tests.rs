//! What is sent, against an API server that notes every request but reads, and answers a write with what it holds.

use std::{collections::BTreeMap, sync::Arc};

use http_body_util::BodyExt as _;
use hyper::{Method, Request, Response};
use kube::{
    client::Body,
    core::DeserializeGuard,
    runtime::{reflector, watcher::Event},
};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

use super::*;
use crate::{desired::fixture, listed::Listing, plan::tests::Cluster};

/// One request: its method, its path, its body.
type Sent = Arc<Mutex<Vec<(String, String, Value)>>>;

/// Which documents a quota forbids.
type Refused = fn(&Value) -> bool;

fn server(refused: Refused) -> (Client, Sent) {
    let sent = Sent::default();
    let notes = sent.clone();
    let service = service_fn(move |request: Request<Body>| {
        let notes = notes.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let document = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let done = br#"{"apiVersion":"v1","kind":"Status","metadata":{},"status":"Success"}"#;
            let answer = match head.method {
                Method::DELETE if head.uri.path().contains("/persistentvolumeclaims/") => {
                    held().to_string().into_bytes()
                }
                Method::DELETE => done.to_vec(),
                _ => body.to_vec(),
            };
            if head.method == Method::GET {
                let nothing = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": []});
                return Ok::<_, BoxError>(Response::new(Body::from(nothing.to_string().into_bytes())));
            }
            if refused(&document) {
                let status = json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
                                    "reason": "Forbidden", "message": "exceeded quota", "code": 403});
                let answer = Response::builder().status(403).body(Body::from(status.to_string().into_bytes()))?;
                return Ok(answer);
            }
            notes.lock().push((head.method.to_string(), head.uri.path().to_owned(), document));
            Ok::<_, BoxError>(Response::new(Body::from(answer)))
        }
    });
    (Client::new(service, "default"), sent)
}

/// A claim that was deleted, and is kept by finalizers.
fn held() -> Value {
    let finalizers = ["kubernetes.io/pvc-protection", labels::HELD_MAIL];
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "claim", "uid": "live", "resourceVersion": "8", "finalizers": finalizers},
    })
}

/// A cache that holds the objects among `documents` that are of its kind, with what an API server would add.
fn filled<K>(documents: &[Value]) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + 'static,
{
    let (store, mut writer) = reflector::store();
    writer.apply_watcher_event(&Event::Init);
    for document in documents.iter().filter(|document| document["kind"] == K::kind(&()).as_ref()) {
        let mut live = document.clone();
        live["metadata"]["resourceVersion"] = json!("7");
        live["metadata"]["uid"] = json!("live");
        if live["metadata"]["finalizers"].is_array() {
            let ours = json!({"f:metadata": {"f:finalizers": {"v:\"backupmx.io/held-mail\"": {}}}});
            live["metadata"]["managedFields"] =
                json!([{"manager": labels::MANAGER, "operation": "Apply", "fieldsV1": ours}]);
        }
        writer.apply_watcher_event(&Event::InitApply(serde_json::from_value(live).unwrap()));
    }
    writer.apply_watcher_event(&Event::<K>::InitDone);
    store
}

fn cache(documents: &[Value]) -> Cache {
    let (resources, _) = reflector::store::<DeserializeGuard<backupmx_crds::BackupMX>>();
    Cache {
        resources,
        claims: filled(documents),
        config_maps: filled(documents),
        deployments: filled(documents),
        services: filled(documents),
        pods: filled(documents),
        service_accounts: filled(documents),
        network_policies: filled(documents),
        budgets: filled(documents),
        endpoints: Some(filled(documents)),
        listed: Listing::default().all(),
        foreign_config_maps: reflector::store().0,
        classes: reflector::store().0,
    }
}

async fn apply(cluster: &Cluster, documents: &[Value]) -> (Result<Applied, Error>, Vec<(String, String, Value)>) {
    apply_refused(cluster, documents, |_| false).await
}

async fn apply_refused(
    cluster: &Cluster,
    documents: &[Value],
    refused: Refused,
) -> (Result<Applied, Error>, Vec<(String, String, Value)>) {
    let (client, sent) = server(refused);
    let (cache, settings) = (cache(documents), fixture::settings());
    let applier = Applier {
        client: &client,
        cache: &cache,
        settings: &settings,
        owner: &cluster.resource.owner,
        facts: &cluster.facts,
        pods: &BTreeMap::new(),
    };
    let applied = applier.apply(cluster.plan()).await;
    let sent = std::mem::take(&mut *sent.lock());
    (applied, sent)
}

fn documents(sent: &[(String, String, Value)]) -> Vec<Value> {
    sent.iter().map(|(_, _, document)| document.clone()).collect()
}

#[tokio::test]
async fn everything_is_applied_once_and_then_nothing_is_sent() {
    let cluster = Cluster::settled();
    let (applied, sent) = apply(&cluster, &[]).await;
    assert_eq!(applied.unwrap().relays.len(), 2);
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for (method, _, document) in &sent {
        assert_eq!(method, "PATCH");
        *kinds.entry(document["kind"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let wanted = [
        ("ConfigMap", 2),
        ("DNSEndpoint", 4),
        ("Deployment", 2),
        ("NetworkPolicy", 1),
        ("PersistentVolumeClaim", 2),
        ("PodDisruptionBudget", 1),
        ("Service", 2),
        ("ServiceAccount", 1),
    ];
    assert_eq!(kinds, wanted.map(|(kind, count)| (kind.to_owned(), count)).into());
    let (again, quiet) = apply(&cluster, &documents(&sent)).await;
    assert_eq!(again.unwrap().relays.len(), 2);
    assert_eq!(quiet, [], "what is right already is not written");
}

#[tokio::test]
async fn only_what_changed_is_sent() {
    let mut cluster = Cluster::settled();
    let (_, sent) = apply(&cluster, &[]).await;
    cluster.resource.delivery.max_connections = 3;
    let (_, changed) = apply(&cluster, &documents(&sent)).await;
    let paths: Vec<&str> = changed.iter().map(|(_, path, _)| path.as_str()).collect();
    assert_eq!(paths.len(), 2, "{paths:?}");
    assert!(paths.iter().all(|path| path.contains("/configmaps/")), "{paths:?}");
}

#[tokio::test]
async fn another_s_object_is_not_touched_and_keeps_nothing_else_from_being_done() {
    let mut cluster = Cluster::settled();
    let (_, sent) = apply(&cluster, &[]).await;
    let mut foreign = documents(&sent);
    for document in foreign.iter_mut().filter(|document| document["kind"] == "Service") {
        document["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "a person"});
    }
    cluster.resource.delivery.max_connections = 3;
    let (applied, sent) = apply(&cluster, &foreign).await;
    assert!(matches!(applied, Err(Error::NotOurs { kind, .. }) if kind == "Service"));
    let paths: Vec<&str> = sent.iter().map(|(_, path, _)| path.as_str()).collect();
    assert_eq!(paths.len(), 2, "{paths:?}");
    assert!(paths.iter().all(|path| path.contains("/configmaps/")), "what is not about it is done: {paths:?}");
}

#[tokio::test]
async fn a_budget_goes_with_the_second_relay() {
    let mut cluster = Cluster::settled();
    let (_, sent) = apply(&cluster, &[]).await;
    cluster.resource.relays.pop();
    let (_, changed) = apply(&cluster, &documents(&sent)).await;
    let deleted: Vec<&str> =
        changed.iter().filter(|(method, _, _)| method == "DELETE").map(|(_, path, _)| path.as_str()).collect();
    assert_eq!(deleted.len(), 1, "a relay that leaves is not deleted before it has drained: {deleted:?}");
    assert!(deleted[0].contains("/poddisruptionbudgets/"));
}

#[tokio::test]
async fn a_claim_is_let_go_of_only_when_its_relay_is_gone() {
    let mut cluster = Cluster::settled();
    let (_, sent) = apply(&cluster, &[]).await;
    cluster.facts.life = crate::conflict::Life::Leaving;
    let on_claims = |sent: &[(String, String, Value)]| -> Vec<(String, Value)> {
        sent.iter()
            .filter(|(_, path, _)| path.contains("/persistentvolumeclaims/"))
            .map(|(method, _, body)| (method.clone(), body["metadata"]["finalizers"].clone()))
            .collect()
    };
    let (_, begun) = apply(&cluster, &documents(&sent)).await;
    let kept = ("PATCH".to_owned(), json!([labels::HELD_MAIL]));
    assert_eq!(on_claims(&begun), [kept.clone(), kept]);
    for live in cluster.facts.relays.values_mut() {
        let annotations = live.claim.as_mut().unwrap().metadata.annotations.as_mut().unwrap();
        annotations.insert(labels::RELEASE.into(), "discard".into());
    }
    let (_, over) = apply(&cluster, &documents(&sent)).await;
    let others = json!(["kubernetes.io/pvc-protection"]);
    let noted = ("PATCH".to_owned(), json!([labels::HELD_MAIL]));
    let one = [noted, ("DELETE".to_owned(), json!(null)), ("PATCH".to_owned(), others)];
    assert_eq!(on_claims(&over), [one.clone(), one].concat());
}

#[tokio::test]
async fn what_is_there_is_never_made_anew() {
    let mut cluster = Cluster::settled();
    let (_, sent) = apply(&cluster, &[]).await;
    assert!(sent.iter().all(|(_, _, document)| document["metadata"]["uid"].is_null()));
    cluster.resource.delivery.max_connections = 3;
    let (_, changed) = apply(&cluster, &documents(&sent)).await;
    assert!(!changed.is_empty());
    assert!(changed.iter().all(|(_, _, document)| document["metadata"]["uid"] == "live"));
}

#[tokio::test]
async fn a_claim_that_may_not_grow_keeps_nothing_else_from_being_done() {
    let mut cluster = Cluster::settled();
    let (_, sent) = apply(&cluster, &[]).await;
    cluster.resource.domains.pop();
    cluster.resource.storage.size = backupmx_relay_config::ByteSize::mebibytes(20 << 10);
    for live in cluster.facts.relays.values_mut() {
        live.expansion = crate::desired::claim::Expansion::Allowed;
        live.claim.as_mut().unwrap().status =
            serde_json::from_value(json!({"phase": "Bound", "capacity": {"storage": "10Gi"}})).unwrap();
    }
    let grown = |document: &Value| document["spec"]["resources"]["requests"]["storage"] == "20Gi";
    let (free, all) = apply(&cluster, &documents(&sent)).await;
    assert!(free.is_ok() && all.iter().any(|(_, _, document)| grown(document)));
    let (applied, changed) = apply_refused(&cluster, &documents(&sent), grown).await;
    assert!(matches!(applied, Err(Error::Kube { action, .. }) if action.contains("PersistentVolumeClaim")));
    let of = |kind: &str| changed.iter().filter(|(_, path, _)| path.contains(kind)).collect::<Vec<_>>();
    assert_eq!(of("/configmaps/").len(), 2);
    let noted = of("/persistentvolumeclaims/");
    assert_eq!(noted.len(), 2);
    for (_, _, document) in noted {
        assert!(document["metadata"]["annotations"][labels::RETIRING].as_str().unwrap().contains("example.net"));
    }
}

#[tokio::test]
async fn an_order_to_let_go_does_not_outlive_what_it_was_for() {
    let mut cluster = Cluster::settled();
    let (_, sent) = apply(&cluster, &[]).await;
    let mut ordered = documents(&sent);
    for document in ordered.iter_mut().filter(|document| document["kind"] == "PersistentVolumeClaim") {
        document["metadata"]["annotations"][labels::RELEASE] = json!("discard");
    }
    let forgotten = |sent: &[(String, String, Value)]| {
        let notes = sent.iter().filter_map(|(_, _, document)| document["metadata"]["annotations"].as_object());
        notes.filter(|notes| notes.get(labels::RELEASE) == Some(&Value::Null)).count()
    };
    let (_, changed) = apply(&cluster, &ordered).await;
    assert_eq!(forgotten(&changed), 2);
    cluster.resource.domains.pop();
    let (_, leaving) = apply(&cluster, &ordered).await;
    assert_eq!(forgotten(&leaving), 0, "it is for the domain that leaves");
}
