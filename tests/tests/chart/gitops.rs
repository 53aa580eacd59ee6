//! The examples for Argo CD and Flux are what an API server takes that has their definitions.

use std::fs;

use backupmx_tests::cluster::{Cluster, Namespace, merge};
use serde_json::{Value, json};

use crate::common::{cluster, documents_of, module};

/// A definition of another project: its module, the version, the file, and the name that it is served by.
struct Definition {
    module: &'static str,
    version: &'static str,
    file: &'static str,
    name: &'static str,
}

const APPLICATION: Definition = Definition {
    module: "github.com/argoproj/argo-cd/v3",
    version: "v3.5.7",
    file: "manifests/crds/application-crd.yaml",
    name: "applications.argoproj.io",
};

const FLUX: [Definition; 3] = [
    Definition {
        module: "github.com/fluxcd/source-controller",
        version: "v1.9.6",
        file: "config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml",
        name: "gitrepositories.source.toolkit.fluxcd.io",
    },
    Definition {
        module: "github.com/fluxcd/helm-controller",
        version: "v1.6.4",
        file: "config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml",
        name: "helmreleases.helm.toolkit.fluxcd.io",
    },
    Definition {
        module: "github.com/fluxcd/kustomize-controller",
        version: "v1.9.6",
        file: "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",
        name: "kustomizations.kustomize.toolkit.fluxcd.io",
    },
];

fn define(cluster: &Cluster, definition: &Definition) {
    let file = module(definition.module, definition.version).join(definition.file);
    cluster.kube().apply("", &fs::read_to_string(file).unwrap());
    cluster.wait_served(definition.name);
}

/// An object changed by a merge patch and applied under another name: what the API server refuses it with.
#[track_caller]
fn refusal(place: &Namespace, object: &Value, change: &Value) -> String {
    let mut object = object.clone();
    merge(&mut object, change);
    object["metadata"]["name"] = "wrong".into();
    match place.kube().try_apply("", &object) {
        Ok(_) => panic!("{change} is taken"),
        Err(status) => status.message,
    }
}

#[track_caller]
fn assert_taken(place: &Namespace, object: &mut Value) {
    object["metadata"]["namespace"] = place.name().into();
    if let Err(status) = place.kube().try_apply("", object) {
        panic!("{}", status.message);
    }
}

#[test]
fn argo_cd_s_application() {
    let (cluster, _mine) = cluster();
    define(cluster, &APPLICATION);
    let argo_cd = cluster.namespace("argo-cd");
    let mut application = documents_of("examples/argo-cd/application.yaml").remove(0);
    assert_taken(&argo_cd, &mut application);
    // It is looked at closely.
    for (change, told) in [
        (json!({"spec": {"source": {"helm": {"valueObject": {}}}}}), "valueObject"),
        (json!({"spec": {"destination": null}}), "spec.destination"),
    ] {
        let refused = refusal(&argo_cd, &application, &change);
        assert!(refused.contains(told), "{refused}");
    }
}

#[test]
fn argo_cd_s_config_map() {
    let (cluster, _mine) = cluster();
    let argo_cd = cluster.namespace("argo-cd");
    let mut map = documents_of("examples/argo-cd/argocd-cm.yaml").remove(0);
    assert_taken(&argo_cd, &mut map);
}

#[test]
fn flux_s_objects() {
    let (cluster, _mine) = cluster();
    FLUX.iter().for_each(|definition| define(cluster, definition));
    let flux = cluster.namespace("flux");
    let mut objects = documents_of("examples/flux/backupmx.yaml");
    let kinds: Vec<&str> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["GitRepository", "HelmRelease", "Kustomization"]);
    objects.iter_mut().for_each(|object| assert_taken(&flux, object));
    for (object, change, told) in [
        (&objects[0], json!({"spec": {"interval": "ten minutes"}}), "spec.interval"),
        (&objects[0], json!({"spec": {"url": null}}), "spec.url"),
        (&objects[1], json!({"spec": {"chart": {"spec": {"sourceReference": {}}}}}), "sourceReference"),
        (&objects[1], json!({"spec": {"chart": {"spec": {"sourceRef": null}}}}), "spec.chart.spec.sourceRef"),
        (&objects[1], json!({"spec": {"interval": null}}), "spec.interval"),
        (&objects[2], json!({"spec": {"prune": null}}), "spec.prune"),
        (&objects[2], json!({"spec": {"sourceRef": {"name": null}}}), "spec.sourceRef.name"),
    ] {
        let refused = refusal(&flux, object, &change);
        assert!(refused.contains(told), "{change}: {refused}");
    }
}
