//! Stories of publication: who writes the records, what is seen in DNS, and what follows.

use std::net::IpAddr;

use backupmx_crds::{Activation, AddressRecords, DnsMode, OnRelease};
use backupmx_relay_config::AcceptMode;

use super::{
    super::*,
    cluster::{Cluster, name},
};
use crate::{
    dns::{
        lookup::Host,
        survey::Said,
        tests::seen::{each, records, said},
        wire::Trouble,
    },
    labels,
    validated::Relay,
};

const WHOLE: [(u16, &str); 3] =
    [(10, "mail.example.org"), (20, "mx1.backup.example.net"), (30, "mx2.backup.example.net")];
const TARGETS: [&str; 3] = ["10 mail.example.org", "20 mx1.backup.example.net", "30 mx2.backup.example.net"];

fn domain(text: &str) -> DomainName {
    text.parse().unwrap()
}

impl Cluster {
    /// A person enters these MX records for both domains.
    fn enter(&mut self, list: &[(u16, &str)]) {
        for domain in ["example.org", "example.net"] {
            self.facts.dns.mx.insert(domain.parse().unwrap(), records(self.facts.now, list));
        }
    }

    /// DNS does not answer.
    fn servers_fail(&mut self) {
        for domain in ["example.org", "example.net"] {
            let silent = || Err(Trouble::Silent);
            self.facts.dns.mx.insert(domain.parse().unwrap(), each(self.facts.now, vec![silent(), silent()]));
        }
    }

    fn phase(&self) -> Phase {
        self.plan().leaving[0].retirement.phase
    }

    fn accepts(&self) -> Vec<AcceptMode> {
        self.plan().serving[0].document.tenants.iter().map(|tenant| tenant.accept).collect()
    }

    fn noted(&self, relay: &str) -> Vec<String> {
        let claim = self.facts.relays[&name(relay)].claim.as_ref().unwrap();
        let list = claim.metadata.annotations.as_ref().unwrap().get(labels::PUBLISHED);
        list.map(|list| list.split(',').map(str::to_owned).collect()).unwrap_or_default()
    }
}

/// All is as wanted, and a person entered the records.
fn by_hand() -> Cluster {
    let mut cluster = Cluster::settled();
    cluster.resource.dns.mode = DnsMode::Manual;
    cluster.facts.mx.clear();
    for live in cluster.facts.relays.values_mut() {
        live.addresses = None;
    }
    cluster.enter(&WHOLE);
    cluster.pass();
    cluster
}

#[test]
fn by_hand_nothing_is_written() {
    let mut cluster = Cluster::settled();
    cluster.resource.dns.mode = DnsMode::Manual;
    cluster.facts.mx.clear();
    for life in [Life::Staying, Life::Leaving] {
        cluster.facts.life = life;
        let planned = cluster.pass();
        assert_eq!((planned.mx, planned.addresses, planned.mx_deleted), (Vec::new(), Vec::new(), Vec::new()));
    }
}

#[test]
fn by_hand_it_is_published_when_all_records_are_there() {
    let mut cluster = by_hand();
    cluster.resource.activation = Activation::WhenPublished;
    for live in cluster.facts.relays.values_mut() {
        live.claim.as_mut().unwrap().metadata.annotations.as_mut().unwrap().remove(labels::PUBLISHED);
    }
    cluster.enter(&WHOLE[..2]);
    assert_eq!(cluster.accepts(), [AcceptMode::Defer], "one relay is missing");
    cluster.enter(&WHOLE);
    assert_eq!(cluster.accepts(), [AcceptMode::Active]);
}

#[test]
fn a_relay_leaves_when_a_person_has_removed_its_records() {
    let mut cluster = by_hand();
    cluster.resource.relays.pop();
    cluster.later(5);
    cluster.pass();
    assert_eq!(cluster.phase(), Phase::Withdrawing, "what DNS said before counts for nothing");
    cluster.later(100_000);
    cluster.enter(&WHOLE);
    assert_eq!(cluster.phase(), Phase::Withdrawing, "no time takes a record away");
    cluster.servers_fail();
    assert_eq!(cluster.phase(), Phase::Withdrawing, "nobody says that it is gone");
    cluster.facts.dns.mx.clear();
    assert_eq!(cluster.phase(), Phase::Withdrawing, "nobody was asked");
    cluster.enter(&WHOLE[..2]);
    cluster.facts.dns.mx.insert(domain("example.net"), records(cluster.facts.now, &WHOLE));
    assert_eq!(cluster.phase(), Phase::Withdrawing, "the other domain names it still");
    cluster.enter(&WHOLE[..2]);
    cluster.pass();
    assert_eq!(cluster.phase(), Phase::Waiting);
    cluster.later(899);
    cluster.servers_fail();
    assert_eq!(cluster.phase(), Phase::Waiting, "whatever DNS says then");
    cluster.later(1);
    assert_eq!(cluster.phase(), Phase::Closing);
}

#[test]
fn a_server_that_was_left_behind_keeps_a_relay_open() {
    let mut cluster = by_hand();
    cluster.resource.relays.pop();
    cluster.pass();
    let (new, old) = (records(cluster.facts.now, &WHOLE[..2]), records(cluster.facts.now, &WHOLE));
    let both = [&new, &old].map(|seen| seen.survey.answers[0].said.clone());
    cluster.enter(&WHOLE[..2]);
    cluster.facts.dns.mx.insert(domain("example.org"), each(cluster.facts.now, both.to_vec()));
    assert_eq!(cluster.phase(), Phase::Withdrawing);
    cluster.facts.dns.mx.insert(domain("example.org"), said(cluster.facts.now, Said::NoName));
    assert_eq!(cluster.phase(), Phase::Waiting, "a domain that is gone names nobody");
}

#[test]
fn the_ttl_that_a_person_chose_is_waited_out() {
    let mut cluster = by_hand();
    cluster.resource.relays.pop();
    cluster.pass();
    cluster.enter(&WHOLE[..2]);
    for seen in cluster.facts.dns.mx.values_mut() {
        seen.survey.ttl = Some(86_400);
    }
    cluster.pass();
    cluster.later(86_400 + 599);
    assert_eq!(cluster.phase(), Phase::Waiting);
    cluster.later(1);
    assert_eq!(cluster.phase(), Phase::Closing);
}

#[test]
fn a_person_s_word_does_for_a_domain_that_never_answers() {
    let mut cluster = by_hand();
    cluster.resource.relays.pop();
    cluster.servers_fail();
    cluster.pass();
    assert_eq!(cluster.phase(), Phase::Withdrawing);
    let claim = cluster.live("b").claim.as_mut().unwrap();
    claim.metadata.annotations.as_mut().unwrap().insert(labels::RELEASE.into(), "withdrawn".into());
    assert_eq!(cluster.phase(), Phase::Waiting);
}

#[test]
fn records_outlive_an_external_dns_that_is_uninstalled() {
    let mut cluster = Cluster::published();
    uninstall_external_dns(&mut cluster);
    cluster.resource.relays.pop();
    cluster.later(5);
    cluster.pass();
    assert_eq!(cluster.phase(), Phase::Withdrawing, "nobody has looked yet");
    cluster.later(100_000);
    cluster.enter(&WHOLE);
    assert_eq!(cluster.phase(), Phase::Withdrawing);
    cluster.enter(&WHOLE[..2]);
    assert_eq!(cluster.phase(), Phase::Waiting);
}

#[test]
fn records_that_nobody_has_changed_before_it_was_uninstalled_begin_the_wait_anew() {
    let mut cluster = Cluster::published();
    cluster.resource.relays.pop();
    for _ in 0..2 {
        cluster.pass();
    }
    assert_eq!(cluster.phase(), Phase::Waiting);
    uninstall_external_dns(&mut cluster);
    cluster.later(1);
    cluster.enter(&WHOLE);
    assert_eq!(cluster.phase(), Phase::Withdrawing);
    cluster.servers_fail();
    assert_eq!(cluster.phase(), Phase::Waiting, "silence says nothing of what was changed");
}

fn uninstall_external_dns(cluster: &mut Cluster) {
    cluster.facts.endpoint_api = EndpointApi::Missing;
    cluster.facts.mx.clear();
    cluster.facts.address_sets.clear();
}

#[test]
fn a_domain_leaves_when_a_person_has_removed_our_records() {
    let mut cluster = by_hand();
    cluster.resource.domains.pop();
    cluster.later(5);
    cluster.pass();
    cluster.later(100_000);
    cluster.enter(&WHOLE);
    cluster.pass();
    assert_eq!(cluster.accepts(), [AcceptMode::Active; 2]);
    cluster.enter(&WHOLE[..1]);
    cluster.pass();
    cluster.later(900);
    cluster.pass();
    assert_eq!(cluster.accepts(), [AcceptMode::Active, AcceptMode::Defer]);
}

#[test]
fn a_deleted_resource_waits_for_a_person_too() {
    let mut cluster = by_hand();
    cluster.facts.life = Life::Leaving;
    cluster.later(5);
    cluster.pass();
    cluster.later(100_000);
    cluster.enter(&WHOLE);
    cluster.pass();
    assert_eq!(cluster.phase(), Phase::Withdrawing);
    cluster.enter(&WHOLE[..1]);
    cluster.pass();
    cluster.later(900);
    for _ in 0..3 {
        cluster.pass();
    }
    assert!(is_over(&cluster.plan()));
}

#[test]
fn what_external_dns_holds_is_left_as_it_is_when_a_person_takes_over() {
    let mut cluster = Cluster::published();
    cluster.resource.dns.mode = DnsMode::Manual;
    let planned = cluster.pass();
    assert_eq!((planned.mx, planned.mx_deleted), (Vec::new(), Vec::new()), "deleting it would delete the records");
    cluster.resource.domains.pop();
    cluster.pass();
    assert_eq!(cluster.targets("example.net"), TARGETS[..1], "a domain that leaves gets its primary back");
    cluster.resource.dns.on_release = OnRelease::Delete;
    cluster.facts.life = Life::Leaving;
    assert_eq!(cluster.pass().mx_deleted.len(), 2);
}

#[test]
fn publication_is_kept_in_the_claims() {
    let mut cluster = Cluster::settled();
    assert_eq!(cluster.noted("a"), Vec::<String>::new());
    cluster.dns_follows();
    cluster.pass();
    assert_eq!(cluster.noted("a"), ["example.org", "example.net"]);
    cluster.servers_fail();
    cluster.pass();
    cluster.facts.dns = Seen::default();
    cluster.pass();
    assert_eq!(published(&cluster.resource, &cluster.facts), cluster.resource.domains);
    assert_eq!(cluster.noted("b"), ["example.org", "example.net"]);
}

#[test]
fn publication_outlives_the_relay_that_saw_it() {
    let mut cluster = Cluster::published();
    let lost = cluster.live("a");
    *lost = Live::default();
    cluster.facts.dns = Seen::default();
    cluster.pass();
    assert_eq!(cluster.noted("a"), ["example.org", "example.net"], "b has told it");
}

#[test]
fn only_release_undoes_publication() {
    let mut cluster = Cluster::published();
    let domain = cluster.resource.domains.pop().unwrap();
    cluster.pass();
    assert_eq!(cluster.noted("a"), ["example.org"]);
    cluster.facts.dns = Seen::default();
    cluster.resource.domains.push(domain.clone());
    cluster.pass();
    assert_eq!(published(&cluster.resource, &cluster.facts), [cluster.resource.domains[0].clone()]);
    cluster.facts.life = Life::Leaving;
    assert_eq!(published(&cluster.resource, &cluster.facts), []);
}

#[test]
fn half_of_the_records_is_not_published() {
    let mut cluster = Cluster::settled();
    cluster.enter(&WHOLE[..2]);
    assert_eq!(published(&cluster.resource, &cluster.facts), []);
    cluster.dns_follows();
    let different = each(
        cluster.facts.now,
        vec![cluster.facts.dns.mx[&domain("example.org")].survey.answers[0].said.clone(), Ok(Said::NoRecords)],
    );
    cluster.facts.dns.mx.insert(domain("example.org"), different);
    assert_eq!(published(&cluster.resource, &cluster.facts), [domain("example.net")]);
}

#[test]
fn a_record_set_that_somebody_deleted_comes_back_whole_and_at_once() {
    let mut cluster = Cluster::published();
    for live in cluster.facts.relays.values_mut() {
        live.deployment.as_mut().unwrap().status = None;
    }
    cluster.facts.mx.clear();
    cluster.facts.dns = Seen::default();
    cluster.pass();
    assert_eq!(cluster.targets("example.org"), TARGETS);
}

#[test]
fn a_relay_waits_for_its_own_address_in_dns() {
    let mut cluster = Cluster::settled();
    cluster.facts.mx.clear();
    let host = domain("mx2.backup.example.net");
    let other: IpAddr = "198.51.100.1".parse().unwrap();
    for (what, seen, resolves) in [
        ("nothing", Host::Nothing, false),
        ("an alias", Host::Alias("lb.example.com".into()), false),
        ("another's address", Host::Addresses([other].into()), false),
        ("not known", Host::Unknown, false),
        ("its own and another", Host::Addresses([other, "192.0.2.10".parse().unwrap()].into()), true),
    ] {
        cluster.facts.dns.hosts.insert(host.clone(), seen);
        let set = &cluster.plan().mx[0].spec.endpoints[0].targets;
        assert_eq!(set.contains(&TARGETS[2].to_owned()), resolves, "{what}");
    }
    cluster.facts.dns.hosts.insert(host, Host::Addresses([other].into()));
    cluster.resource.dns.addresses = AddressRecords::Manual;
    assert_eq!(cluster.plan().mx[0].spec.endpoints[0].targets, TARGETS, "somebody else knows its addresses");
}

#[test]
fn a_relay_that_is_added_joins_when_it_is_ready_and_takes_nothing_away() {
    let mut cluster = Cluster::published();
    let mut third = cluster.resource.relays[1].clone();
    (third.name, third.hostname, third.preference) = (name("c"), domain("mx3.backup.example.net"), 40);
    cluster.resource.relays.push(third);
    cluster.facts.relays.insert(name("c"), Live::default());
    cluster.pass();
    assert_eq!(cluster.targets("example.org"), TARGETS);
    assert_eq!(cluster.noted("c"), Vec::<String>::new(), "it is in none yet");
    cluster.live("c").balancer = vec!["192.0.2.10".parse().unwrap()];
    cluster.resolve(&domain("mx3.backup.example.net"));
    cluster.pass();
    assert_eq!(cluster.targets("example.org")[3], "40 mx3.backup.example.net");
    assert_eq!(
        published(&cluster.resource, &cluster.facts).len(),
        2,
        "DNS lags behind, and the domains stay published"
    );
}

#[test]
fn a_lost_record_set_comes_back_without_a_relay_that_was_never_fit_for_it() {
    let mut cluster = Cluster::published();
    let fresh = Relay {
        name: name("c"),
        hostname: domain("mx3.backup.example.net"),
        preference: 40,
        ..cluster.resource.relays[0].clone()
    };
    cluster.facts.relays.insert(fresh.name.clone(), Live::default());
    cluster.resource.relays.push(fresh.clone());
    for _ in 0..2 {
        cluster.pass();
    }
    assert_eq!(cluster.noted("a"), ["example.org", "example.net"]);
    assert_eq!(cluster.noted("c"), Vec::<String>::new(), "its claim is as new as it is");
    // A relay that was in it comes back, whatever is the matter with it now.
    cluster.live("b").balancer.clear();
    cluster.live("b").addresses = None;
    cluster.live("b").deployment = None;
    cluster.facts.mx.remove(&domain("example.org"));
    cluster.pass();
    assert_eq!(cluster.targets("example.org"), TARGETS);
    cluster.live("c").balancer = vec!["192.0.2.10".parse().unwrap()];
    cluster.resolve(&fresh.hostname);
    cluster.facts.mx.remove(&domain("example.org"));
    cluster.pass();
    assert_eq!(cluster.targets("example.org")[3..], ["40 mx3.backup.example.net"], "it is fit now");
    cluster.pass();
    assert_eq!(cluster.noted("c"), ["example.org", "example.net"]);
}
