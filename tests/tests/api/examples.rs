//! Every resource among the examples works as it is: the operator takes it as it is written, real relays run on what it
//! makes of it, and the records are those that the example names.

use std::{collections::BTreeSet, path::Path, thread};

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG,
    cluster::{PodRelay, StandIn, documents, examples, reason},
};
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use crate::common::Stage;

/// The records that the comment of an example names: name, preference and host.
fn named(text: &str) -> BTreeSet<[String; 3]> {
    let record = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["#", name, "MX", preference, host] => Some([name, preference, host].map(str::to_owned)),
        _ => None,
    };
    text.lines().filter_map(record).collect()
}

/// The records that a status lists.
fn listed(object: &BackupMX) -> BTreeSet<[String; 3]> {
    let records = object.status.as_ref().map(|status| status.mx_records.clone()).unwrap_or_default();
    let record = |line: &String| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [name, _, "IN", "MX", preference, host] => [name, preference, host].map(str::to_owned),
        _ => panic!("this is no MX record: {line}"),
    };
    records.iter().map(record).collect()
}

fn works(path: &Path, text: &str, mut document: Value) {
    let stage = Stage::new();
    let _operator = stage.operator();
    document["metadata"]["namespace"] = stage.mail.name().into();
    let name = document["metadata"]["name"].as_str().unwrap().to_owned();
    // What an example says to be there.
    if let Some(service) = document.pointer("/spec/primary/serviceRef") {
        let spec = json!({"ports": [{"port": service["port"]}]});
        stage.mail.create::<Service>(&json!({"metadata": {"name": service["name"]}, "spec": spec}));
    }
    if let Err(status) = stage.mail.kube().try_apply("", &document) {
        panic!("{}: {}", path.display(), status.message);
    }
    let is_taken = |object: &BackupMX| {
        let observed = object.status.as_ref().and_then(|status| status.observed_generation);
        observed == object.metadata.generation && reason(object, "Stalled") == ("False".into(), "UpToDate".into())
    };
    let taken = stage.mail.wait(&name, "is taken as it is", LONG, is_taken);
    let relays = taken.spec.relays.iter().map(|relay| {
        let objects = stage.relay(&name, &relay.name);
        if relay.addresses.is_empty() {
            StandIn(&stage.mail).balance(&objects, &["192.0.2.10"]);
        }
        PodRelay::start(&stage.mail, &objects)
    });
    let _relays: Vec<PodRelay> = relays.collect();
    let ready = stage.mail.wait_condition(&name, "RelaysReady", "True", "AllReady", LONG);
    assert!(is_taken(&ready), "{}", path.display());
    let (named, listed) = (named(text), listed(&ready));
    assert!(listed.len() > 1, "{}: {listed:?}", path.display());
    assert!(named.is_empty() || named == listed, "{}: {named:?}, and not {listed:?}", path.display());
}

#[test]
fn every_one_works() {
    let mut tried = 0;
    thread::scope(|scope| {
        for (path, text) in examples() {
            for document in documents(&text).into_iter().filter(|document| document["kind"] == "BackupMX") {
                tried += 1;
                let (path, text) = (path.clone(), text.clone());
                scope.spawn(move || works(&path, &text, document));
            }
        }
    });
    assert!(tried >= 4, "only {tried}");
}
