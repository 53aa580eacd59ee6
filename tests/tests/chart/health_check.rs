//! Argo CD's health check of a BackupMX, run by the Lua that Argo CD runs it with.

use std::{io::Write as _, process::Stdio};

use serde_json::{Value, json};

use crate::common::{go, repository};

fn health(object: &Value) -> String {
    let script = repository().join("examples/argo-cd/health.lua");
    let mut lua = go("lua").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    lua.stdin.take().unwrap().write_all(object.to_string().as_bytes()).unwrap();
    let output = lua.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn says_what_the_conditions_say() {
    let condition =
        |kind: &str, status: &str| json!({"type": kind, "status": status, "message": format!("{kind} {status}")});
    for (observed, conditions, expected) in [
        (json!(null), json!(null), "Progressing The operator has not seen this yet"),
        (json!(1), json!([condition("Ready", "True")]), "Progressing The operator has not seen this yet"),
        (json!(2), json!([condition("Ready", "False")]), "Progressing Ready False"),
        (json!(2), json!([condition("Ready", "True"), condition("PrimaryReachable", "False")]), "Healthy Ready True"),
        (json!(2), json!([condition("Ready", "True"), condition("Stalled", "True")]), "Degraded Stalled True"),
    ] {
        let object = json!({"metadata": {"generation": 2}, "status": {"observedGeneration": observed, "conditions": conditions}});
        assert_eq!(health(&object), expected, "{object}");
    }
}
