//! The chart's `allowedDomains` bounds which namespace may claim which domain, and which host names its relays may have.

use backupmx_crds::{BackupMX, dnsendpoint::DNSEndpoint};
use backupmx_tests::{
    LONG, Place,
    cluster::{Cluster, Operator, condition, reason},
    wait_until,
};

use crate::common::{Stage, config, resource, wait_until_older};

/// An operator with these rules.
fn bound(stage: &Stage, place: &Place, rules: &str) -> Operator {
    std::fs::write(place.file("allowed.yaml"), rules).unwrap();
    let mut options = stage.options();
    options.arguments.extend(["--allowed-domains-file".into(), place.file("allowed.yaml").display().to_string()]);
    stage.operator_by(options)
}

#[test]
fn a_domain_that_is_not_allowed_is_not_served() {
    let (stage, place) = (Stage::new(), Place::new());
    let rules = format!("- namespaces: [{}]\n  domains: ['*.example.org']\n", stage.mail.name());
    let _operator = bound(&stage, &place, &rules);
    stage.mail.apply(&resource("good", "sub.example.org", ""));
    stage.mail.apply(&resource("bad", "example.net", ""));
    let bad = stage.mail.wait_condition("bad", "DomainConflict", "True", "NotAllowed", LONG);
    let message = condition(&bad, "DomainConflict").unwrap().message;
    assert!(message.contains("allowedDomains") && message.contains("example.net"), "{message}");
    assert_eq!(stage.mail.wait_event("bad", "Warning", "DomainNotAllowed", LONG), message);
    let status = bad.status.clone().unwrap();
    assert_eq!((status.domains.len(), status.mx_records.len()), (0, 0));
    assert_eq!(config(&stage, "bad", "a").unwrap()["tenants"][0]["accept"], "Defer");
    let good: BackupMX = stage.wait_observed("good");
    assert_eq!(reason(&good, "DomainConflict").1, "NoConflict");
}

#[test]
fn an_older_resource_that_may_not_have_a_domain_keeps_it_from_nobody() {
    let (stage, place) = (Stage::new(), Place::new());
    let other = Cluster::control_plane().namespace("other");
    let rules = format!("- namespaces: [{}]\n  domains: [example.org]\n", stage.mail.name());
    other.apply(&resource("older", "example.org", ""));
    // Both are there before anybody looks, and the one that is not allowed is the older or has the other UID.
    wait_until_older(&other.get("older").unwrap());
    stage.mail.apply(&resource("rightful", "example.org", ""));
    std::fs::write(place.file("allowed.yaml"), rules).unwrap();
    let mut options = stage.options();
    options.watch = Some(format!("{},{}", stage.mail.name(), other.name()));
    options.arguments.extend(["--allowed-domains-file".into(), place.file("allowed.yaml").display().to_string()]);
    let _operator = stage.operator_by(options);
    let rightful = stage.wait_observed("rightful");
    for kind in ["DomainConflict", "HostnameConflict"] {
        assert_eq!(reason(&rightful, kind), ("False".into(), "NoConflict".into()), "{kind}");
        other.wait_condition("older", kind, "True", "NotAllowed", LONG);
    }
    assert_eq!(config(&stage, "rightful", "a").unwrap()["tenants"][0]["accept"], "Active");
}

#[test]
fn no_address_is_published_for_a_host_name_that_is_not_allowed() {
    let (stage, place) = (Stage::new(), Place::new());
    let rules = format!(
        "- namespaces: [{}]\n  domains: [example.org, example.net]\n  hostnames: ['*.relays.example', mx1.example.net]\n",
        stage.mail.name()
    );
    let _operator = bound(&stage, &place, &rules);
    let at = |name: &str, domain: &str, host: &str| {
        let plain = resource(name, domain, "");
        plain.replace(&format!("mx1.{domain}}}"), &format!("{host}, addresses: [192.0.2.66]}}"))
    };
    stage.mail.apply(&at("bad", "example.org", "login.corp.example"));
    stage.mail.apply(&at("good", "example.net", "mx1.example.net"));
    let bad = stage.mail.wait_condition("bad", "HostnameConflict", "True", "NotAllowed", LONG);
    let message = condition(&bad, "HostnameConflict").unwrap().message;
    assert!(message.contains("login.corp.example") && message.contains("hostnames of its rule"), "{message}");
    assert_eq!(stage.mail.wait_event("bad", "Warning", "HostnameNotAllowed", LONG), message);
    stage.mail.wait_condition("good", "HostnameConflict", "False", "NoConflict", LONG);
    wait_until("the other's address is published", LONG, || {
        stage.home.names::<DNSEndpoint>() == ["address-mx1.example.net"]
    });
}
