//! A relay that comes back under another host name while it leaves.

use super::super::*;
use super::cluster::{Cluster, name};

const OLD: &str = "address-mx2.backup.example.net";
const NEW: &str = "address-mx3.backup.example.net";

fn sets(cluster: &Cluster) -> Vec<&str> {
    cluster.facts.address_sets.iter().filter_map(|set| set.metadata.name.as_deref()).collect()
}

/// Relay `b` was taken out and is back as `mx3`, whose name does not resolve yet.
fn renamed() -> Cluster {
    let mut cluster = Cluster::published();
    let mut back = cluster.resource.relays.pop().unwrap();
    cluster.pass();
    cluster.pass();
    assert_eq!(cluster.plan().leaving[0].name, name("b"));
    assert!(sets(&cluster).contains(&OLD), "a relay that leaves keeps its addresses");
    assert_eq!(cluster.plan().addresses_leaving, [], "and they are its own");
    back.hostname = "mx3.backup.example.net".parse().unwrap();
    cluster.resource.relays.push(back);
    cluster.pass();
    cluster
}

#[test]
fn the_addresses_of_its_former_name_go_when_no_sender_has_it() {
    let mut cluster = renamed();
    cluster.pass();
    assert!(sets(&cluster).contains(&OLD) && sets(&cluster).contains(&NEW));
    cluster.later(300 + 599);
    cluster.pass();
    assert!(sets(&cluster).contains(&OLD), "senders may have the name still");
    cluster.later(1);
    cluster.pass();
    assert!(!sets(&cluster).contains(&OLD));
    assert!(sets(&cluster).contains(&NEW));
    assert_eq!(cluster.plan().addresses_deleted, []);
}

#[test]
fn they_stay_while_a_record_names_it() {
    let mut cluster = renamed();
    let set = cluster.facts.mx.values_mut().next().unwrap();
    set.spec.endpoints[0].targets.push("30 mx2.backup.example.net".into());
    let named = cluster.facts.mx.clone();
    for _ in 0..3 {
        cluster.pass();
        cluster.facts.mx = named.clone();
        cluster.later(1_000_000);
    }
    assert!(sets(&cluster).contains(&OLD));
}

#[test]
fn a_name_that_is_wanted_again_waits_anew_another_day() {
    let mut cluster = renamed();
    cluster.pass();
    let newer = cluster.resource.relays[1].hostname.clone();
    cluster.resource.relays[1].hostname = "mx2.backup.example.net".parse().unwrap();
    cluster.later(1_000_000);
    cluster.pass();
    cluster.pass();
    assert!(sets(&cluster).contains(&OLD));
    cluster.resource.relays[1].hostname = newer;
    cluster.pass();
    cluster.pass();
    assert!(sets(&cluster).contains(&OLD), "it was in use until now");
}

#[test]
fn they_go_with_the_last_relay() {
    let mut cluster = renamed();
    cluster.pass();
    cluster.facts.life = Life::Leaving;
    cluster.facts.relays.clear();
    cluster.resource.relays.clear();
    let planned = cluster.plan();
    assert!(is_over(&planned));
    assert!(planned.addresses_deleted.iter().any(|set| set.metadata.name.as_deref() == Some(OLD)));
    assert_eq!(planned.addresses_leaving, []);
}
