//! Alerts and dashboard speak of metrics that there are.

use std::collections::BTreeSet;

use crate::common::{of_kind, rendered, text};

/// The metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with("backupmx_"))
        .map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect()
}

/// The metrics that the manuals list, in the first column of a table.
fn known() -> BTreeSet<String> {
    let manuals = [text("relay/README.md"), text("operator/README.md")].concat();
    let rows = manuals.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.filter(|name| name.starts_with("backupmx_")).map(str::to_owned).collect()
}

#[test]
fn of_the_dashboard_and_the_alerts_are_known() {
    let known = known();
    assert!(known.len() > 30, "the manuals list {known:?}");
    let dashboard = text("charts/backupmx/dashboards/backupmx.json");
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).expect("the dashboard is JSON");
    let objects = rendered(&["metrics.prometheusRule.enabled=true"]);
    let rules = of_kind(&objects, "PrometheusRule")[0].to_string();
    for (what, text) in [("dashboard", dashboard.to_string()), ("alerts", rules)] {
        let named = named(&text);
        assert!(named.len() >= 8, "{what}: {named:?}");
        let unknown: Vec<&String> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{what}: {unknown:?}");
    }
}
