//! A value that cannot be right is refused with its place; others are let through.

use crate::common::helm;

#[test]
fn a_wrong_value_is_refused_with_its_place() {
    for (value, place) in [
        ("replicas=0", "/replicas"),
        ("replcias=2", "replcias"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("externalDNS.txtPrefix=_extdns.", "/externalDNS/txtPrefix"),
        ("externalDNS.registry=etcd", "/externalDNS/registry"),
        ("metrics.prometheusRule.nearExpiryPercent=100", "/metrics/prometheusRule/nearExpiryPercent"),
        ("watchNamespaces={Upper}", "/watchNamespaces/0"),
        ("allowedDomains[0].namespaces={one}", "/allowedDomains/0"),
        ("allowedDomains[0].hostnames[0]=", "/allowedDomains/0"),
        ("image.operator.digest=latest", "/image/operator/digest"),
        ("nameservers={ns.example.org}", "/nameservers/0"),
        (r"podLabels.app\.kubernetes\.io/name=mine", "/podLabels"),
        (r"commonLabels.app\.kubernetes\.io/instance=mine", "/commonLabels"),
        (r"metrics.dashboard.labels.app\.kubernetes\.io/managed-by=me", "/metrics/dashboard/labels"),
        ("metrics.prometheusRule.queueFullPercent=101", "/metrics/prometheusRule/queueFullPercent"),
    ] {
        let output = helm(&["template", "x", "charts/backupmx", "--set", value]);
        assert!(!output.ok, "{value} was taken");
        assert!(output.text.contains(place), "{value}: {}", output.text);
    }
}

#[test]
fn a_nameserver_is_an_address_with_or_without_a_port() {
    for value in ["192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:53"] {
        let output = helm(&["template", "x", "charts/backupmx", "--set", &format!("nameservers={{{value}}}")]);
        assert!(output.ok && output.text.contains(&format!("--nameserver={value}")), "{value}: {}", output.text);
    }
}

#[test]
fn global_values_are_let_through() {
    let output = helm(&["template", "x", "charts/backupmx", "--set", "global.anything.at=all"]);
    assert!(output.ok, "{}", output.text);
}
