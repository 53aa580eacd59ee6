//! Every object of the chart is what an API server takes, field by field, those for the Prometheus operator too.

use std::fs;

use serde_json::Value;

use crate::common::{cluster, module, rendered};

/// The Prometheus operator, whose definitions are in its module.
const PROMETHEUS_OPERATOR: (&str, &str) = ("github.com/prometheus-operator/prometheus-operator", "v0.85.0");

#[test]
fn no_object_has_a_field_that_is_not_known() {
    let (cluster, _mine) = cluster();
    cluster.define();
    let definitions = module(PROMETHEUS_OPERATOR.0, PROMETHEUS_OPERATOR.1).join("example/prometheus-operator-crd");
    for kind in ["podmonitors", "prometheusrules", "servicemonitors"] {
        let file = definitions.join(format!("monitoring.coreos.com_{kind}.yaml"));
        cluster.kube().apply("", &fs::read_to_string(file).unwrap());
        cluster.wait_served(&format!("{kind}.monitoring.coreos.com"));
    }
    let (system, watched) = (cluster.namespace("system"), cluster.namespace("watched"));
    let values = [
        "crds.enabled=false",
        "rbac.aggregate=false",
        "replicas=2",
        "metrics.serviceMonitor.enabled=true",
        "metrics.prometheusRule.enabled=true",
        "metrics.dashboard.enabled=true",
        "allowedDomains[0].namespaces={one}",
        "allowedDomains[0].domains={example.org}",
        "topologySpreadConstraints[0].maxSkew=1",
        "topologySpreadConstraints[0].topologyKey=zone",
        "topologySpreadConstraints[0].whenUnsatisfiable=ScheduleAnyway",
        "topologySpreadConstraints[0].labelSelector.matchLabels.app=x",
        "tolerations[0].operator=Exists",
        "networkPolicy.egress[0].ports[0].port=443",
    ];
    let watch = format!("watchNamespaces={{{}}}", watched.name());
    let mut taken = 0;
    for mut object in rendered(&[&values[..], &[&watch]].concat()) {
        // What is in no namespace has none; what is in one of the watched ones keeps it.
        if object["metadata"]["namespace"] == "system" || object["metadata"]["namespace"] == "default" {
            object["metadata"]["namespace"] = system.name().into();
        }
        if cluster_wide(&object) {
            continue;
        }
        let text = object.to_string();
        if let Err(status) = cluster.kube().try_apply("", &object) {
            panic!("{}\n{text}", status.message);
        }
        taken += 1;
    }
    assert!(taken >= 12, "only {taken}");
}

/// Roles of the cluster are looked at by the tests that install the chart.
fn cluster_wide(object: &Value) -> bool {
    object["metadata"]["namespace"].is_null()
}
