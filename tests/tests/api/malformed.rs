//! A resource that cannot be read, stored under an older and laxer schema: the others go on beside it, it is kept up by what
//! could be used last, and it can be deleted.

use std::time::Duration;

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG,
    cluster::{Cluster, condition},
    stays, wait_until, wait_value,
};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::{Value, json};

use crate::{
    common::{Stage, config, resource, retiring},
    upkeep::is_repaired,
};

const DEFINITION: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/backupmxes.backupmx.io";

fn path(stage: &Stage) -> String {
    format!("/apis/backupmx.io/v1alpha1/namespaces/{}/backupmxes", stage.mail.name())
}

/// Does what only a lax schema allows, under one.
fn laxly(cluster: &Cluster, done: impl Fn() -> bool) {
    let kube = cluster.kube();
    let mut lax: Value = kube.request("GET", DEFINITION, &json!(null)).unwrap();
    lax["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    kube.request("PUT", DEFINITION, &lax).unwrap();
    // The new schema is in force a moment after it was written.
    wait_until("the lax schema is in force", LONG, done);
    cluster.define();
}

/// Whether the resource's status has that of its being malformed.
fn says(seen: &Value, kind: &str, status: &str) -> bool {
    let mut list = seen["status"]["conditions"].as_array().into_iter().flatten();
    list.any(|one| one["type"] == kind && one["status"] == status && one["reason"] == "Malformed")
}

#[test]
fn the_good_one_beside_it_goes_on() {
    let cluster = Cluster::disturbed();
    let stage = Stage::on(&cluster);
    let (kube, path) = (cluster.kube(), path(&stage));
    let malformed = json!({
        "apiVersion": "backupmx.io/v1alpha1", "kind": "BackupMX", "metadata": {"name": "malformed"},
        "spec": {"domains": 7, "primary": "somewhere"},
    });
    laxly(&cluster, || kube.request("POST", &path, &malformed).is_ok());

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
fn what_it_says_of_its_records_counts_when_it_is_deleted() {
    let cluster = Cluster::disturbed();
    let stage = Stage::on(&cluster);
    let mut operator = stage.operator();
    stage.mail.apply(&resource("example", "example.org", "  dns: {mode: Manual}\n"));
    let relay = stage.relay("example", "a");
    stage.wait_observed("example");
    operator.stop();
    // Merge patches are not what this client sends: the object goes back as a whole.
    let (kube, one) = (cluster.kube(), format!("{}/example", path(&stage)));
    laxly(&cluster, || {
        let mut object: Value = kube.request("GET", &one, &json!(null)).unwrap();
        object["spec"]["domains"] = json!(7);
        kube.request("PUT", &one, &object).is_ok()
    });
    // A DNS that fails does not say that the records are gone.
    stage.dns.set_mode(backupmx_tests::Mode::ServFail);
    operator.start_again();
    operator.wait_leads();
    kube.request("DELETE", &one, &json!({})).unwrap();

    let phase = |claim: &PersistentVolumeClaim| {
        let of_relay = retiring(claim).into_iter().find(|one| one["domain"].is_null());
        of_relay.and_then(|one| one["phase"].as_str().map(str::to_owned)).unwrap_or_default()
    };
    stage.mail.wait(&relay, "leaves", LONG, |claim: &PersistentVolumeClaim| phase(claim) == "Withdrawing");
    stays("a person is waited for, who entered the records", Duration::from_secs(15), || {
        phase(&stage.mail.get(&relay).unwrap()) == "Withdrawing"
    });
    let withdrawn = json!({"metadata": {"annotations": {"backupmx.io/release": "withdrawn"}}});
    stage.mail.merge::<PersistentVolumeClaim>(&relay, &withdrawn);
    stage.mail.wait(&relay, "goes on", LONG, |claim: &PersistentVolumeClaim| phase(claim) == "Waiting");
}

#[test]
fn it_keeps_the_domain_that_its_relays_serve() {
    let cluster = Cluster::disturbed();
    let stage = Stage::on(&cluster);
    let operator = stage.operator();
    stage.mail.apply(&resource("older", "example.org", ""));
    stage.wait_observed("older");
    let born = stage.mail.get::<BackupMX>("older").unwrap().metadata.creation_timestamp.unwrap().0;
    wait_until("a second has passed", LONG, || k8s_openapi::jiff::Timestamp::now().as_second() > born.as_second());
    let (kube, one) = (cluster.kube(), format!("{}/older", path(&stage)));
    laxly(&cluster, || {
        let mut older: Value = kube.request("GET", &one, &json!(null)).unwrap();
        older["spec"]["domains"] = json!(7);
        kube.request("PUT", &one, &older).is_ok()
    });
    let seen = r#"backupmx_operator_passes_total{result="malformed"}"#;
    wait_until("it is seen", LONG, || operator.metric(seen).unwrap_or(0.0) >= 1.0);
    stage.mail.apply(&resource("younger", "example.org", "").replace("mx1.", "mx2."));
    let younger = stage.mail.wait_condition("younger", "DomainConflict", "True", "OwnedByAnother", LONG);
    let message = condition(&younger, "DomainConflict").unwrap().message;
    assert!(message.starts_with(&format!("example.org is {}/older's: take it out", stage.mail.name())), "{message}");
    assert_eq!(config(&stage, "younger", "a").unwrap()["tenants"][0]["accept"], "Defer");
    assert_eq!(config(&stage, "older", "a").unwrap()["tenants"][0]["accept"], "Active");
}

#[test]
fn without_anything_that_could_be_used_its_status_says_so() {
    let cluster = Cluster::disturbed();
    let stage = Stage::on(&cluster);
    let (kube, path) = (cluster.kube(), path(&stage));
    let mut wrong: Value = serde_yaml::from_str(&resource("example", "example.org", "")).unwrap();
    wrong["spec"]["deletionPolicy"] = json!("Shred");
    laxly(&cluster, || kube.request("POST", &path, &wrong).is_ok());
    let _operator = stage.operator();
    let seen: Value = wait_value("its status says so", LONG, || {
        let seen: Value = kube.request("GET", &format!("{path}/example"), &json!(null)).ok()?;
        let all = [("Ready", "False"), ("Reconciling", "False"), ("Stalled", "True")];
        all.iter().all(|(kind, status)| says(&seen, kind, status)).then_some(seen)
    });
    assert_eq!(seen["status"]["observedGeneration"], seen["metadata"]["generation"], "{seen:#}");
    assert_eq!(stage.mail.names::<PersistentVolumeClaim>(), Vec::<String>::new(), "nothing is made by a guess");
}

#[test]
fn its_objects_are_repaired() {
    let cluster = Cluster::disturbed();
    let stage = Stage::on(&cluster);
    let mut operator = stage.operator();
    stage.mail.apply(&resource("example", "example.org", ""));
    stage.wait_observed("example");
    let relay = stage.relay("example", "a");
    let (kube, one) = (cluster.kube(), format!("{}/example", path(&stage)));
    laxly(&cluster, || {
        let mut object: Value = kube.request("GET", &one, &json!(null)).unwrap();
        // Of a type that the rules look into, as relays are, the API server takes no status at all.
        object["spec"]["domains"] = json!(7);
        kube.request("PUT", &one, &object).is_ok()
    });
    wait_until("it is seen", LONG, || says(&kube.request("GET", &one, &json!(null)).unwrap(), "Stalled", "True"));
    is_repaired(&stage, &relay);
    // An operator that starts finds what could be used last.
    operator.stop();
    operator.start_again();
    operator.wait_leads();
    is_repaired(&stage, &relay);
    assert_eq!(config(&stage, "example", "a").unwrap()["tenants"][0]["domains"], json!(["example.org"]));
}

#[test]
fn its_status_says_so_until_it_is_mended() {
    let cluster = Cluster::disturbed();
    let stage = Stage::on(&cluster);
    let _operator = stage.operator();
    let text = resource("example", "example.org", "");
    stage.mail.apply(&text);
    stage.wait_observed("example");
    stage.relay("example", "a");
    let (kube, one) = (cluster.kube(), format!("{}/example", path(&stage)));
    // Of the schema's type, so that server-side apply takes the status; and of another, which takes a patch.
    for (pointer, wrong) in [("/spec/deletionPolicy", json!("Shred")), ("/spec/domains", json!(7))] {
        laxly(&cluster, || {
            let mut object: Value = kube.request("GET", &one, &json!(null)).unwrap();
            *object.pointer_mut(pointer).unwrap() = wrong.clone();
            kube.request("PUT", &one, &object).is_ok()
        });
        // What cannot be read is looked at as it is stored.
        let seen = wait_value(&format!("{pointer} is told"), LONG, || {
            let seen: Value = kube.request("GET", &one, &json!(null)).ok()?;
            (says(&seen, "Stalled", "True") && says(&seen, "Reconciling", "False")).then_some(seen)
        });
        let conditions = seen["status"]["conditions"].as_array().unwrap();
        let of = |kind: &str| conditions.iter().find(|one| one["type"] == kind).unwrap();
        let message = of("Stalled")["message"].as_str().unwrap();
        assert!(message.starts_with("the resource cannot be read: "), "{message}");
        assert!(message.contains("all goes on by what could be used last (generation "), "{message}");
        assert!(
            !says(&seen, "Ready", "False") && of("Ready")["observedGeneration"] != of("Stalled")["observedGeneration"]
        );
        assert_eq!(seen["status"]["domainsText"], "example.org", "{seen:#}");
        assert_eq!(seen["status"]["observedGeneration"], seen["metadata"]["generation"], "{seen:#}");
        stage.mail.wait_event("example", "Warning", "Malformed", LONG);
        wait_until("it can be mended", LONG, || {
            let mut object: Value = kube.request("GET", &one, &json!(null)).unwrap();
            let good: Value = serde_yaml::from_str(&text).unwrap();
            object["spec"] = good["spec"].clone();
            kube.request("PUT", &one, &object).is_ok()
        });
        stage.mail.wait_condition("example", "Stalled", "False", "UpToDate", LONG);
    }
}
