//! Prometheus' own parser understands every alert, and every panel of the dashboard.

use serde_json::{Value, json};

use crate::common::{alert_rules, fed, go, text};

#[test]
fn are_what_prometheus_reads() {
    let rules = alert_rules();
    let alerts: usize =
        rules["groups"].as_array().unwrap().iter().map(|group| group["rules"].as_array().unwrap().len()).sum();
    let checked = fed(go("rules").arg("check"), &rules.to_string());
    assert!(checked.ok, "{}", checked.text);
    assert!(checked.out.lines().count() >= alerts);
}

#[test]
fn panels_are_what_prometheus_reads() {
    let dashboard: Value = serde_json::from_str(&text("charts/backupmx/dashboards/backupmx.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("a panel has a query"));
    // As Grafana fills its variables in.
    let filled =
        |text: &str| text.replace("$__rate_interval", "5m").replace("$namespace", ".*").replace("$tenant", ".*");
    let rule = |(number, target): (usize, &Value)| json!({"record": format!("panel:{number}"), "expr": filled(target["expr"].as_str().unwrap())});
    let rules: Vec<Value> = targets.enumerate().map(rule).collect();
    assert!(rules.len() >= panels.len() && rules.len() > 15);
    let checked = fed(go("rules").arg("check"), &json!({"groups": [{"name": "panels", "rules": rules}]}).to_string());
    assert!(checked.ok, "{}", checked.text);
    assert!(!checked.out.contains('$'), "a variable nobody fills in: {}", checked.out);
}
