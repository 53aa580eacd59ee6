//! A label or annotation that the user and the chart both give is there once, as the user says.

use serde::Deserialize;
use serde_yaml::{Deserializer, Value};

use crate::common::helm;

/// What the chart makes, read as strictly as a post-renderer (Flux, kustomize) does: a key that is there twice is an
/// error.
#[track_caller]
fn strictly_rendered(values: &[&str]) -> Vec<Value> {
    let sets = values.iter().flat_map(|value| ["--set", value]);
    let output = helm(&["template", "x", "charts/backupmx"].into_iter().chain(sets).collect::<Vec<_>>());
    assert!(output.ok, "{}", output.text);
    let documents = Deserializer::from_str(&output.out).map(Value::deserialize);
    documents.map(|document| document.unwrap_or_else(|error| panic!("{error}"))).filter(|one| !one.is_null()).collect()
}

#[test]
fn what_both_give_is_as_the_user_says() {
    let part_of = "part-of=platform";
    let objects = strictly_rendered(&[
        &format!(r"commonLabels.app\.kubernetes\.io/{part_of}"),
        "commonLabels.tier=common",
        "podLabels.tier=pods",
        "metrics.serviceMonitor.enabled=true",
        "metrics.serviceMonitor.labels.tier=monitors",
        "metrics.prometheusRule.enabled=true",
        "metrics.prometheusRule.labels.tier=alerts",
        "metrics.dashboard.enabled=true",
        "metrics.dashboard.labels.tier=dashboards",
        r"podAnnotations.kubectl\.kubernetes\.io/default-container=side-car",
    ]);
    let tier = |kind: &str, name: &str| {
        let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("there is no {kind} {name}"))["metadata"]["labels"]["tier"].clone()
    };
    for (kind, name, wanted) in [
        ("Deployment", "x-backupmx", "common"),
        ("ServiceMonitor", "x-backupmx", "monitors"),
        ("PodMonitor", "x-backupmx-relays", "monitors"),
        ("PrometheusRule", "x-backupmx", "alerts"),
        ("ConfigMap", "x-backupmx-dashboard", "dashboards"),
    ] {
        assert_eq!(tier(kind, name), wanted, "{kind}");
    }
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
    assert_eq!(deployment["metadata"]["labels"]["app.kubernetes.io/part-of"], "platform");
    let pods = &deployment["spec"]["template"]["metadata"];
    assert_eq!(pods["labels"]["tier"], "pods");
    assert_eq!(pods["annotations"]["kubectl.kubernetes.io/default-container"], "side-car");
    for (key, value) in deployment["spec"]["selector"]["matchLabels"].as_mapping().unwrap() {
        assert_eq!(pods["labels"][key], *value);
    }
}
