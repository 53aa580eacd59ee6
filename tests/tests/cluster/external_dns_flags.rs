//! An external-dns that runs without `--managed-record-types=MX`, as it does by default: `DNSPublished` names the flag, and
//! all is written by one that has the flags which the chart prints. A real external-dns is started so for one zone.

use std::process::Command;

use backupmx_tests::{
    cluster::{condition, helm, reason},
    run,
};
use serde_json::json;

use crate::{
    external_dns::ExternalDns,
    stage::{OWNER, Stage},
};

/// The flags that the chart's notes print, each as a shell hands it on.
#[track_caller]
fn of_the_notes(namespace: &str) -> Vec<String> {
    let owner = format!("--set=externalDNS.txtOwnerId={OWNER}");
    let install = ["install", "backupmx", "charts/backupmx", "--dry-run=client", "--namespace", namespace, &owner];
    let printed = helm(&install);
    assert!(printed.ok, "{}", printed.text);
    let (_, notes) = printed.out.split_once("It must run with\n").expect("the notes name flags");
    let (flags, _) = notes.split_once("beside its --provider and --domain-filter").expect("the flags end");
    let line = flags.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = run(Command::new("sh").args(["-c", &format!("printf '%s\\n' {line}")]));
    assert!(words.ok, "{line}: {}", words.text);
    let words: Vec<String> = words.out.lines().map(str::to_owned).collect();
    assert_eq!(words.len(), flags.lines().filter(|line| !line.is_empty()).count(), "each line is one flag: {words:?}");
    words
}

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
    let flags = of_the_notes(stage.home.name());
    let _external_dns = ExternalDns::start_with(&stage, &flags.iter().map(String::as_str).collect::<Vec<_>>());
    stage.wait_mx(&[format!("10 mail.{}", stage.domain()), format!("20 {}", stage.hostname("a"))]);
    stage.wait_reason("DNSPublished", "True", "Published");
    stage.wait_reason("Ready", "True", "Available");
    let relay = stage.smtp("a").ip().to_string();
    assert_eq!(stage.zones.ask(&stage.hostname("a"), "A"), Some(vec![relay]));
}

#[test]
fn one_that_makes_no_mx_beside_the_addresses_of_another() {
    let stage = Stage::with_an_external_dns_of_its_own("apex", &["--dns-patience", "5s"]);
    stage.zones.set(stage.domain(), stage.domain(), "A", &["192.0.2.80"]);
    let for_all = ExternalDns::start(&stage, &["--policy=sync"]);
    stage.apply(&json!({}));
    let seen = stage.wait_reason("DNSPublished", "False", "MXNotManaged");
    let message = condition(&seen, "DNSPublished").unwrap().message;
    let why = format!("{} has A or AAAA records that are not its own", stage.domain());
    assert!(message.contains(&why) && message.contains("Most likely"), "{message}");

    // As the message says: one for the MX records alone, and another for the addresses.
    drop(for_all);
    let mx = ["--source=crd", "--managed-record-types=MX", "--label-filter=backupmx.io/records=mx", "--policy=sync"];
    let addresses = ["--source=crd", "--managed-record-types=A", "--managed-record-types=AAAA", "--policy=sync"];
    let addresses = [&addresses[..], &["--label-filter=backupmx.io/records=address"]].concat();
    let _both = [ExternalDns::start_by(&stage, &mx), ExternalDns::start_by(&stage, &addresses)];
    stage.wait_mx(&[format!("10 mail.{}", stage.domain()), format!("20 {}", stage.hostname("a"))]);
    stage.wait_reason("DNSPublished", "True", "Published");
    assert_eq!(stage.zones.ask(stage.domain(), "A"), Some(vec!["192.0.2.80".to_owned()]), "the web site stays");
}
