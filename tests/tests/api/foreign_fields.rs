//! The operator owns the fields that it applies, and no others: what a person adds stays, what a person changes of its
//! own is put back.

use std::time::Duration;

use backupmx_tests::LONG;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::ResourceExt;
use serde_json::json;

use crate::common::{Stage, resource};

#[test]
fn what_a_person_adds_stays() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let relay = stage.settled();
    let added = json!({"metadata": {"annotations": {"example.test/note": "mine"}, "labels": {"team": "mail"}}});
    stage.mail.merge::<Service>(&relay, &added);
    stage.proxy.stays_quiet(Duration::from_secs(3));
    // A change of what is ours is written, and leaves it alone too.
    stage.mail.apply(&resource("example", "example.org", "  service: {annotations: {example.test/pool: one}}\n"));
    let service = stage.mail.wait(&relay, "has the new annotation", LONG, |service: &Service| {
        service.annotations().contains_key("example.test/pool")
    });
    assert_eq!(service.annotations()["example.test/note"], "mine");
    assert_eq!(service.labels()["team"], "mail");
}

#[test]
fn what_a_person_changes_of_ours_is_put_back() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let relay = stage.settled();
    stage.mail.merge::<Service>(&relay, &json!({"spec": {"externalTrafficPolicy": "Cluster"}}));
    stage.mail.wait(&relay, "keeps the clients' addresses again", LONG, |service: &Service| {
        service.spec.as_ref().unwrap().external_traffic_policy.as_deref() == Some("Local")
    });
}

#[test]
fn what_is_no_longer_wanted_goes() {
    let stage = Stage::new();
    let _operator = stage.operator();
    stage.mail.apply(&resource("example", "example.org", "  service: {annotations: {example.test/pool: one}}\n"));
    let relay = stage.relay("example", "a");
    let has = |service: &Service| service.annotations().contains_key("example.test/pool");
    stage.mail.wait(&relay, "has the annotation", LONG, has);
    stage.mail.apply(&resource("example", "example.org", ""));
    stage.mail.wait(&relay, "has the annotation no more", LONG, |service| !has(service));
}

#[test]
fn what_a_person_deletes_comes_back() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let relay = stage.settled();
    let config = stage.mail.names::<ConfigMap>().remove(0);
    let before: ConfigMap = stage.mail.get(&config).unwrap();
    stage.mail.delete::<ConfigMap>(&config);
    let after = stage.mail.wait(&config, "is made anew", LONG, |map: &ConfigMap| map.uid() != before.uid());
    assert!(after.data.unwrap()["relay.yaml"].contains("example.org"));
    stage.mail.delete::<Service>(&relay);
    stage.mail.wait(&relay, "is made anew", LONG, |_: &Service| true);
}
