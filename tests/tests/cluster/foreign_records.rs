//! A domain that has MX records already, which is everybody's first run: they are left alone until a person hands them
//! over by the record that the status names.

use backupmx_tests::cluster::condition;
use serde_json::json;

use crate::stage::Stage;

#[test]
fn they_are_adopted_by_the_record_in_the_message() {
    let stage = Stage::new("foreign");
    let domain = stage.domain().to_owned();
    stage.zones.set(&domain, &domain, "MX", &[&format!("5 mail.{domain}.")]);
    stage.apply(&json!({}));
    let waiting = stage.wait_reason("DNSPublished", "False", "ForeignRecordSet");
    assert_eq!(stage.zones.mx(&domain), Some(vec![format!("5 mail.{domain}")]), "a person's records are left alone");
    let message = condition(&waiting, "DNSPublished").unwrap().message;
    // NAME … IN TXT "CONTENT"
    let (before, rest) = message.split_once('"').unwrap_or_else(|| panic!("the record is not in {message:?}"));
    let (content, _) = rest.split_once('"').unwrap();
    let name = before.split_whitespace().find(|word| word.starts_with("_extdns-mx.")).unwrap();
    stage.zones.set(&domain, name.trim_end_matches('.'), "TXT", &[&format!("\"{content}\"")]);
    stage.wait_mx(&[format!("10 mail.{domain}"), format!("20 mx1.{domain}")]);
    stage.wait_reason("DNSPublished", "True", "Published");
}
