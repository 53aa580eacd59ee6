//! Why a relay's pod does not run is told in the words of the kubelet, or of who may not make it.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG,
    cluster::{StandIn, condition, reason},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use serde_json::json;

use crate::common::{Stage, resource};

#[track_caller]
fn wait_said(stage: &Stage, text: &str) {
    stage.mail.wait("example", &format!("says {text:?}"), LONG, |object: &BackupMX| {
        reason(object, "RelaysReady") == ("False".into(), "PodNotReady".into())
            && condition(object, "RelaysReady").is_some_and(|known| known.message.contains(text))
    });
}

#[test]
fn is_in_the_message() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let (relay, pod) = stage.ready(&resource("example", "example.org", ""));
    // As a kubelet says it.
    let waiting = json!({"reason": "ImagePullBackOff", "message": "Back-off pulling image \"registry.test/relay\""});
    let container = json!({
        "name": "relay", "image": "registry.test/relay", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": waiting},
    });
    stage.mail.merge_status::<Pod>(pod.pod(), &json!({"containerStatuses": [container]}));
    StandIn(&stage.mail).unavailable(&relay);
    wait_said(&stage, "relay a is not ready: ImagePullBackOff: Back-off pulling image \"registry.test/relay\"; to see");
    // As the controller of Deployments does.
    stage.mail.merge_status::<Pod>(pod.pod(), &json!({"containerStatuses": null}));
    let failed = json!([{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods"}]);
    stage.mail.merge_status::<Deployment>(&relay, &json!({"conditions": failed}));
    wait_said(&stage, "relay a is not ready: none is made: exceeded quota: pods; to see");

    stage.mail.merge_status::<Deployment>(&relay, &json!({"conditions": null}));
    StandIn(&stage.mail).available(&relay);
    stage.mail.wait_condition("example", "RelaysReady", "True", "AllReady", LONG);
}
