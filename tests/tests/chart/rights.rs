//! The operator's rights are those that it uses.

use serde_json::Value;

use crate::common::{of_kind, rendered};

/// Every rule as `group/resource: verbs`, or with `[name]` where it is for that object only.
fn rules(roles: &[&Value]) -> Vec<String> {
    let list = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|item| item.as_str().unwrap().to_owned()).collect()
    };
    let mut all: Vec<String> = roles
        .iter()
        .flat_map(|role| role["rules"].as_array().unwrap())
        .flat_map(|rule| {
            let names = list(&rule["resourceNames"]);
            let names = if names.is_empty() { String::new() } else { format!("[{}]", names.join(",")) };
            let (groups, verbs) = (list(&rule["apiGroups"]), list(&rule["verbs"]).join(" "));
            let resources = list(&rule["resources"]).into_iter();
            resources
                .map(move |resource| format!("{}/{resource}{names}: {verbs}", groups.join(",")))
                .collect::<Vec<_>>()
        })
        .collect();
    all.sort();
    all
}

const EVERYWHERE: &[&str] = &[
    "/configmaps: get list watch create patch delete",
    "/persistentvolumeclaims: list watch create patch delete",
    "/pods: list watch",
    "/serviceaccounts: list watch create patch delete",
    "/services: list watch create patch delete",
    "apps/deployments: list watch create patch delete",
    "backupmx.io/backupmxes/status: patch",
    "backupmx.io/backupmxes: list watch patch",
    "discovery.k8s.io/endpointslices: list watch",
    "events.k8s.io/events: create patch",
    "networking.k8s.io/networkpolicies: list watch create patch delete",
    "policy/poddisruptionbudgets: list watch create patch delete",
];
const AT_HOME: &[&str] = &[
    "/secrets: create",
    "/secrets[backupmx-master-key]: get",
    "coordination.k8s.io/leases: create",
    "coordination.k8s.io/leases[backupmx-operator]: get update",
    "externaldns.k8s.io/dnsendpoints: list watch create patch delete",
];
/// What is in no namespace.
const CLUSTER: &[&str] = &["/namespaces: get", "storage.k8s.io/storageclasses: list watch"];

/// The operator's own roles for the whole cluster.
fn cluster_roles(objects: &[Value]) -> Vec<&Value> {
    let bound: Vec<&Value> = of_kind(objects, "ClusterRoleBinding").iter().map(|one| &one["roleRef"]["name"]).collect();
    of_kind(objects, "ClusterRole").into_iter().filter(|role| bound.contains(&&role["metadata"]["name"])).collect()
}

#[test]
fn are_these_and_no_more() {
    let objects = rendered(&[]);
    let mut everywhere = [EVERYWHERE, CLUSTER].concat();
    everywhere.sort_unstable();
    assert_eq!(rules(&cluster_roles(&objects)), everywhere);
    assert_eq!(rules(&of_kind(&objects, "Role")), AT_HOME);
}

#[test]
fn end_at_the_listed_namespaces() {
    let objects = rendered(&["watchNamespaces={one,two}"]);
    assert_eq!(rules(&cluster_roles(&objects)), CLUSTER);
    for namespace in ["one", "two"] {
        let roles = of_kind(&objects, "Role");
        let here: Vec<&Value> = roles.into_iter().filter(|role| role["metadata"]["namespace"] == namespace).collect();
        assert_eq!(rules(&here), EVERYWHERE, "{namespace}");
    }
    // An Event about a namespace is in none of those that are listed.
    let at_default = |values: &[&str]| -> Vec<String> {
        let objects = rendered(values);
        let roles = of_kind(&objects, "Role");
        rules(&roles.into_iter().filter(|role| role["metadata"]["namespace"] == "default").collect::<Vec<_>>())
    };
    assert_eq!(at_default(&["watchNamespaces={one,two}"]), ["events.k8s.io/events: create patch"]);
    assert_eq!(at_default(&["watchNamespaces={one,default}"]), EVERYWHERE);
}

#[test]
fn with_a_key_of_one_s_own_no_secret_may_be_read() {
    let objects = rendered(&["masterKey.existingSecret=own"]);
    let rules = rules(&[of_kind(&objects, "ClusterRole"), of_kind(&objects, "Role")].concat());
    assert!(!rules.iter().any(|rule| rule.contains("secrets")), "{rules:#?}");
}
