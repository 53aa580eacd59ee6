//! A value that cannot be right is refused with its place; `global` is let through.

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
        ("metrics.prometheusRule.queueFullPercent=101", "/metrics/prometheusRule/queueFullPercent"),
    ] {
        let output = helm(&["template", "x", "charts/backupmx", "--set", value]);
        assert!(!output.ok, "{value} was taken");
        assert!(output.text.contains(place), "{value}: {}", output.text);
    }
}

#[test]
fn global_values_are_let_through() {
    let output = helm(&["template", "x", "charts/backupmx", "--set", "global.anything.at=all"]);
    assert!(output.ok, "{}", output.text);
}
