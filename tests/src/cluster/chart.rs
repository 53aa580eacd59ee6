//! The chart, without a cluster.

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;

use super::documents;
use crate::{Output, run};

/// The checkout.
#[must_use]
pub fn repository() -> PathBuf {
    let kit = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    kit.parent().map_or(kit.clone(), std::path::Path::to_owned)
}

/// All YAML files below `examples`, each with its text.
///
/// # Panics
/// They cannot be read.
#[must_use]
pub fn examples() -> Vec<(PathBuf, String)> {
    let mut folders = vec![repository().join("examples")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "yaml") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

/// Runs helm without a cluster.
///
/// # Panics
/// It cannot be built or started.
#[track_caller]
pub fn helm(arguments: &[&str]) -> Output {
    run(Command::new(tool("helm")).args(arguments).current_dir(repository()))
}

/// What the chart makes in a namespace with these values.
///
/// # Panics
/// helm refuses them.
#[must_use]
#[track_caller]
pub fn rendered_in(namespace: &str, values: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["template", "backupmx", "charts/backupmx", "--namespace", namespace];
    arguments.extend(values.iter().flat_map(|value| ["--set", value]));
    let output = helm(&arguments);
    assert!(output.ok, "{}", output.text);
    documents(&output.out)
}

/// A program of the cluster, built if it is not.
fn tool(name: &str) -> PathBuf {
    let built = run(Command::new(repository().join("tests/cluster/build")).arg(name));
    assert!(built.ok, "{}", built.text);
    let script = r#"cluster_folder=$PWD/tests/cluster; . tests/cluster/lib/common.sh; echo "$built/bin""#;
    let folder = run(Command::new("bash").args(["-c", script]).current_dir(repository()));
    PathBuf::from(folder.out.trim()).join(name)
}
