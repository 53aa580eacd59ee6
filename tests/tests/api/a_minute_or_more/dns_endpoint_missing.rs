//! A cluster without external-dns' DNSEndpoint: the resource says so, and all else goes on; installed later, it is used; and
//! when it is uninstalled again, its records are still in DNS: what leaves waits for DNS itself to say that they are gone.

use backupmx_crds::{BackupMX, dnsendpoint::DNSEndpoint};
use backupmx_tests::{
    LONG,
    cluster::{Cluster, PodRelay, StandIn, condition},
    wait_until,
};
use serde_json::{Value, json};

use crate::{
    common::{Stage, resource},
    dns_scene::{FIRST, HOSTS, PRIMARY},
};

const DEFINITION: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/dnsendpoints.externaldns.k8s.io";

#[test]
fn is_said_and_made_up_for() {
    let cluster = Cluster::disturbed();
    let kube = cluster.kube();
    let get = |path: &str| kube.request("GET", path, &Value::Null);
    let stage = Stage::on(&cluster);
    kube.request("DELETE", DEFINITION, &json!({})).unwrap();
    wait_until("DNSEndpoints are not served", LONG, || get("/apis/externaldns.k8s.io/v1alpha1").is_err());
    stage.dns.set_records("mx1.example.org. 60 IN A 192.0.2.10\n");
    let _operator = stage.operator();
    stage.mail.apply(&resource("example", "example.org", ""));
    let seen = stage.mail.wait_condition("example", "DNSPublished", "False", "DNSEndpointMissing", LONG);
    let message = condition(&seen, "DNSPublished").unwrap().message;
    assert!(message.contains("DNSEndpoint"), "{message}");
    let relay = stage.relay("example", "a");
    let _pod = PodRelay::start(&stage.mail, &relay);
    StandIn(&stage.mail).balance(&relay, &["192.0.2.10"]);
    stage.mail.wait_condition("example", "RelaysReady", "True", "AllReady", LONG);

    cluster.define();
    // It is looked for every minute.
    let records = |name: &str| stage.home.get::<DNSEndpoint>(name).map(|set| set.spec.endpoints[0].targets.clone());
    wait_until("the records are written", 3 * LONG, || records("mx-example.org").is_some());
    assert_eq!(records("mx-example.org").unwrap(), ["10 mail.example.org", "20 mx1.example.org"]);
    assert_eq!(records("address-mx1.example.org").unwrap(), ["192.0.2.10"]);
    stage.dns.set_records(&[HOSTS, PRIMARY, FIRST].concat());
    stage.mail.wait_condition("example", "DNSPublished", "True", "Published", LONG);

    kube.request("DELETE", DEFINITION, &json!({})).unwrap();
    stage.mail.delete::<BackupMX>("example");
    let draining = |reason: &str| {
        let seen = stage.mail.wait_condition("example", "Draining", "True", reason, 3 * LONG);
        condition(&seen, "Draining").unwrap().message
    };
    let message = draining("WaitingForRecords");
    assert!(message.contains("remove them: example.org MX mx1.example.org"), "{message}");
    stage.dns.set_records(&[HOSTS, PRIMARY].concat());
    draining("WaitingForCaches");
}
