//! Every example is what the API server takes, or its owner would.

use std::{fs, path::PathBuf};

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

#[test]
fn every_resource_is_applied() {
    let (cluster, _mine) = cluster();
    cluster.define();
    let mut applied = 0;
    for (path, documents) in examples() {
        for document in documents.iter().filter(|document| document["kind"] == "BackupMX") {
            let mail = cluster.namespace("example");
            mail.apply(&document.to_string());
            let name = document["metadata"]["name"].as_str().unwrap();
            assert!(mail.get::<BackupMX>(name).is_some(), "{}", path.display());
            applied += 1;
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
fn the_list_of_examples_is_whole() {
    let list = text("examples/README.md");
    for entry in fs::read_dir(repository().join("examples")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || list.contains(&format!("`{name}")), "{name}");
    }
}
