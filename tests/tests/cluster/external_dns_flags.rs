//! An external-dns that runs without `--managed-record-types=MX`, as it does by default: `DNSPublished` names the flag, and
//! all is written when it is given. A real external-dns is started so for one zone.

use backupmx_tests::cluster::{condition, reason};
use serde_json::json;

use crate::{external_dns::ExternalDns, stage::Stage};

#[test]
fn one_that_does_not_handle_mx_records() {
    let stage = Stage::with_an_external_dns_of_its_own("no-mx", &["--dns-patience", "5s"]);
    let flags = ["--source=crd", "--managed-record-types=A", "--managed-record-types=AAAA", "--policy=sync"];
    let external_dns = ExternalDns::start_by(&stage, &flags);
    stage.apply(&json!({}));
    // Nobody but this external-dns writes the relay's address, without which the reason would be another.
    let seen = stage.wait_reason("DNSPublished", "False", "MXNotManaged");
    assert_eq!(reason(&seen, "Ready"), ("False".into(), "NotPublishedYet".into()));
    let message = condition(&seen, "DNSPublished").unwrap().message;
    let read = format!("external-dns has read DNSEndpoint {}/", stage.home.name());
    assert!(message.contains(&read) && message.contains("--managed-record-types=MX"), "{message}");

    drop(external_dns);
    let _external_dns = ExternalDns::start(&stage, &["--policy=sync"]);
    stage.wait_mx(&[format!("10 mail.{}", stage.domain()), format!("20 {}", stage.hostname("a"))]);
    stage.wait_reason("DNSPublished", "True", "Published");
    stage.wait_reason("Ready", "True", "Available");
}
