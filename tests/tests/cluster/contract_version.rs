//! An operator and a relay whose documents are of different versions: none reads what it was not built for, and the
//! mail waits.
//!
//! The programs are of one version; what one of another version leaves behind is made by hand.

use backupmx_crds::BackupMX;
use backupmx_tests::wait_until;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod},
};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::stage::{NAME, PATIENCE, Stage};

/// What the relay in a pod has printed, its earlier runs included.
fn printed(stage: &Stage, pod: &Pod) -> String {
    let name = pod.name_any();
    [&["logs", &name][..], &["logs", &name, "--previous"]]
        .iter()
        .map(|arguments| stage.kubectl_output(arguments).text)
        .collect()
}

/// The document of the version after ours, in a ConfigMap as an operator of that version makes it.
fn next_version(stage: &Stage, relay: &str) -> (ConfigMap, String) {
    let of = |map: &ConfigMap| map.labels().get("backupmx.io/relay").map(String::as_str) == Some(relay);
    let ours = stage.mail.list::<ConfigMap>().into_iter().find(of).expect("the relay has a document");
    let stem = ours.name_any().strip_suffix('1').expect("this is version 1").to_owned();
    let text = &ours.data.as_ref().unwrap()["relay.yaml"];
    let newer = text.replace("contractVersion: 1\n", "contractVersion: 2\n") + "fieldOfTheNextVersion: true\n";
    assert_ne!(text.lines().next(), newer.lines().next());
    let next = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": format!("{stem}2"), "labels": ours.labels(), "annotations": ours.annotations()},
        "data": {"relay.yaml": newer},
    });
    (stage.mail.create(&next), ours.name_any())
}

/// The ConfigMap that a relay's pods mount.
fn mounted(stage: &Stage, relay: &str) -> String {
    let deployment: Deployment = stage.mail.get(&stage.claim(relay).name_any()).unwrap();
    let volumes = deployment.spec.unwrap().template.spec.unwrap().volumes.unwrap();
    volumes.into_iter().find_map(|volume| volume.config_map).unwrap().name
}

#[test]
fn an_upgrade_that_is_taken_back_half_way_loses_nothing() {
    let mut stage = Stage::with("skew", Stage::SOON);
    stage.publish(&json!({"relays": [stage.relay("a"), stage.relay("b")]}));
    let mut held = stage.send("a", 2);
    let (other, name) = (stage.pod("b").unwrap().uid(), stage.claim("a").name_any());

    // A newer operator has changed the first relay, and is taken back; so is the relay's program.
    stage.operator().stop();
    let (next, ours) = next_version(&stage, "a");
    let change = |volumes: &Value| {
        let mut volumes = volumes.clone();
        for volume in volumes.as_array_mut().unwrap() {
            if let Some(map) = volume.get_mut("configMap") {
                map["name"] = json!(next.name_any());
            }
        }
        json!({"spec": {"template": {"spec": {"volumes": volumes}}}})
    };
    let deployment = serde_json::to_value(stage.mail.get::<Deployment>(&name).unwrap()).unwrap();
    stage.mail.merge::<Deployment>(&name, &change(&deployment["spec"]["template"]["spec"]["volumes"]));
    wait_until("the relay refuses to start on a document that it cannot read", PATIENCE, || {
        stage.pod("a").is_some_and(|pod| printed(&stage, &pod).contains("expected 1, the form that this build reads"))
    });
    // The other one goes on meanwhile.
    held.extend(stage.send("b", 1));

    stage.operator().start_again();
    stage.operator().wait_leads();
    wait_until("the relay is on its own document again", PATIENCE, || mounted(&stage, "a") == ours);
    stage.wait_reason("RelaysReady", "True", "AllReady");
    let kept: ConfigMap = stage.mail.get(&next.name_any()).expect("what another version left is not ours to change");
    assert_eq!(kept.data, next.data);
    assert_eq!(stage.pod("b").map(|pod| pod.uid()), Some(other), "the other relay is left alone");
    stage.primary.start();
    stage.wait_arrived(&held);

    // With the relay goes all that was made for it, by whatever version.
    stage.mail.delete::<BackupMX>(NAME);
    stage.wait_nothing_left();
    let of_relays = |map: &ConfigMap| map.labels().contains_key("backupmx.io/relay");
    wait_until("no document is left", PATIENCE, || !stage.mail.list::<ConfigMap>().iter().any(of_relays));
}
