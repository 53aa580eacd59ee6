//! A namespace that is deleted takes the relays at once; the mail stays on its volume until a person, who is told, lets
//! it go.

use backupmx_crds::BackupMX;
use backupmx_tests::{cluster::reason, wait_until, wait_value};
use k8s_openapi::api::core::v1::{Event, Namespace, PersistentVolumeClaim};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
};
use serde_json::json;

use crate::stage::{NAME, PATIENCE, Stage};

#[test]
fn held_mail_keeps_it() {
    let stage = Stage::with("vanishing", Stage::SOON);
    stage.publish(&json!({}));
    stage.send("a", 2);
    stage.wait_queued(2);
    let claim = stage.claim("a");
    let kube = stage.mail.kube().clone();
    let namespaces: Api<Namespace> = Api::all(kube.client());
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
    assert!(message.contains(&volume) && message.contains("backupmx.io/release=discard"), "{message}");
    assert_eq!(told.type_.as_deref(), Some("Warning"));

    let release = json!({"metadata": {"annotations": {"backupmx.io/release": "discard"}}});
    stage.mail.merge::<PersistentVolumeClaim>(&kept.name_any(), &release);
    wait_until("the namespace is gone", PATIENCE, || {
        kube.run(namespaces.get_opt(stage.mail.name())).is_ok_and(|found| found.is_none())
    });
}
