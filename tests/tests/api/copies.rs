//! What a restore copies into another namespace is taken for no relay: neither is it asked, nor does it lead to anything
//! being done to the original. A copied claim is kept, and goes when a person lets it go.

use std::{
    io::{ErrorKind, Read as _},
    net::TcpListener,
};

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Place, ScriptedPrimary,
    cluster::{Cluster, Kind, Namespace, OperatorOptions, PodRelay, resource},
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, ServiceAccount},
};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::common::{Stage, queued, resource_for};

/// Where the operator asks a pod.
const API_PORT: u16 = 8081;

/// A namespace that is watched beside the stage's own.
fn restored(stage: &Stage) -> (Namespace, OperatorOptions) {
    let restored = Cluster::control_plane().namespace("restored");
    let mut options = stage.options();
    options.watch = Some(format!("{},{}", stage.mail.name(), restored.name()));
    (restored, options)
}

/// Puts an object into another namespace as a backup has it: with its labels, annotations and finalizers.
#[track_caller]
fn copy<K: Kind>(from: &Namespace, name: &str, to: &Namespace) -> K {
    let original: K = from.get(name).unwrap();
    let mut document = serde_json::to_value(&original).unwrap();
    let meta = original.meta();
    document["metadata"] = json!({
        "name": name, "labels": meta.labels, "annotations": meta.annotations, "finalizers": meta.finalizers,
    });
    document["status"] = Value::Null;
    to.create(&document)
}

#[test]
fn a_pod_in_another_namespace_is_not_asked_for_a_relay_of_this_one() {
    let (stage, place, elsewhere) = (Stage::new(), Place::new(), Place::new());
    let (restored, options) = restored(&stage);
    let _operator = stage.operator_by(options);
    let primary = ScriptedPrimary::down(&place);
    let (relay, _pod) = stage.holding(&resource_for("example", "example.org", place.primary(), ""));

    let door = TcpListener::bind(elsewhere.at(API_PORT)).unwrap();
    door.set_nonblocking(true).unwrap();
    let template = stage.mail.get::<Deployment>(&relay).unwrap().spec.unwrap().template;
    let (metadata, spec) = (template.metadata.unwrap(), template.spec.unwrap());
    copy::<ServiceAccount>(&stage.mail, spec.service_account_name.as_ref().unwrap(), &restored);
    restored.create::<Pod>(&json!({
        "metadata": {"name": relay, "labels": metadata.labels, "annotations": metadata.annotations},
        "spec": spec,
    }));
    let (ip, ready) = (elsewhere.ip().to_string(), json!([{"type": "Ready", "status": "True"}]));
    let status = json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": ready});
    restored.merge_status::<Pod>(&relay, &status);

    // A relay that came later in that namespace is known: so was the copy before it.
    restored.apply(&resource("later", "example.net", ""));
    let later = |name: &String| name.starts_with("later-a-");
    let name = backupmx_tests::wait_value("the later one has a Deployment", LONG, || {
        restored.names::<Deployment>().into_iter().find(later)
    });
    let _later = PodRelay::start(&restored, &name);
    restored.wait_condition("later", "RelaysReady", "True", "AllReady", LONG);
    match door.accept() {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => panic!("{error}"),
        Ok((mut stream, _)) => {
            let mut start = [0; 256];
            let read = stream.read(&mut start).unwrap_or(0);
            panic!("the copy was asked: {}", String::from_utf8_lossy(&start[..read]));
        }
    }
    stage.look_at("example");
    stage.mail.wait_condition("example", "RelaysReady", "True", "AllReady", LONG);
    assert_eq!(queued(&stage.mail.get::<BackupMX>("example").unwrap()), Some(1));
    assert_eq!(primary.count(), 0);
}

#[test]
fn a_claim_in_another_namespace_is_kept_until_a_person_lets_it_go() {
    let stage = Stage::new();
    let (restored, options) = restored(&stage);
    let mut operator = stage.operator_by(options);
    let relay = stage.settled();
    operator.stop();
    copy::<PersistentVolumeClaim>(&stage.mail, &relay, &restored);
    copy::<Deployment>(&stage.mail, &relay, &restored);
    let config = format!("{relay}-config-v1");
    copy::<ConfigMap>(&stage.mail, &config, &restored);
    let before: PersistentVolumeClaim = stage.mail.get(&relay).unwrap();

    operator.start_again();
    let note = restored.wait_event(&relay, "Warning", "ClaimOrphaned", LONG);
    assert!(note.contains("which is in another namespace"), "{note}");
    operator.stop();

    // It holds the namespace up until then.
    restored.delete::<PersistentVolumeClaim>(&relay);
    operator.start_again();
    let note = restored.wait_event(&relay, "Warning", "ClaimStranded", LONG);
    let discard =
        format!("kubectl annotate pvc -n {} {relay} backupmx.io/release=discard --overwrite", restored.name());
    assert!(note.ends_with(&discard), "{note}");
    operator.stop();
    let kept: PersistentVolumeClaim = restored.get(&relay).unwrap();
    assert!(kept.finalizers().contains(&"backupmx.io/held-mail".to_owned()), "{:?}", kept.finalizers());

    let discard = json!({"metadata": {"annotations": {"backupmx.io/release": "discard"}}});
    restored.merge::<PersistentVolumeClaim>(&relay, &discard);
    operator.start_again();
    let freed = |claim: &PersistentVolumeClaim| claim.finalizers() == ["kubernetes.io/pvc-protection"];
    restored.wait(&relay, "is let go", LONG, freed);
    let note = restored.wait_event(&relay, "Warning", "MailDiscarded", LONG);
    assert!(note.contains("a copy of a relay's in another namespace"), "{note}");
    restored.wait_gone::<Deployment>(&relay, LONG);
    restored.wait_gone::<ConfigMap>(&config, LONG);

    let original: PersistentVolumeClaim = stage.mail.get(&relay).unwrap();
    assert_eq!(original.resource_version(), before.resource_version(), "nothing was done to the original");
    assert!(stage.mail.get::<Deployment>(&relay).is_some_and(|one| one.metadata.deletion_timestamp.is_none()));
    assert!(stage.mail.get::<ConfigMap>(&config).is_some_and(|one| one.metadata.deletion_timestamp.is_none()));
}
