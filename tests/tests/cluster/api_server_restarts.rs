//! The API server is killed in the middle: mail is taken and held all the same, and what was leaving goes on leaving.

use backupmx_tests::wait_until;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use serde_json::json;

use crate::stage::{PATIENCE, Stage};

#[test]
fn a_retirement_goes_on_and_held_mail_arrives() {
    let mut stage = Stage::disturbed("outage", Stage::SOON);
    stage.publish(&json!({"relays": [stage.relay("a"), stage.relay("b")]}));
    let (mut held, domain) = (stage.send("b", 2), stage.domain().to_owned());
    held.extend(stage.send("a", 2));
    let (staying, leaving) = (stage.smtp("a"), stage.smtp("b"));
    let (claim, pod) = (stage.claim("b").name_any(), stage.pod("a").unwrap().uid());
    stage.change(&json!({"relays": [stage.relay("a")]}));
    stage.wait_mx(&[format!("10 mail.{domain}"), format!("20 mx1.{domain}")]);

    stage.cluster().script("restart", &["--kill", "kube-apiserver"]);
    held.extend([staying, leaving].map(|relay| stage.send_to(relay)));
    wait_until("an operator leads, after the kubelet's part where it ended", PATIENCE, || {
        if stage.operator().ended().is_some() {
            stage.operator().start_again();
        }
        stage.operator().leads()
    });
    stage.wait_answer(leaving, &stage.recipient(), 451);
    stage.cluster().script("restart", &["kube-apiserver"]);
    let last = stage.send_to(staying);
    held.push(last);
    stage.primary.start();
    stage.wait_arrived(&held);
    wait_until("the claim of the relay that left is gone", PATIENCE, || {
        if stage.operator().ended().is_some() {
            stage.operator().start_again();
        }
        stage.mail.get::<PersistentVolumeClaim>(&claim).is_none()
    });
    assert_eq!(stage.pod("a").map(|pod| pod.uid()), Some(pod), "the relay that stays was left alone");
    stage.wait_queued(0);
}
