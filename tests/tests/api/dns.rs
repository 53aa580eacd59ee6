//! What DNS says, and what follows from it: a real API server and a real name server, with the test in the place of
//! external-dns.

use std::time::Duration;

use backupmx_crds::dnsendpoint::DNSEndpoint;
use backupmx_tests::{
    LONG, Mode,
    cluster::{StandIn, condition, reason},
    stays, wait_until,
};
use k8s_openapi::api::core::v1::Service;
use serde_json::json;

use crate::{
    common::resource,
    dns_scene::{ADDRESS, FIRST, HOSTS, PRIMARY, SECOND, Scene},
};

#[test]
fn it_is_published_when_dns_has_it_and_then_nothing_undoes_it() {
    let scene = Scene::new("");
    let mut operator = scene.operator(&[]);
    scene.stage.mail.apply(&resource("example", "example.org", ""));
    let relay = scene.serve("a");
    scene.wait_targets("address-mx1.example.org", &[ADDRESS]);
    let message = scene.published("False", "WaitingForExternalDNS");
    assert!(message.contains("mx1.example.org has the address 192.0.2.10"), "{message}");
    assert_eq!(scene.targets("mx-example.org"), Vec::<String>::new(), "its name does not resolve yet");

    scene.stage.dns.set_records(HOSTS);
    scene.wait_targets("mx-example.org", &["10 mail.example.org", "20 mx1.example.org"]);
    assert_eq!(scene.note(&relay, "backupmx.io/published"), "");
    scene.stage.dns.set_records(&[HOSTS, PRIMARY, FIRST].concat());
    scene.published("True", "Published");
    assert_eq!(scene.note(&relay, "backupmx.io/published"), "example.org");

    scene.stage.dns.set_mode(Mode::ServFail);
    StandIn(&scene.stage.mail).unavailable(&relay);
    StandIn(&scene.stage.mail).balance(&relay, &[]);
    let message = scene.published("Unknown", "LookupFailed");
    assert!(message.contains("ServFail"), "{message}");
    operator.stop();
    scene.stage.mail.merge_status::<backupmx_crds::BackupMX>("example", &json!({"conditions": null}));
    operator.start_again();
    operator.wait_leads();
    scene.published("Unknown", "LookupFailed");
    stays("everything is published as it was", Duration::from_secs(3), || {
        scene.targets("mx-example.org") == ["10 mail.example.org", "20 mx1.example.org"]
            && scene.targets("address-mx1.example.org") == [ADDRESS]
            && scene.note(&relay, "backupmx.io/published") == "example.org"
    });
    scene.stage.dns.set_mode(Mode::Answer);
    scene.published("True", "Published");
}

#[test]
fn until_then_a_relay_may_answer_451_and_never_again() {
    let scene = Scene::new(HOSTS);
    let mut operator = scene.operator(&[]);
    scene.stage.mail.apply(&resource("example", "example.org", "  acceptance: {activation: WhenPublished}\n"));
    let relay = scene.serve("a");
    scene.published("False", "WaitingForExternalDNS");
    assert_eq!(scene.accepts(&relay), "Defer");
    scene.stage.dns.set_records(&[HOSTS, PRIMARY, FIRST].concat());
    wait_until("the relay takes mail", LONG, || scene.accepts(&relay) == "Active");
    scene.stage.dns.set_records("");
    operator.stop();
    operator.start_again();
    operator.wait_leads();
    scene.published("False", "WaitingForExternalDNS");
    assert_eq!(scene.accepts(&relay), "Active");
}

#[test]
fn a_foreign_record_set_is_told_with_the_record_that_hands_it_over() {
    let scene = Scene::new(&[HOSTS, "example.org. 60 IN MX 5 other.example.com.\n"].concat());
    let _operator = scene.operator(&["--txt-owner-id", "bmx"]);
    scene.stage.mail.apply(&resource("example", "example.org", ""));
    scene.serve("a");
    let message = scene.published("False", "ForeignRecordSet");
    let text = format!(
        "heritage=external-dns,external-dns/owner=bmx,external-dns/resource=crd/{}/mx-example.org",
        scene.stage.home.name()
    );
    assert!(message.contains(&format!("_extdns-mx.example.org. IN TXT \"{text}\"")), "{message}");
    let adopted = format!("_extdns-mx.example.org. 60 IN TXT \"{text}\"\n");
    scene.stage.dns.set_records(&[HOSTS, "example.org. 60 IN MX 5 other.example.com.\n", &adopted].concat());
    scene.published("False", "WaitingForExternalDNS");
    scene.stage.dns.set_records(&[HOSTS, PRIMARY, FIRST, &adopted].concat());
    scene.published("True", "Published");
}

#[test]
fn an_external_dns_that_does_nothing_is_suspected() {
    let scene = Scene::new(&[HOSTS, "example.org. 60 IN TXT \"it exists\"\n"].concat());
    let _operator = scene.operator(&["--dns-patience", "2s"]);
    scene.stage.mail.apply(&resource("example", "example.org", ""));
    scene.serve("a");
    let message = scene.published("False", "ExternalDNSNotReading");
    assert!(message.contains("--source=crd") && message.contains(scene.stage.home.name()), "{message}");
    let set: DNSEndpoint = scene.stage.home.get("mx-example.org").unwrap();
    let read = json!({"observedGeneration": set.metadata.generation});
    scene.stage.home.merge_status::<DNSEndpoint>("mx-example.org", &read);
    let message = scene.published("False", "MXNotManaged");
    assert!(message.contains("Perhaps") && message.contains("--managed-record-types=MX"), "{message}");
}

#[test]
fn by_hand_the_records_are_listed_and_verified_and_waited_for() {
    let scene = Scene::new(HOSTS);
    let _operator = scene.operator(&[]);
    let by_hand = |second: &str| {
        format!(
            "apiVersion: backupmx.io/v1alpha1\nkind: BackupMX\nmetadata: {{name: example}}\nspec:\n  \
             domains: [example.org]\n  primary: {{hosts: [{{host: mail.example.org}}]}}\n  relays:\n  \
             - {{name: a, hostname: mx1.example.org}}\n{second}  dns: {{mode: Manual}}\n"
        )
    };
    let second = "  - {name: b, hostname: mx2.example.org, preference: 30}\n";
    scene.stage.mail.apply(&by_hand(second));
    scene.serve("a");
    let leaver = scene.serve("b");
    let message = scene.published("False", "WaitingForPerson");
    assert!(message.contains("status.mxRecords"), "{message}");
    let seen = scene.stage.mail.wait("example", "lists the addresses", LONG, |object: &backupmx_crds::BackupMX| {
        object.status.as_ref().is_some_and(|status| status.mx_records.len() == 5)
    });
    assert_eq!(seen.status.unwrap().mx_records[3], "mx1.example.org. 300 IN A 192.0.2.10");
    scene.stage.dns.set_records(&[HOSTS, PRIMARY, FIRST, SECOND].concat());
    scene.published("True", "Published");

    scene.stage.mail.apply(&by_hand(""));
    let seen = scene.stage.mail.wait_condition("example", "Draining", "True", "WaitingForRecords", LONG);
    let message = condition(&seen, "Draining").unwrap().message;
    assert!(message.contains("remove them: example.org MX mx2.example.org."), "{message}");
    let phase = || scene.note(&leaver, "backupmx.io/retiring");
    assert!(phase().contains("Withdrawing"), "{}", phase());
    scene.stage.dns.set_records(&[HOSTS, PRIMARY, FIRST].concat());
    scene.stage.mail.wait_condition("example", "Draining", "True", "WaitingForCaches", LONG);
    assert!(phase().contains("Waiting"), "{}", phase());
    scene.published("True", "Published");
    assert_eq!(scene.stage.home.names::<DNSEndpoint>(), Vec::<String>::new());
}

#[test]
fn a_relay_that_no_load_balancer_gives_an_address_is_named() {
    let scene = Scene::new(&[HOSTS, PRIMARY, FIRST].concat());
    let _operator = scene.operator(&["--dns-patience", "2s"]);
    let second = "relays: [{name: b, hostname: mx2.example.org, preference: 30}, ";
    let two = resource("example", "example.org", "").replace("relays: [", second);
    scene.stage.mail.apply(&two);
    scene.serve("a");
    let second = scene.stage.relay("example", "b");
    StandIn(&scene.stage.mail).available(&second);
    wait_until("the load balancer has had its time", LONG, || {
        scene.stage.look_at("example");
        let seen = scene.stage.mail.get::<backupmx_crds::BackupMX>("example");
        seen.is_some_and(|seen| reason(&seen, "DNSPublished") == ("False".into(), "HostWithoutAddress".into()))
    });
    let message = scene.published("False", "HostWithoutAddress");
    assert!(message.contains("relay b is not among them: the load balancer has given it no address"), "{message}");
    assert_eq!(scene.targets("mx-example.org"), ["10 mail.example.org", "20 mx1.example.org"], "the other stays");
    StandIn(&scene.stage.mail).balance(&second, &[ADDRESS]);
    scene.wait_targets("mx-example.org", &["10 mail.example.org", "20 mx1.example.org", "30 mx2.example.org"]);
    scene.stage.dns.set_records(&[HOSTS, PRIMARY, FIRST, SECOND].concat());
    scene.published("True", "Published");
}

#[test]
fn a_load_balancer_s_name_is_published_as_its_addresses() {
    let scene = Scene::new("lb.example.com. 60 IN CNAME lb-1.example.com.\nlb-1.example.com. 60 IN A 198.51.100.7\n");
    let _operator = scene.operator(&[]);
    scene.stage.mail.apply(&resource("example", "example.org", ""));
    let relay = scene.stage.relay("example", "a");
    let named = json!({"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}});
    scene.stage.mail.merge_status::<Service>(&relay, &named);
    scene.wait_targets("address-mx1.example.org", &["198.51.100.7"]);
    scene.stage.dns.set_records("lb.example.com. 60 IN A 198.51.100.8\n");
    scene.wait_targets("address-mx1.example.org", &["198.51.100.8"]);
    scene.stage.dns.set_mode(Mode::ServFail);
    let asked = scene.stage.dns.questions();
    wait_until("it was asked again", LONG, || scene.stage.dns.questions() > asked + 12);
    assert_eq!(scene.targets("address-mx1.example.org"), ["198.51.100.8"], "the last addresses stay");
}
