//! Argo CD's health check of a BackupMX, run by the Lua that Argo CD runs it with.

use serde_json::{Value, json};

use crate::common::{fed, go, repository, text};

#[track_caller]
fn health(object: &Value) -> String {
    let script = repository().join("examples/argo-cd/health.lua");
    let output = fed(go("lua").arg(script), &object.to_string());
    assert!(output.ok, "{}", output.text);
    output.out.trim().to_owned()
}

#[test]
fn says_what_the_conditions_say() {
    let condition =
        |kind: &str, status: &str| json!({"type": kind, "status": status, "message": format!("{kind} {status}")});
    for (observed, conditions, expected) in [
        (json!(null), json!(null), "Progressing The operator has not seen this yet"),
        (json!(1), json!([condition("Ready", "True")]), "Progressing The operator has not seen this yet"),
        (json!(2), json!([]), "Progressing The operator has not seen this yet"),
        (json!(2), json!([condition("Ready", "False")]), "Progressing Ready False"),
        (json!(2), json!([condition("Ready", "Unknown")]), "Progressing Ready Unknown"),
        (json!(2), json!([condition("Ready", "True"), condition("PrimaryReachable", "False")]), "Healthy Ready True"),
        (json!(2), json!([condition("Ready", "True"), condition("Stalled", "False")]), "Healthy Ready True"),
        (json!(2), json!([condition("Ready", "True"), condition("QueueHealthy", "False")]), "Healthy Ready True"),
        (json!(2), json!([condition("Ready", "True"), condition("Stalled", "True")]), "Degraded Stalled True"),
        (json!(2), json!([condition("Stalled", "True"), condition("Ready", "False")]), "Degraded Stalled True"),
    ] {
        let object = json!({"metadata": {"generation": 2}, "status": {"observedGeneration": observed, "conditions": conditions}});
        assert_eq!(health(&object), expected, "{object}");
    }
}

#[test]
fn understands_a_whole_status_as_the_operator_writes_it() {
    let golden = text("operator/src/status/snapshots/backupmx_operator__status__tests__golden.snap");
    let status = golden.splitn(3, "---\n").nth(2).unwrap();
    let status: Value = serde_yaml::from_str(status).unwrap();
    let generation = status["observedGeneration"].clone();
    let object = json!({"metadata": {"generation": generation}, "status": status});
    assert_eq!(health(&object), "Healthy relays take mail, and the MX records were published");
}
