//! A domain has one owner in the cluster, and so has a relay host name: the oldest keeps it, ties go by UID, and one
//! that is being deleted yields at once.

use backupmx_crds::{BackupMX, dnsendpoint::DNSEndpoint};
use backupmx_tests::{
    LONG,
    cluster::{condition, reason},
    wait_until,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use serde_json::Value;

use crate::common::{Stage, config, resource};

/// What the relay `a` of a resource is told to do with a domain's mail.
fn accepts(stage: &Stage, name: &str, domain: &str) -> Option<String> {
    let document = config(stage, name, "a")?;
    let tenants = document["tenants"].as_array()?.clone();
    let has = |tenant: &&Value| tenant["domains"].as_array().is_some_and(|list| list.contains(&domain.into()));
    Some(tenants.iter().find(has)?["accept"].as_str()?.to_owned())
}

/// Makes two resources of one second, and says which has the lower UID: that one, and the other.
fn of_one_second(stage: &Stage, make: impl Fn(&str) -> String) -> (String, String) {
    for _ in 0..20 {
        stage.mail.apply(&make("one"));
        stage.mail.apply(&make("two"));
        let (one, two) = (stage.mail.get::<BackupMX>("one").unwrap(), stage.mail.get::<BackupMX>("two").unwrap());
        if one.metadata.creation_timestamp == two.metadata.creation_timestamp {
            let names = if one.uid() < two.uid() { ("one", "two") } else { ("two", "one") };
            return (names.0.to_owned(), names.1.to_owned());
        }
        for name in ["one", "two"] {
            stage.mail.delete::<BackupMX>(name);
            stage.mail.wait_gone::<BackupMX>(name, LONG);
        }
    }
    panic!("in twenty attempts no two resources were of one second");
}

#[test]
fn the_older_keeps_a_domain_and_the_younger_says_so() {
    let stage = Stage::new();
    let _operator = stage.operator();
    stage.mail.apply(&resource("older", "example.org", ""));
    stage.wait_observed("older");
    stage.wait_until_older("older");
    let both = resource("younger", "example.org", "").replace("[example.org]", "[example.org, example.net]");
    stage.mail.apply(&both.replace("mx1.", "mx2."));
    let younger = stage.mail.wait_condition("younger", "DomainConflict", "True", "OwnedByAnother", LONG);
    let message = condition(&younger, "DomainConflict").unwrap().message;
    assert!(message.starts_with(&format!("example.org is {}/older's: take it out", stage.mail.name())), "{message}");
    assert_eq!(younger.status.unwrap().domains, ["example.net"]);
    assert_eq!(accepts(&stage, "younger", "example.org").as_deref(), Some("Defer"), "never a 550");
    assert_eq!(accepts(&stage, "younger", "example.net").as_deref(), Some("Active"));
    let older: BackupMX = stage.mail.get("older").unwrap();
    assert_eq!(reason(&older, "DomainConflict"), ("False".into(), "NoConflict".into()));
    assert_eq!(accepts(&stage, "older", "example.org").as_deref(), Some("Active"));

    // Deleted, it yields before it has drained.
    stage.mail.delete::<BackupMX>("older");
    let younger = stage.mail.wait_condition("younger", "DomainConflict", "False", "NoConflict", LONG);
    assert_eq!(younger.status.unwrap().domains, ["example.org", "example.net"]);
    wait_until("the younger's relay takes the mail", LONG, || {
        accepts(&stage, "younger", "example.org").as_deref() == Some("Active")
    });
}

#[test]
fn of_two_of_one_second_the_lower_uid_keeps_it() {
    let stage = Stage::new();
    let host = |name: &str| format!("mx.{name}.example.net");
    let make = |name: &str| resource(name, "example.org", "").replace("mx1.example.org", &host(name));
    let (winner, loser) = of_one_second(&stage, make);
    let _operator = stage.operator();
    stage.mail.wait_condition(&loser, "DomainConflict", "True", "OwnedByAnother", LONG);
    stage.mail.wait_condition(&winner, "DomainConflict", "False", "NoConflict", LONG);
}

#[test]
fn a_domain_in_its_other_form_is_the_same() {
    let stage = Stage::new();
    let _operator = stage.operator();
    stage.mail.apply(&resource("older", "xn--bcher-kva.example", ""));
    stage.wait_observed("older");
    stage.wait_until_older("older");
    let younger =
        resource("younger", "xn--bcher-kva.example", "").replace("[xn--bcher-kva.example]", "[bücher.example]");
    stage.mail.apply(&younger.replace("mx1.", "mx2."));
    stage.mail.wait_condition("younger", "DomainConflict", "True", "OwnedByAnother", LONG);
}

#[test]
fn the_older_keeps_a_host_name() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let older = resource("older", "example.org", "");
    stage.mail.apply(&older.replace("hostname: mx1.example.org", "hostname: mx1.example.org, addresses: [192.0.2.10]"));
    stage.wait_observed("older");
    stage.wait_until_older("older");
    stage.mail.apply(&resource("younger", "example.net", "").replace("mx1.example.net", "mx1.example.org"));
    let younger = stage.mail.wait_condition("younger", "HostnameConflict", "True", "OwnedByAnother", LONG);
    let message = condition(&younger, "HostnameConflict").unwrap().message;
    assert!(
        message.starts_with(&format!("mx1.example.org is {}/older's: take it out", stage.mail.name())),
        "{message}"
    );
    assert_eq!(reason(&younger, "DomainConflict").1, "NoConflict");
    assert_eq!(accepts(&stage, "younger", "example.net").as_deref(), Some("Defer"), "its name leads elsewhere");
    wait_until("the older's relay knows whose mail may come to it", LONG, || {
        accepts(&stage, "older", "example.net").as_deref() == Some("Defer")
    });
    assert_eq!(accepts(&stage, "older", "example.org").as_deref(), Some("Active"));

    // One that goes takes nothing of the older's with it.
    let set = || stage.home.get::<DNSEndpoint>("address-mx1.example.org");
    wait_until("the older's address is published", LONG, || set().is_some());
    let before = set().unwrap().uid();
    let third = resource("third", "example.com", "  deletionPolicy: Discard\n");
    stage.mail.apply(&third.replace("mx1.example.com", "mx1.example.org"));
    stage.mail.wait_condition("third", "HostnameConflict", "True", "OwnedByAnother", LONG);
    let relay = stage.relay("third", "a");
    stage.mail.delete::<BackupMX>("third");
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    stage.wait_let_go(&relay);
    stage.mail.wait_gone::<BackupMX>("third", LONG);
    assert_eq!(set().unwrap().uid(), before);

    stage.mail.delete::<BackupMX>("older");
    stage.mail.wait_condition("younger", "HostnameConflict", "False", "NoConflict", LONG);
    assert!(stage.mail.list::<ConfigMap>().len() >= 2);
}
