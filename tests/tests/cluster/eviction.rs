//! Who drains nodes gets one relay of a resource after the other, and never the last that is ready.

use backupmx_tests::{cluster::condition, wait_until, wait_value};
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, core::Status};
use serde_json::json;

use crate::stage::{PATIENCE, Stage, is_ready};

/// Asks for a pod's eviction, as `kubectl drain` does.
fn evict(stage: &Stage, pod: &Pod) -> Result<(), Box<Status>> {
    let (namespace, name) = (stage.mail.name(), pod.name_any());
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace},
    });
    stage.mail.kube().request("POST", &path, &eviction).map(drop)
}

#[test]
fn the_second_relay_waits_for_the_first_to_be_back() {
    let stage = Stage::new("eviction");
    stage.publish(&json!({"relays": [stage.relay("a"), stage.relay("b")]}));
    // A pod that never was ready may always go.
    let ready = |relay| wait_value("the relay is ready", PATIENCE, || stage.pod(relay).filter(is_ready));
    let (first, second) = (ready("a"), ready("b"));
    wait_until("the budget has counted both, and one may go", PATIENCE, || evict(&stage, &first).is_ok());
    // A refusal is 429 with Retry-After, which clients heed by themselves: as `kubectl drain` does.
    wait_until("the other may go", PATIENCE, || evict(&stage, &second).is_ok());
    let back = stage.pod("a").unwrap();
    assert_ne!(back.uid(), first.uid());
    assert!(is_ready(&back), "{:?}", condition(&back, "Ready"));
}
