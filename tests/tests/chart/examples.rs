//! Every example is what the API server takes, or its owner would.

use std::{collections::BTreeSet, fs, path::PathBuf};

use backupmx_crds::BackupMX;
use backupmx_tests::cluster::documents;
use serde_json::Value;

use crate::common::{cluster, helm, repository, text};

/// All YAML files below `examples`, with their documents.
fn examples() -> Vec<(PathBuf, Vec<Value>)> {
    let mut folders = vec![repository().join("examples")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "yaml") {
                let documents = documents(&fs::read_to_string(&path).unwrap());
                assert!(!documents.is_empty(), "{}", path.display());
                found.push((path, documents));
            }
        }
    }
    found
}

/// Kinds of Argo CD and Flux, which `gitops` looks at.
const GITOPS: &[&str] = &["Application", "GitRepository", "HelmRelease", "Kustomization"];

#[test]
fn every_one_is_applied() {
    let (cluster, _mine) = cluster();
    cluster.define();
    let mut applied = 0;
    for (path, documents) in examples() {
        for mut document in documents {
            let kind = document["kind"].as_str().unwrap().to_owned();
            if GITOPS.contains(&kind.as_str()) {
                continue;
            }
            let mail = cluster.namespace("example");
            document["metadata"]["namespace"] = mail.name().into();
            cluster
                .kube()
                .try_apply("", &document)
                .unwrap_or_else(|status| panic!("{}: {}", path.display(), status.message));
            if kind == "BackupMX" {
                let name = document["metadata"]["name"].as_str().unwrap();
                assert!(mail.get::<BackupMX>(name).is_some(), "{}", path.display());
                applied += 1;
            }
        }
    }
    assert!(applied >= 4, "only {applied}");
}

/// Kinds of other projects: what is ours in them are the values and the path of the chart.
#[test]
fn every_values_block_is_one_that_the_chart_takes() {
    let mut blocks = 0;
    for (path, documents) in examples() {
        for document in &documents {
            for field in ["apiVersion", "kind"] {
                assert!(document[field].is_string(), "{}: {field}", path.display());
            }
            assert!(document["metadata"]["name"].is_string(), "{}: metadata.name", path.display());
            let (values, chart) = match document["kind"].as_str().unwrap() {
                "Application" => {
                    let source = &document["spec"]["source"];
                    (&source["helm"]["valuesObject"], &source["path"])
                }
                "HelmRelease" => (&document["spec"]["values"], &document["spec"]["chart"]["spec"]["chart"]),
                _ => continue,
            };
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), values.to_string()).unwrap();
            let file = file.path().display().to_string();
            let output = helm(&["template", "backupmx", chart.as_str().unwrap(), "--values", &file]);
            assert!(output.ok, "{}: {}", path.display(), output.text);
            assert!(output.text.contains("registry.example.org/mail/backupmx-operator"), "{}", path.display());
            blocks += 1;
        }
    }
    assert_eq!(blocks, 2);
}

#[test]
fn the_patch_for_argo_cd_holds_the_health_check() {
    let patch = &documents(&text("examples/argo-cd/argocd-cm.yaml"))[0];
    let script = &patch["data"]["resource.customizations.health.backupmx.io_BackupMX"];
    assert_eq!(script.as_str().unwrap(), text("examples/argo-cd/health.lua"));
}

#[test]
fn the_list_of_examples_names_what_is_there_and_nothing_else() {
    let list = text("examples/README.md");
    let listed: BTreeSet<&str> = list.lines().filter_map(|line| line.strip_prefix("| [`")?.split('`').next()).collect();
    let there = fs::read_dir(repository().join("examples")).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let slash = if entry.file_type().unwrap().is_dir() { "/" } else { "" };
        format!("{}{slash}", entry.file_name().into_string().unwrap())
    });
    let there: Vec<String> = there.filter(|name| name != "README.md").collect();
    assert_eq!(listed, there.iter().map(String::as_str).collect());
}
