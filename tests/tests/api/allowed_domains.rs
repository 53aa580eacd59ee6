//! The chart's `allowedDomains` bounds which namespace may claim which domain.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Place,
    cluster::{condition, reason},
};

use crate::common::{Stage, config, resource};

#[test]
fn a_domain_that_is_not_allowed_is_not_served() {
    let stage = Stage::new();
    let place = Place::new();
    let rules = format!("- namespaces: [{}]\n  domains: ['*.example.org']\n", stage.mail.name());
    std::fs::write(place.file("allowed.yaml"), rules).unwrap();
    let mut options = stage.options();
    options.arguments.extend(["--allowed-domains-file".into(), place.file("allowed.yaml").display().to_string()]);
    let _operator = stage.operator_by(options);
    stage.mail.apply(&resource("good", "sub.example.org", ""));
    stage.mail.apply(&resource("bad", "example.net", ""));
    let bad = stage.mail.wait_condition("bad", "DomainConflict", "True", "NotAllowed", LONG);
    let message = condition(&bad, "DomainConflict").unwrap().message;
    assert!(message.contains("allowedDomains") && message.contains("example.net"), "{message}");
    let status = bad.status.clone().unwrap();
    assert_eq!((status.domains.len(), status.mx_records.len()), (0, 0));
    assert_eq!(config(&stage, "bad", "a").unwrap()["tenants"][0]["accept"], "Defer");
    let good: BackupMX = stage.wait_observed("good");
    assert_eq!(reason(&good, "DomainConflict").1, "NoConflict");
}
