//! What a relay answers for a domain that leaves, or whose records name a host that another has.

use std::collections::BTreeSet;

use backupmx_relay_config::{AcceptMode, RecipientMode, RelayConfig};

use super::{super::*, cluster::Cluster};
use crate::validated::Owner;

fn tenant<'a>(document: &'a RelayConfig, domain: &str) -> &'a backupmx_relay_config::Tenant {
    let domain: DomainName = domain.parse().unwrap();
    document.tenants.iter().find(|tenant| tenant.domains.contains(&domain)).unwrap()
}

#[test]
fn who_had_an_address_in_a_domain_keeps_it_while_the_domain_leaves() {
    let mut cluster = Cluster::settled();
    let all = ["info", "ann@example.org", "bob@example.net"].map(str::to_owned);
    cluster.resource.acceptance.recipients.mode = RecipientMode::List;
    cluster.resource.acceptance.recipients.list = all.to_vec();
    cluster.pass();
    cluster.resource.domains.pop();
    cluster.resource.acceptance.recipients.list.retain(|entry| !entry.ends_with("example.net"));
    for _ in 0..3 {
        let planned = cluster.pass();
        let leaving = tenant(&planned.serving[0].document, "example.net");
        assert_eq!(leaving.accept, AcceptMode::Active);
        assert_eq!(leaving.acceptance.recipients.list, ["info", "bob@example.net"]);
    }
}

#[test]
fn of_whom_nothing_is_known_nobody_is_refused() {
    let mut cluster = Cluster::settled();
    cluster.resource.acceptance.recipients.mode = RecipientMode::List;
    cluster.resource.acceptance.recipients.list = vec!["ann@example.org".into()];
    cluster.resource.domains.pop();
    for live in cluster.facts.relays.values_mut() {
        live.document = None;
    }
    let planned = cluster.plan();
    assert_eq!(tenant(&planned.serving[0].document, "example.net").acceptance.recipients.mode, RecipientMode::Any);
}

#[test]
fn a_relay_answers_451_for_those_who_want_its_name() {
    let mut cluster = Cluster::settled();
    let host = cluster.resource.relays[0].hostname.clone();
    let others: BTreeSet<DomainName> = ["stranger.test", "example.org"].map(|domain| domain.parse().unwrap()).into();
    cluster.facts.sought.insert(host, others);
    let planned = cluster.plan();
    let [first, second] = [0, 1].map(|relay| &planned.serving[relay].document);
    assert_eq!(tenant(first, "stranger.test").accept, AcceptMode::Defer);
    assert_eq!(tenant(first, "example.org").accept, AcceptMode::Active, "its own domains stay its own");
    assert_eq!(second.tenants.len(), 1, "the other relay has another name");
}

#[test]
fn who_loses_a_name_answers_451_there_and_gives_the_primary_its_records_back() {
    let mut cluster = Cluster::settled();
    let winner = Owner { namespace: "mail".into(), name: "older".into(), uid: "0".into() };
    let lose = |cluster: &mut Cluster, relay: usize| {
        let host = cluster.resource.relays[relay].hostname.clone();
        cluster.facts.lost.hostnames.insert(host, winner.clone());
    };
    lose(&mut cluster, 0);
    let planned = cluster.pass();
    assert_eq!(tenant(&planned.serving[0].document, "example.org").accept, AcceptMode::Defer);
    assert_eq!(tenant(&planned.serving[1].document, "example.org").accept, AcceptMode::Active);
    assert_eq!(cluster.targets("example.org"), ["10 mail.example.org", "30 mx2.backup.example.net"]);
    lose(&mut cluster, 1);
    cluster.pass();
    assert_eq!(cluster.targets("example.org"), ["10 mail.example.org"]);
}

#[test]
fn a_claim_that_another_left_is_wanted_with_the_domains_of_the_spec_alone() {
    let mut cluster = Cluster::settled();
    cluster.resource.domains.pop();
    cluster.resource.owner.uid = "another".into();
    let planned = cluster.plan();
    let annotations = planned.serving[0].claim.metadata.annotations.clone().unwrap();
    assert_eq!(annotations[crate::labels::DOMAINS], "example.org", "so that it is not taken over with others' mail");
    assert_eq!(annotations.get(crate::labels::RETIRING), None);
}
