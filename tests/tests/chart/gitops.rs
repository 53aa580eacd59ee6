//! The examples for Argo CD and Flux are what these would take.

use std::fs;

use serde_json::Value;

use crate::common::{cluster, documents_of, fed, go, module};

/// Argo CD, whose definitions are in its module.
const ARGO_CD: (&str, &str) = ("github.com/argoproj/argo-cd/v3", "v3.5.7");

#[test]
fn an_api_server_with_argo_cd_s_definition_takes_its_application() {
    let (cluster, _mine) = cluster();
    let definition = module(ARGO_CD.0, ARGO_CD.1).join("manifests/crds/application-crd.yaml");
    cluster.kube().apply("", &fs::read_to_string(definition).unwrap());
    cluster.wait_served("applications.argoproj.io");
    let argo_cd = cluster.namespace("argo-cd");
    let mut application = documents_of("examples/argo-cd/application.yaml").remove(0);
    application["metadata"]["namespace"] = argo_cd.name().into();
    cluster.kube().try_apply("", &application).unwrap_or_else(|status| panic!("{}", status.message));

    // It is looked at closely.
    let mut wrong = application.clone();
    wrong["spec"]["source"]["helm"]["valueObject"] = Value::Object(serde_json::Map::new());
    let refused = cluster.kube().try_apply("", &wrong).expect_err("an unknown field is refused");
    assert!(refused.message.contains("valueObject"), "{}", refused.message);
    application["spec"].as_object_mut().unwrap().remove("destination");
    application["metadata"]["name"] = "another".into();
    let refused = cluster.kube().try_apply("", &application).expect_err("a destination is required");
    assert!(refused.message.contains("spec.destination"), "{}", refused.message);
}

#[test]
fn flux_s_own_types_have_a_place_for_every_field() {
    let objects = documents_of("examples/flux/backupmx.yaml");
    let text = |objects: &[Value]| objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let read = fed(&mut go("flux"), &text(&objects));
    assert!(read.ok, "{}", read.text);
    assert_eq!(read.out, "GitRepository\nHelmRelease\nKustomization\n");

    let mut wrong = objects[1].clone();
    wrong["spec"]["chart"]["spec"]["sourceReference"] = wrong["spec"]["chart"]["spec"]["sourceRef"].clone();
    let refused = fed(&mut go("flux"), &text(&[wrong]));
    assert!(!refused.ok && refused.text.contains("spec.chart.spec.sourceReference"), "{}", refused.text);
    let mut wrong = objects[0].clone();
    wrong["spec"]["interval"] = "ten minutes".into();
    let refused = fed(&mut go("flux"), &text(&[wrong]));
    assert!(!refused.ok && refused.text.contains("ten minutes"), "{}", refused.text);
}
