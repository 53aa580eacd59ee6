//! A resource that cannot be read, stored under an older and laxer schema: the others go on beside it, and it can be
//! deleted.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG,
    cluster::{Cluster, condition},
    wait_until,
};
use serde_json::{Value, json};

use crate::common::{Stage, config, resource};

const DEFINITION: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/backupmxes.backupmx.io";

/// Has the API server take whatever calls itself a BackupMX, until it is defined again.
fn take_anything(cluster: &Cluster) {
    let kube = cluster.kube();
    let mut lax: Value = kube.request("GET", DEFINITION, &json!(null)).unwrap();
    lax["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    kube.request("PUT", DEFINITION, &lax).unwrap();
}

#[test]
fn the_good_one_beside_it_goes_on() {
    let cluster = Cluster::disturbed();
    let stage = Stage::on(&cluster);
    let kube = cluster.kube();
    take_anything(&cluster);
    let path = format!("/apis/backupmx.io/v1alpha1/namespaces/{}/backupmxes", stage.mail.name());
    let malformed = json!({
        "apiVersion": "backupmx.io/v1alpha1", "kind": "BackupMX", "metadata": {"name": "malformed"},
        "spec": {"domains": 7, "primary": "somewhere"},
    });
    // The new schema is in force a moment after it was written.
    wait_until("the lax schema is in force", LONG, || kube.request("POST", &path, &malformed).is_ok());
    cluster.define();

    let operator = stage.operator();
    stage.mail.apply(&resource("good", "example.org", ""));
    stage.wait_observed("good");
    stage.relay("good", "a");
    let seen = r#"backupmx_operator_passes_total{result="malformed"}"#;
    wait_until("it is counted", LONG, || operator.metric(seen).unwrap_or(0.0) >= 1.0);
    assert!(operator.log().contains("a resource cannot be read"));
    kube.request("DELETE", &format!("{path}/malformed"), &json!({})).unwrap();
    wait_until("it is gone", LONG, || kube.request("GET", &format!("{path}/malformed"), &json!(null)).is_err());
    assert!(stage.mail.get::<BackupMX>("good").is_some());
}

#[test]
fn it_keeps_the_domain_that_its_relays_serve() {
    let cluster = Cluster::disturbed();
    let stage = Stage::on(&cluster);
    let kube = cluster.kube();
    let operator = stage.operator();
    stage.mail.apply(&resource("older", "example.org", ""));
    stage.wait_observed("older");
    let born = stage.mail.get::<BackupMX>("older").unwrap().metadata.creation_timestamp.unwrap().0;
    wait_until("a second has passed", LONG, || k8s_openapi::jiff::Timestamp::now().as_second() > born.as_second());
    take_anything(&cluster);
    let path = format!("/apis/backupmx.io/v1alpha1/namespaces/{}/backupmxes/older", stage.mail.name());
    wait_until("it is malformed", LONG, || {
        let mut older: Value = kube.request("GET", &path, &json!(null)).unwrap();
        older["spec"]["domains"] = json!(7);
        kube.request("PUT", &path, &older).is_ok()
    });
    cluster.define();
    let seen = r#"backupmx_operator_passes_total{result="malformed"}"#;
    wait_until("it is seen", LONG, || operator.metric(seen).unwrap_or(0.0) >= 1.0);
    stage.mail.apply(&resource("younger", "example.org", "").replace("mx1.", "mx2."));
    let younger = stage.mail.wait_condition("younger", "DomainConflict", "True", "OwnedByAnother", LONG);
    let message = condition(&younger, "DomainConflict").unwrap().message;
    assert_eq!(message, format!("example.org is {}/older's", stage.mail.name()));
    assert_eq!(config(&stage, "younger", "a").unwrap()["tenants"][0]["accept"], "Defer");
    assert_eq!(config(&stage, "older", "a").unwrap()["tenants"][0]["accept"], "Active");
}
