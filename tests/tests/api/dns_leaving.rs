//! What becomes of records that nobody wants any more, and of those that a person takes over.

use std::time::Duration;

use backupmx_crds::{BackupMX, dnsendpoint::DNSEndpoint};
use backupmx_tests::{LONG, cluster::StandIn, stays, wait_until};
use serde_json::json;

use crate::{
    common::resource,
    dns_scene::{ADDRESS, FIRST, HOSTS, PRIMARY, Scene},
};

const SET: &str = "mx-example.org";
const ADDRESSES: &str = "address-mx1.example.org";

/// A scene that is published.
fn published() -> (Scene, backupmx_tests::cluster::Operator, String) {
    let scene = Scene::new(&[HOSTS, PRIMARY, FIRST].concat());
    let operator = scene.operator(&[]);
    scene.stage.mail.apply(&resource("example", "example.org", ""));
    let relay = scene.serve("a");
    scene.wait_targets(ADDRESSES, &[ADDRESS]);
    scene.published("True", "Published");
    (scene, operator, relay)
}

#[test]
fn whether_dns_still_names_a_relay_that_leaves_is_told() {
    let (scene, _operator, _) = published();
    scene.stage.mail.delete::<BackupMX>("example");
    scene.wait_targets(SET, &["10 mail.example.org"]);
    let message = scene.published("False", "StillPublished");
    assert!(message.contains("example.org has MX 10 mail.example.org, 20 mx1.example.org"), "{message}");
    scene.stage.dns.set_records(&[HOSTS, PRIMARY].concat());
    let message = scene.published("False", "Withdrawn");
    assert!(message.contains("no MX record names a relay any more"), "{message}");
    assert_eq!(scene.targets(ADDRESSES), [ADDRESS], "senders may have the records still");
}

#[test]
fn addresses_that_a_person_takes_over_are_left_until_they_are_taken_from_external_dns() {
    let (scene, _operator, relay) = published();
    let change = |dns: serde_json::Value| scene.stage.mail.merge::<BackupMX>("example", &json!({"spec": {"dns": dns}}));
    let left =
        |name: &str, field: &str| format!("DNSEndpoint {}/{name} is left from before {field}", scene.stage.home.name());
    let says = |wanted: &str| {
        scene.stage.mail.wait("example", &format!("says {wanted:?}"), LONG, |object: &BackupMX| {
            backupmx_tests::cluster::condition(object, "DNSPublished")
                .is_some_and(|known| known.message.contains(wanted))
        })
    };
    change(json!({"addresses": "Manual"}));
    says(&left(ADDRESSES, "dns.addresses was Manual"));
    says("removing its ownership record _extdns-a.mx1.example.org");
    StandIn(&scene.stage.mail).balance(&relay, &["198.51.100.7"]);
    scene.stage.look_at("example");
    stays("they are left as they were", Duration::from_secs(3), || scene.targets(ADDRESSES) == [ADDRESS]);

    let written: DNSEndpoint = scene.stage.home.get(SET).unwrap();
    change(json!({"mode": "Manual"}));
    says(&left(SET, "dns.mode was Manual"));
    says(&left(ADDRESSES, "dns.mode was Manual"));
    let kept: DNSEndpoint = scene.stage.home.get(SET).unwrap();
    assert_eq!(kept.metadata.resource_version, written.metadata.resource_version);

    for name in [ADDRESSES, SET] {
        scene.stage.home.delete::<DNSEndpoint>(name);
    }
    let quiet = |object: &BackupMX| {
        let told = backupmx_tests::cluster::condition(object, "DNSPublished");
        told.is_some_and(|known| known.reason == "Published" && !known.message.contains("is left from before"))
    };
    scene.stage.look_at("example");
    scene.stage.mail.wait("example", "says nothing of them any more", LONG, quiet);
    scene.stage.look_at("example");
    stays("they are not made again", Duration::from_secs(3), || scene.stage.home.names::<DNSEndpoint>().is_empty());

    change(json!({"mode": "ExternalDNS", "addresses": "Publish"}));
    wait_until("they are published again", LONG, || scene.targets(ADDRESSES) == ["198.51.100.7"]);
}
