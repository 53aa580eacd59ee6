//! Prometheus' own parser understands every alert.

use std::{io::Write as _, process::Stdio};

use crate::common::{go, of_kind, rendered};

#[test]
fn are_what_prometheus_reads() {
    let objects = rendered(&["metrics.prometheusRule.enabled=true"]);
    let rules = &of_kind(&objects, "PrometheusRule")[0]["spec"];
    let alerts: usize =
        rules["groups"].as_array().unwrap().iter().map(|group| group["rules"].as_array().unwrap().len()).sum();
    let mut checker = go("rules").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    checker.stdin.take().unwrap().write_all(rules.to_string().as_bytes()).unwrap();
    let output = checker.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).lines().count() >= alerts);
}
