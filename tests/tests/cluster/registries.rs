//! The ways in which external-dns keeps which records are its own: nowhere, and in TXT records that only it can read. A
//! real external-dns is started so for one zone.

use backupmx_crds::BackupMX;
use backupmx_tests::cluster::{Zones, condition};
use serde_json::json;

use crate::{
    external_dns::ExternalDns,
    stage::{NAME, PATIENCE, Stage},
};

fn owner(zones: &Zones, record: &str) -> Vec<String> {
    zones.ask(record, "TXT").expect("the server answers")
}

#[test]
fn where_it_is_kept_nowhere_all_is_its_own() {
    let stage = Stage::with_an_external_dns_of_its_own("noop", &["--registry", "noop"]);
    let domain = stage.domain().to_owned();
    stage.zones.set(&domain, &domain, "MX", &[&format!("5 old.{domain}.")]);
    stage.apply(&json!({}));
    stage.zones.set(&domain, &stage.hostname("a"), "A", &[&stage.smtp("a").ip().to_string()]);
    // Its own, and so not foreign, whoever made the records.
    stage.mail.wait(NAME, "waits for external-dns", PATIENCE, |resource: &BackupMX| {
        condition(resource, "DNSPublished").is_some_and(|known| {
            known.reason == "WaitingForExternalDNS" && known.message.contains(&format!("DNS has MX 5 old.{domain}"))
        })
    });

    // With `sync` it would delete all that it was not told of.
    let _external_dns = ExternalDns::start(&stage, &["--registry", "noop", "--policy", "upsert-only"]);
    stage.wait_mx(&[format!("10 mail.{domain}"), format!("20 mx1.{domain}")]);
    stage.wait_reason("DNSPublished", "True", "Published");
    stage.wait_reason("Ready", "True", "Available");
    assert_eq!(owner(&stage.zones, &format!("_extdns-mx.{domain}")), [""; 0]);
    assert_eq!(
        stage.zones.ask(&format!("mail.{domain}"), "A").map(|found| found.len()),
        Some(1),
        "the primary is there"
    );
}

#[test]
fn where_only_it_can_read_it_nobody_is_called_foreign_for_it() {
    let mut stage = Stage::with_an_external_dns_of_its_own("sealed", &["--dns-patience", "5s"]);
    let domain = stage.domain().to_owned();
    let sealed =
        ["--txt-encrypt-enabled", "--txt-encrypt-aes-key", "thirty-two octets of a test key!", "--policy", "sync"];
    let external_dns = ExternalDns::start(&stage, &sealed);
    stage.zones.set(&domain, &domain, "MX", &[&format!("5 old.{domain}.")]);
    stage.apply(&json!({}));
    let foreign = stage.wait_reason("DNSPublished", "False", "ForeignRecordSet");
    let message = condition(&foreign, "DNSPublished").unwrap().message;
    let content = message.split('"').nth(1).expect("the record that hands it over");
    let record = format!("_extdns-mx.{domain}");
    stage.zones.set(&domain, &record, "TXT", &[&format!("\"{content}\"")]);
    let right = [format!("10 mail.{domain}"), format!("20 mx1.{domain}")];
    stage.wait_mx(&right);
    stage.wait_reason("DNSPublished", "True", "Published");
    for record in [record, format!("_extdns-a.mx1.{domain}")] {
        let texts = owner(&stage.zones, &record);
        assert!(texts.len() == 1 && !texts[0].contains("heritage"), "{record}: {texts:?}");
    }

    drop(external_dns);
    stage.zones.set(&domain, &domain, "MX", &[&format!("5 old.{domain}.")]);
    // One that has just started asks at once.
    stage.operator().stop();
    stage.operator().start_again();
    stage.operator().wait_leads();
    let wrong = stage.wait_reason("DNSPublished", "False", "WrongRecords");
    let message = condition(&wrong, "DNSPublished").unwrap().message;
    assert!(message.contains(&format!("_extdns-mx.{domain} is encrypted, so only external-dns knows")), "{message}");

    let _external_dns = ExternalDns::start(&stage, &sealed);
    stage.wait_mx(&right);
    stage.wait_reason("DNSPublished", "True", "Published");
}
