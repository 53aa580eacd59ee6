//! A relay that is taken out of the spec while it holds mail drains, and the others go on.

use backupmx_tests::wait_until;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use serde_json::json;

use crate::stage::{PATIENCE, Stage};

#[test]
fn it_drains_and_goes() {
    let mut stage = Stage::with("removed", Stage::SOON);
    stage.publish(&json!({"relays": [stage.relay("a"), stage.relay("b")]}));
    let mut held = stage.send("b", 2);
    let (claim, gone, stays) = (stage.claim("b").name_any(), stage.smtp("b"), stage.pod("a").unwrap().name_any());
    stage.change(&json!({"relays": [stage.relay("a")]}));
    let domain = stage.domain().to_owned();
    stage.wait_mx(&[format!("10 mail.{domain}"), format!("20 mx1.{domain}")]);
    stage.wait_answer(gone, &stage.recipient(), 451);
    held.extend(stage.send("a", 1));
    stage.primary.start();
    stage.wait_arrived(&held);
    stage.mail.wait_gone::<PersistentVolumeClaim>(&claim, PATIENCE);
    wait_until("its pod is gone", PATIENCE, || stage.pod("b").is_none());
    assert_eq!(stage.pod("a").map(|pod| pod.name_any()), Some(stays));
}
