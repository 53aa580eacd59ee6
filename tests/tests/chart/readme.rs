//! The resources that manuals show are what the API server takes, and what they show of it has its columns.

use backupmx_crds::BackupMX;
use serde_json::Value;

use crate::common::{cluster, helm, text};

/// What is fed to `kubectl apply` in a text.
fn applied(text: &str) -> Vec<String> {
    let blocks = text.split("<<YAML\n").skip(1).map(|rest| {
        let lines = rest.lines().take_while(|line| *line != "YAML");
        lines.collect::<Vec<_>>().join("\n")
    });
    blocks.collect()
}

#[test]
fn every_resource_shown_is_applied() {
    let notes = helm(&["install", "backupmx", "charts/backupmx", "--dry-run=client"]);
    assert!(notes.ok, "{}", notes.text);
    let (cluster, _mine) = cluster();
    cluster.define();
    for (what, text) in [("README.md", text("README.md")), ("the notes", notes.out)] {
        let blocks = applied(&text);
        assert_eq!(blocks.len(), 1, "{what}");
        let mail = cluster.namespace("readme");
        let mut resource: Value = serde_yaml::from_str(&blocks[0]).unwrap();
        resource["metadata"]["namespace"] = mail.name().into();
        cluster.kube().try_apply("", &resource).unwrap_or_else(|status| panic!("{what}: {}", status.message));
        assert_eq!(mail.names::<BackupMX>(), ["example-org"], "{what}");
    }
}

#[test]
fn what_kubectl_prints_has_these_columns() {
    let definition: Value = serde_yaml::from_str(&text("crds/backupmxes.yaml")).unwrap();
    let columns = definition["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap();
    let shown = columns.iter().filter(|column| column["priority"].as_i64().unwrap_or(0) == 0);
    let mut header = vec!["NAME".to_owned()];
    header.extend(shown.map(|column| column["name"].as_str().unwrap().to_uppercase()));
    let text = text("README.md");
    let printed = text.split("get bmx\n").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    assert_eq!(printed.split_whitespace().collect::<Vec<_>>(), header);
}
