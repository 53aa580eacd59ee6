//! Which records are published, and when.

use backupmx_crds::Activation;
use backupmx_relay_config::AcceptMode;

use super::super::*;
use super::cluster::{Cluster, WHOLE};
use crate::desired::mx as mx_records;

#[test]
fn nothing_is_published_before_a_relay_is_ready_addressed_and_resolves() {
    let mut cluster = Cluster::new();
    assert_eq!(cluster.pass().mx, [], "no relay runs yet");
    assert_eq!(cluster.pass().mx, [], "no address is known yet");
    let live = cluster.live("a");
    live.balancer = vec!["192.0.2.10".parse().unwrap()];
    assert_eq!(cluster.pass().mx, [], "the name does not resolve yet");
    cluster.resolve(&"mx1.backup.example.net".parse().unwrap());
    cluster.pass();
    assert_eq!(cluster.targets("example.org"), WHOLE[..2], "the other relay waits for its own");
}

#[test]
fn publication_latches() {
    let mut cluster = Cluster::settled();
    assert_eq!(cluster.targets("example.org"), WHOLE);
    for live in cluster.facts.relays.values_mut() {
        live.deployment.as_mut().unwrap().status = None;
        live.balancer = Vec::new();
        live.report = None;
    }
    cluster.facts.dns = Seen::default();
    cluster.pass();
    assert_eq!(cluster.targets("example.org"), WHOLE);
}

#[test]
fn until_it_is_published_a_domain_may_wait() {
    let mut cluster = Cluster::settled();
    cluster.resource.activation = Activation::WhenPublished;
    let accepts =
        |planned: &Resources| planned.serving[0].document.tenants.iter().map(|t| t.accept).collect::<Vec<_>>();
    assert_eq!(accepts(&cluster.pass()), [AcceptMode::Defer]);
    cluster.dns_follows();
    assert_eq!(accepts(&cluster.pass()), [AcceptMode::Active]);
    cluster.facts.dns = Seen::default();
    assert_eq!(accepts(&cluster.pass()), [AcceptMode::Active], "what was seen once stays");
}

#[test]
fn the_primary_s_records_are_read_back_from_a_live_set() {
    let cluster = Cluster::settled();
    assert_eq!(mx_records::hosts(&cluster.facts.mx["example.org"]).len(), 3);
}
