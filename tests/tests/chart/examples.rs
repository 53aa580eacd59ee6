//! The examples for Argo CD and Flux hold what is ours in them, and the list of all examples is right. `gitops` looks at
//! their form, and among the tests of the API `examples` at the resources.

use std::{collections::BTreeSet, fs};

use backupmx_tests::cluster::{documents, examples};

use crate::common::{helm, repository, text};

#[test]
fn every_values_block_is_one_that_the_chart_takes() {
    let mut blocks = 0;
    for (path, text) in examples() {
        for document in &documents(&text) {
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
