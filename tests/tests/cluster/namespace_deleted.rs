//! A namespace that is deleted takes the relays at once; the mail stays on its volume, and a person is told how to have it
//! delivered.

use backupmx_crds::BackupMX;
use backupmx_tests::{cluster::reason, wait_until, wait_value};
use k8s_openapi::api::core::v1::{Event, Namespace, PersistentVolumeClaim};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;

use crate::stage::{NAME, PATIENCE, Stage, cluster};

#[test]
fn held_mail_keeps_it_and_comes_back_by_what_the_event_says() {
    let mut stage = Stage::with("vanishing", Stage::SOON);
    stage.publish(&json!({}));
    let held = stage.send("a", 2);
    stage.wait_queued(2);
    let claim = stage.claim("a");
    let kube = stage.mail.kube().clone();
    let namespaces: Api<Namespace> = Api::all(kube.client());
    let before = kube.run(namespaces.get(stage.mail.name())).unwrap();
    kube.run(namespaces.delete(stage.mail.name(), &DeleteParams::default())).unwrap();
    wait_until("the relay is gone", PATIENCE, || stage.pod("a").is_none());
    stage
        .mail
        .wait(NAME, "says that it is stuck", PATIENCE, |resource: &BackupMX| reason(resource, "Draining").1 == "Stuck");
    let domain = stage.domain().to_owned();
    stage.wait_mx(&[format!("10 mail.{domain}")]);
    let kept: PersistentVolumeClaim = stage.claim("a");
    assert_eq!(kept.uid(), claim.uid());
    assert!(kept.finalizers().contains(&"backupmx.io/held-mail".to_owned()), "{:?}", kept.finalizers());

    // About an object that is in no namespace: it outlives the one that goes.
    let events: Api<Event> = kube.api("default");
    let about = format!("reason=NamespaceTerminating,involvedObject.name={}", stage.mail.name());
    let told = wait_value("a person is told", PATIENCE, || {
        let found = kube.run(events.list(&ListParams::default().fields(&about))).ok()?;
        found.items.into_iter().next()
    });
    let (message, volume) = (told.message.unwrap(), kept.spec.as_ref().unwrap().volume_name.clone().unwrap());
    assert!(message.starts_with("2 messages are held in this namespace"), "{message}");
    assert_eq!(told.type_.as_deref(), Some("Warning"));

    let (_, commands) = message.split_once("same names: ").unwrap_or_else(|| panic!("{message}"));
    let (commands, _) = commands.split_once("; then").unwrap_or_else(|| panic!("{message}"));
    let done = cluster().program("bash", &["-ec", commands]);
    assert!(done.ok, "{commands}: {}", done.text);
    wait_until("the namespace is gone", PATIENCE, || {
        kube.run(namespaces.get_opt(stage.mail.name())).is_ok_and(|found| found.is_none())
    });
    let metadata = json!({"name": stage.mail.name(), "labels": before.labels()});
    let again: Namespace = serde_json::from_value(json!({"metadata": metadata})).unwrap();
    kube.run(namespaces.create(&PostParams::default(), &again)).unwrap();
    stage.primary.start();
    stage.publish(&json!({}));
    stage.wait_arrived(&held);
    let new = stage.claim("a");
    assert_ne!(new.uid(), claim.uid());
    assert_eq!(new.spec.as_ref().unwrap().volume_name.as_ref(), Some(&volume), "the volume is the same");
    // It goes with its namespace again, as all volumes of tests.
    let delete = r#"{"spec": {"persistentVolumeReclaimPolicy": "Delete"}}"#;
    assert!(cluster().kubectl(&["patch", "pv", &volume, "--type", "merge", "-p", delete]).ok);
}
