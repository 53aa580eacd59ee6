//! Prometheus' own parser understands every alert.

use crate::common::{alert_rules, fed, go};

#[test]
fn are_what_prometheus_reads() {
    let rules = alert_rules();
    let alerts: usize =
        rules["groups"].as_array().unwrap().iter().map(|group| group["rules"].as_array().unwrap().len()).sum();
    let checked = fed(go("rules").arg("check"), &rules.to_string());
    assert!(checked.ok, "{}", checked.text);
    assert!(checked.out.lines().count() >= alerts);
}
