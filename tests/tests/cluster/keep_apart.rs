//! Relays of one resource keep apart over zones and nodes where they can, and run together where they cannot.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::{Value, json};

use crate::stage::{PATIENCE, Stage};

/// The cluster's nodes.
fn nodes(stage: &Stage) -> Vec<Node> {
    let kube = stage.mail.kube();
    let api: Api<Node> = Api::all(kube.client());
    kube.run(api.list(&ListParams::default())).unwrap().items
}

/// The node of a pod; none while it has none.
fn place(pod: &Pod) -> Option<String> {
    pod.spec.as_ref()?.node_name.clone()
}

/// The node of a relay's pod.
#[track_caller]
fn node_of(stage: &Stage, relay: &str) -> String {
    stage.pod(relay).as_ref().and_then(place).unwrap_or_else(|| panic!("relay {relay} is on no node"))
}

/// Makes a pod that does nothing, waits until it has a node, and says which; `spec` is what makes it special.
#[track_caller]
fn idle(stage: &Stage, name: &str, spec: &Value) -> String {
    let container = json!({
        "name": "idle", "image": "localhost/pause:1", "imagePullPolicy": "IfNotPresent",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "containers": [container],
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationGracePeriodSeconds": 0,
        },
    });
    if let Some(selector) = spec.get("nodeSelector") {
        pod["spec"]["nodeSelector"] = selector.clone();
    }
    if let Some(requests) = spec.get("requests") {
        pod["spec"]["containers"][0]["resources"]["requests"] = requests.clone();
    }
    stage.mail.create::<Pod>(&pod);
    let scheduled = stage.mail.wait(name, "has a node", PATIENCE, |pod: &Pod| place(pod).is_some());
    place(&scheduled).unwrap()
}

/// Thousandths of a processor that a node has.
fn processors(node: &Node) -> u32 {
    let has = &node.status.as_ref().unwrap().allocatable.as_ref().unwrap()["cpu"].0;
    has.strip_suffix('m').map_or_else(|| has.parse::<u32>().unwrap() * 1000, |thousandths| thousandths.parse().unwrap())
}

/// Two nodes of three are in one zone, and the third, in another, is the one with the least room: nothing but the wish to
/// keep apart leads a relay there.
#[test]
fn over_zones_and_then_over_nodes() {
    let mut stage = Stage::disturbed("apart", &[]);
    for (node, zone) in [("node1", "near"), ("node2", "near"), ("node3", "far")] {
        stage.kubectl(&["label", "--overwrite", "node", node, &format!("topology.kubernetes.io/zone={zone}")]);
    }
    let full = nodes(&stage).iter().find(|node| node.name_any() == "node3").map(processors).unwrap() / 4;
    let ballast = json!({
        "nodeSelector": {"kubernetes.io/hostname": "node3"},
        "requests": {"cpu": format!("{full}m")},
    });
    assert_eq!(idle(&stage, "ballast", &ballast), "node3");
    for number in 0..3 {
        assert_ne!(idle(&stage, &format!("free{number}"), &json!({})), "node3", "it has the least room");
    }

    stage.publish(&json!({"relays": [stage.relay("a"), stage.relay("b")]}));
    let first: BTreeSet<String> = ["a", "b"].map(|relay| node_of(&stage, relay)).into();
    assert!(first.contains("node3"), "both are in one zone: {first:?}");
    assert_eq!(first.len(), 2);

    // There are no more zones, but another node.
    stage.publish(&json!({"relays": [stage.relay("a"), stage.relay("b"), stage.relay("c")]}));
    let all: BTreeSet<String> = ["a", "b", "c"].map(|relay| node_of(&stage, relay)).into();
    assert_eq!(all.len(), 3, "two are on one node: {all:?}");
    assert!(all.is_superset(&first), "those that ran stay where they are");

    let sent: Vec<_> = ["a", "b", "c"].iter().flat_map(|relay| stage.send(relay, 1)).collect();
    stage.primary.start();
    stage.wait_arrived(&sent);
}

#[test]
fn on_the_only_node_they_run_all_the_same() {
    let mut stage = Stage::new("together");
    assert_eq!(nodes(&stage).len(), 1);
    stage.publish(&json!({"relays": [stage.relay("a"), stage.relay("b")]}));
    assert_eq!(node_of(&stage, "a"), node_of(&stage, "b"));
    let sent: Vec<_> = ["a", "b"].iter().flat_map(|relay| stage.send(relay, 1)).collect();
    stage.primary.start();
    stage.wait_arrived(&sent);
}
