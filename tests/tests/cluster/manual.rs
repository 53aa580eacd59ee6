//! `dns.mode: Manual`: nothing is published, the status lists what to enter, and what was entered is seen.

use backupmx_crds::dnsendpoint::DNSEndpoint;
use serde_json::json;

use crate::stage::Stage;

#[test]
fn what_the_status_lists_is_entered_and_seen() {
    let stage = Stage::new("manual");
    let domain = stage.domain().to_owned();
    stage.apply(&json!({"dns": {"mode": "Manual"}}));
    let listed = stage.wait_reason("DNSPublished", "False", "WaitingForPerson").status.unwrap().mx_records;
    assert_eq!(stage.home.list::<DNSEndpoint>().len(), 0);
    let prefix = format!("{domain}. 60 IN MX ");
    let entries: Vec<&str> = listed.iter().filter_map(|line| line.strip_prefix(&prefix)).collect();
    assert_eq!(entries, [format!("10 mail.{domain}."), format!("20 mx1.{domain}.")], "{listed:?}");
    let address = stage.smtp("a").ip().to_string();
    stage.zones.set(&domain, &stage.hostname("a"), "A", &[&address]);
    stage.zones.set(&domain, &domain, "MX", &entries);
    stage.wait_reason("DNSPublished", "True", "Published");
    stage.wait_reason("Ready", "True", "Available");
}
