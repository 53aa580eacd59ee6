//! The namespaces of all tests here take restricted pods only: relays run in them, and a pod with more rights does not.

use backupmx_tests::{cluster::POD_SECURITY, wait_until};
use k8s_openapi::api::core::v1::ServiceAccount;
use serde_json::json;

use crate::stage::{PATIENCE, cluster};

#[test]
fn a_pod_that_may_be_root_is_refused() {
    let namespace = cluster().namespace("restricted");
    // Without it any pod is refused.
    namespace.wait("default", "is there", PATIENCE, |_: &ServiceAccount| true);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root", "namespace": namespace.name()},
        "spec": {"containers": [{"name": "root", "image": "localhost/pause:1"}]},
    });
    let refused = namespace.kube().try_apply(namespace.name(), &pod).expect_err("it may be root");
    assert!(refused.message.contains("violates PodSecurity \"restricted"), "{}", refused.message);

    let lifted = cluster().kubectl(&["label", "namespace", namespace.name(), &format!("{POD_SECURITY}-")]);
    assert!(lifted.ok, "{}", lifted.text);
    // The API server hears of its own labels by a watch.
    wait_until("nothing but the label is in its way", PATIENCE, || {
        namespace.kube().try_apply(namespace.name(), &pod).is_ok()
    });
}
