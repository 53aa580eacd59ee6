//! What is made from something else is as that would have it.

use std::process::Command;

use backupmx_tests::{program, run};
use serde_json::Value;

use crate::common::{of_kind, rendered, repository, text};

#[test]
fn the_chart_has_the_definition_of_the_api_types() {
    assert!(
        text("charts/backupmx/files/backupmxes.yaml") == text("crds/backupmxes.yaml"),
        "cp crds/backupmxes.yaml charts/backupmx/files/"
    );
}

#[test]
fn the_operator_prints_the_definition_and_nothing_else() {
    let printed = run(Command::new(program("backupmx-operator")).arg("crd"));
    assert!(printed.ok, "{}", printed.text);
    assert!(printed.out == text("crds/backupmxes.yaml"), "crds/backupmxes.yaml is not what `crd` prints");
}

#[test]
fn the_definition_is_installed_whole() {
    let objects = rendered(&[]);
    let [installed] = of_kind(&objects, "CustomResourceDefinition")[..] else { panic!("one definition") };
    let ours: Value = serde_yaml::from_str(&text("crds/backupmxes.yaml")).unwrap();
    assert_eq!(difference("spec", &installed["spec"], &ours["spec"]), None);
    assert_eq!(installed["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    let objects = rendered(&["crds.keep=false"]);
    let [installed] = of_kind(&objects, "CustomResourceDefinition")[..] else { panic!("one definition") };
    assert!(installed["metadata"]["annotations"].is_null());
    assert!(of_kind(&rendered(&["crds.enabled=false"]), "CustomResourceDefinition").is_empty());
}

/// Where two documents differ first. Helm writes 0.0 as 0.
fn difference(path: &str, one: &Value, other: &Value) -> Option<String> {
    let same = match (one, other) {
        (Value::Object(one), Value::Object(other)) if one.len() == other.len() => {
            return one.iter().find_map(|(key, value)| {
                difference(&format!("{path}.{key}"), value, other.get(key).unwrap_or(&Value::Null))
            });
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            return one.iter().zip(other).find_map(|(one, other)| difference(&format!("{path}[]"), one, other));
        }
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (one, other) => one == other,
    };
    (!same).then(|| path.to_owned())
}

#[test]
fn the_manual_lists_the_values() {
    let checked = run(Command::new(repository().join("charts/readme")).arg("--check"));
    assert!(checked.ok, "./charts/readme writes it anew:\n{}", checked.text);
}

#[test]
fn every_value_is_described() {
    // `# --` stands before every key that has no keys of its own.
    let (values, manual) = (text("charts/backupmx/values.yaml"), text("charts/backupmx/README.md"));
    let values: Value = serde_yaml::from_str(&values).unwrap();
    let mut left = vec![(String::new(), &values)];
    while let Some((path, value)) = left.pop() {
        if manual.contains(&format!("\n| `{path}` |")) {
            continue;
        }
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                let dot = if path.is_empty() { "" } else { "." };
                left.extend(fields.iter().map(|(key, value)| (format!("{path}{dot}{key}"), value)));
            }
            _ => panic!("{path} has no description"),
        }
    }
}
