//! `kubectl explain` reads like a manual: every field has a description.

use backupmx_tests::{LONG, cluster::Cluster, wait_value};
use serde_json::{Value, json};

/// The paths of all fields without a description.
fn silent(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if field["description"].as_str().unwrap_or_default().trim().is_empty() {
            found.push(path.clone());
        }
        silent(field, &path, found);
        silent(&field["items"], &format!("{path}[]"), found);
        silent(&field["additionalProperties"], &format!("{path}[]"), found);
    }
}

#[test]
fn every_field_has_a_description() {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/backupmxes.backupmx.io";
    let definition = Cluster::control_plane().kube().request("GET", path, &json!(null)).unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    assert!(schema["properties"]["spec"]["properties"].as_object().unwrap().len() >= 10);
    let mut found = Vec::new();
    silent(&schema["properties"]["spec"], "spec", &mut found);
    silent(&schema["properties"]["status"], "status", &mut found);
    assert!(found.is_empty(), "without a description: {found:#?}");
}

#[test]
fn kubectl_prints_them() {
    for (field, wanted) in [
        ("bmx.spec", "The mail domains to back up"),
        ("bmx.spec.delivery.retry", "how often"),
        ("bmx.spec.relays.hostname", "The public host name"),
        ("bmx.spec.relays.name", "Default `a`"),
        ("bmx.spec.resources.limits", "What the pod may take at most"),
        ("bmx.spec.deletionPolicy", "What happens to held mail"),
        ("bmx.status.conditions", "What is the case, and why"),
    ] {
        // The API server publishes what explain reads a moment after it serves the resource.
        let explained = wait_value(&format!("kubectl explains {field}"), LONG, || {
            Some(Cluster::control_plane().kubectl(&["explain", field])).filter(|explained| explained.ok)
        });
        let text = explained.text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        assert!(text.contains(&wanted.to_lowercase()), "{field}: {}", explained.text);
    }
}
