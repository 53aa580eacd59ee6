//! An operator that writes a newer contract version than the relays read that it finds: they are replaced one at a time,
//! and until then, and whatever changes meanwhile, none is given or starts on what it cannot read.
//!
//! The relays' older version is 0: the real relay, which says so.

use std::time::Duration;

use backupmx_crds::BackupMX;
use backupmx_tests::{LONG, cluster::PodRelay, stays, wait_until, wait_value};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod},
};
use serde_json::{Value, json};

use crate::common::{Stage, resource};

const OLDER: u32 = 0;

fn document(relay: &str, version: u32) -> String {
    format!("{relay}-config-v{version}")
}

/// The document that a relay's pods start on.
fn mounted(stage: &Stage, relay: &str) -> String {
    let deployment: Deployment = stage.mail.get(relay).unwrap();
    let volumes = deployment.spec.unwrap().template.spec.unwrap().volumes.unwrap();
    volumes.into_iter().find_map(|volume| volume.config_map).unwrap().name
}

/// Leaves a relay as an older operator would have made it.
fn make_older(stage: &Stage, relay: &str) -> PodRelay {
    let ours: ConfigMap = stage.mail.get(&document(relay, 1)).unwrap();
    let text = ours.data.unwrap()["relay.yaml"].replace("contractVersion: 1\n", "contractVersion: 0\n");
    stage.mail.create::<ConfigMap>(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": document(relay, OLDER), "labels": ours.metadata.labels, "annotations": ours.metadata.annotations,
        },
        "data": {"relay.yaml": text},
    }));
    let live = serde_json::to_value(stage.mail.get::<Deployment>(relay).unwrap()).unwrap();
    let mut volumes = live["spec"]["template"]["spec"]["volumes"].clone();
    for volume in volumes.as_array_mut().unwrap() {
        if let Some(map) = volume.get_mut("configMap") {
            map["name"] = document(relay, OLDER).into();
        }
    }
    stage.mail.merge::<Deployment>(relay, &json!({"spec": {"template": {"spec": {"volumes": volumes}}}}));
    stage.mail.delete::<ConfigMap>(&document(relay, 1));
    PodRelay::start_of(&stage.mail, relay, OLDER)
}

/// A pod of our version comes in place of the older one, as the kubelet has it.
fn replace(stage: &Stage, relay: &str, older: &PodRelay) -> PodRelay {
    stage.mail.delete::<Pod>(older.pod());
    PodRelay::start(&stage.mail, relay)
}

/// The first of them was written before the second was.
#[track_caller]
fn assert_order(stage: &Stage, first: (&str, &str), second: (&str, &str)) {
    let writes = stage.proxy.writes();
    let place = |(resource, name): (&str, &str)| {
        let of = writes.iter().position(|call| (call.resource.as_str(), call.name.as_str()) == (resource, name));
        of.unwrap_or_else(|| panic!("{resource} {name} was not written: {writes:?}"))
    };
    assert!(place(first) < place(second), "{second:?} was written before {first:?}");
}

#[test]
fn relays_of_the_older_version_are_replaced_one_at_a_time() {
    let stage = Stage::new();
    let mut operator = stage.operator();
    let two = resource("example", "example.org", "")
        .replace("relays: [", "relays: [{name: b, hostname: mx2.example.org, addresses: [192.0.2.20]}, ");
    stage.mail.apply(&two);
    let relays = [stage.relay("example", "a"), stage.relay("example", "b")];
    stage.wait_observed("example");
    operator.stop();
    let older = relays.each_ref().map(|relay| make_older(&stage, relay));
    let left: [ConfigMap; 2] = relays.each_ref().map(|relay| stage.mail.get(&document(relay, OLDER)).unwrap());
    stage.proxy.forget();

    operator.start_again();
    operator.wait_leads();
    let is_ours = |which: &usize| mounted(&stage, &relays[*which]) == document(&relays[*which], 1);
    let first = wait_value("one is to be replaced", LONG, || (0..2).find(is_ours));
    let second = 1 - first;
    // What changes now is for the one that has not come up yet, and for the older one to learn when it is replaced.
    stage.mail.merge::<BackupMX>("example", &json!({"spec": {"acceptance": {"maxMessageSize": "60Mi"}}}));
    stays("the other one is left alone", Duration::from_secs(5), || !is_ours(&second));
    let new_first = replace(&stage, &relays[first], &older[first]);
    wait_until("the other one has its turn", LONG, || is_ours(&second));
    let new_second = replace(&stage, &relays[second], &older[second]);
    for (relay, left) in relays.iter().zip(&left) {
        assert_order(&stage, ("configmaps", &document(relay, 1)), ("deployments", relay));
        let now: ConfigMap = stage.mail.get(&document(relay, OLDER)).expect("an older pod could start to the end");
        assert_eq!((&now.data, &now.metadata.resource_version), (&left.data, &left.metadata.resource_version));
    }
    for older in &older {
        assert_eq!(older.handed(), Vec::<u32>::new(), "a relay was handed what it cannot read");
    }

    // Those of our own version are handed what changes.
    stage.mail.merge::<BackupMX>("example", &json!({"spec": {"acceptance": {"maxMessageSize": "70Mi"}}}));
    let all = [&new_first, &new_second];
    wait_until("both were handed the change", LONG, || all.iter().all(|pod| pod.handed().contains(&1)));
    stage.mail.wait("example", "says that both run on one revision", LONG, |object: &BackupMX| {
        let relays = object.status.as_ref().map(|status| status.relays.clone()).unwrap_or_default();
        let revisions: Vec<Value> = relays.iter().map(|relay| json!(relay.config_revision)).collect();
        revisions.len() == 2 && revisions.iter().all(|revision| *revision == revisions[0] && !revision.is_null())
    });
    assert_eq!((is_ours(&0), is_ours(&1)), (true, true));
}
