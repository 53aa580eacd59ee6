//! How a domain leaves.

use backupmx_crds::OnRelease;
use backupmx_relay_config::AcceptMode;

use super::super::*;
use super::cluster::{Cluster, WHOLE};
use crate::labels;

#[test]
fn a_domain_leaves_step_by_step() {
    let mut cluster = Cluster::settled();
    cluster.resource.domains.pop();
    let accept = |planned: &Resources| {
        let tenants = &planned.serving[0].document.tenants;
        tenants.iter().find(|tenant| tenant.domains[0].as_str() == "example.net").map(|tenant| tenant.accept)
    };
    assert_eq!(accept(&cluster.pass()), Some(AcceptMode::Active), "senders have the old records");
    assert_eq!(cluster.targets("example.net"), WHOLE[..1], "the domain keeps its primary");
    cluster.pass();
    cluster.later(900);
    assert_eq!(accept(&cluster.pass()), Some(AcceptMode::Defer));
    for _ in 0..3 {
        assert_eq!(accept(&cluster.pass()), Some(AcceptMode::Defer), "451, and never 550, for another day");
    }
    cluster.later(24 * 3600);
    assert_eq!(accept(&cluster.pass()), None);
    let claim = &cluster.plan().serving[0].claim;
    assert_eq!(claim.metadata.annotations.as_ref().unwrap()[labels::DOMAINS], "example.org");
}

#[test]
fn a_domain_that_has_left_is_left_alone() {
    let mut cluster = Cluster::settled();
    cluster.resource.domains.pop();
    for wait in [0, 0, 900, 0, 0, 0, 24 * 3600, 0] {
        cluster.later(wait);
        cluster.pass();
    }
    assert_eq!(cluster.targets("example.net"), WHOLE[..1]);
    // What becomes of the domains that stayed is nothing to it.
    cluster.resource.primary_mx[0].host = "new.example.org".parse().unwrap();
    cluster.pass();
    assert_eq!(cluster.targets("example.org")[0], "10 new.example.org");
    assert_eq!(cluster.targets("example.net"), WHOLE[..1]);
    cluster.resource.dns.on_release = OnRelease::Delete;
    for life in [Life::Staying, Life::Leaving] {
        cluster.facts.life = life;
        assert!(cluster.plan().mx_deleted.iter().all(|domain| domain.as_str() != "example.net"), "{life:?}");
    }
}

#[test]
fn a_domain_that_is_answered_451_leaves_so() {
    let mut cluster = Cluster::settled();
    let domain = cluster.resource.domains[1].clone();
    cluster.facts.not_allowed.push(domain);
    cluster.pass();
    cluster.resource.domains.pop();
    cluster.facts.not_allowed.clear();
    let accept = |planned: &Resources| {
        let tenants = &planned.serving[0].document.tenants;
        tenants.iter().find(|tenant| tenant.domains[0].as_str() == "example.net").map(|tenant| tenant.accept)
    };
    for _ in 0..2 {
        assert_eq!(accept(&cluster.pass()), Some(AcceptMode::Defer), "whom it would take is not known any more");
    }
}

#[test]
fn a_domain_leaves_only_when_nothing_of_it_is_held_or_coming_in() {
    let mut cluster = Cluster::settled();
    cluster.resource.domains.pop();
    for wait in [0, 0, 900, 0] {
        cluster.later(wait);
        cluster.pass();
    }
    let fading = |cluster: &Cluster| {
        let phases = cluster.plan().serving.into_iter().map(|relay| retirements(Some(&relay.claim))[0].phase);
        phases.map(|phase| phase == Phase::Fading).collect::<Vec<_>>()
    };
    let tenant = |cluster: &mut Cluster, change: fn(&mut backupmx_relay_config::status::TenantStatus)| {
        for live in cluster.facts.relays.values_mut() {
            let tenants = &mut live.report.as_mut().unwrap().tenants;
            // A tenant of its own, behind the one that serves.
            change(tenants.last_mut().unwrap());
        }
    };
    tenant(&mut cluster, |tenant| tenant.in_flight = Some(1));
    assert_eq!(fading(&cluster), [false, false]);
    tenant(&mut cluster, |tenant| (tenant.in_flight, tenant.queue.messages) = (Some(0), 1));
    assert_eq!(fading(&cluster), [false, false]);
    tenant(&mut cluster, |tenant| tenant.queue.messages = 0);
    assert_eq!(fading(&cluster), [true, true]);
}

#[test]
fn a_domain_that_comes_back_is_served_again() {
    let mut cluster = Cluster::settled();
    let domain = cluster.resource.domains.pop().unwrap();
    cluster.pass();
    cluster.resource.domains.push(domain);
    let planned = cluster.pass();
    assert_eq!(planned.serving[0].document.tenants.len(), 1);
    assert_eq!(cluster.targets("example.net"), WHOLE);
}

/// A cluster that a domain leaves, of which each relay holds two messages for it, and the order that they go.
fn ordered() -> Cluster {
    let mut cluster = Cluster::settled();
    cluster.resource.domains.pop();
    cluster.pass();
    for live in cluster.facts.relays.values_mut() {
        let annotations = live.claim.as_mut().unwrap().metadata.annotations.as_mut().unwrap();
        annotations.insert(labels::RELEASE.into(), labels::DISCARD.into());
    }
    hold(&mut cluster);
    cluster
}

/// Nothing has gone yet.
fn hold(cluster: &mut Cluster) {
    for live in cluster.facts.relays.values_mut() {
        live.report.as_mut().unwrap().tenants.last_mut().unwrap().queue.messages = 2;
    }
}

fn phases(planned: &Resources) -> Vec<Phase> {
    planned.serving.iter().map(|relay| retirements(Some(&relay.claim))[0].phase).collect()
}

#[test]
fn what_is_held_for_a_domain_is_discarded_by_order_when_no_more_of_it_is_taken() {
    let mut cluster = ordered();
    let mut asked = Vec::new();
    for phase in [Phase::Closing, Phase::Draining, Phase::Draining] {
        let planned = cluster.plan();
        assert_eq!(phases(&planned), [phase, phase]);
        let accept = planned.serving[0].document.tenants.last().unwrap().accept;
        assert_eq!(accept, AcceptMode::Defer, "nothing is taken that would be discarded");
        asked.push(cleared(&cluster.resource, &planned, &cluster.facts).len());
        cluster.pass();
        hold(&mut cluster);
    }
    assert_eq!(asked, [0, 2, 2], "both relays, until they hold nothing");
    let [one, _] = &cleared(&cluster.resource, &cluster.plan(), &cluster.facts)[..] else { panic!() };
    assert_eq!((one.domain.as_str(), one.messages, one.by), ("example.net", 2, ClearedBy::Relay));
    for live in cluster.facts.relays.values_mut() {
        live.report.as_mut().unwrap().tenants.last_mut().unwrap().queue.messages = 0;
    }
    let planned = cluster.plan();
    assert_eq!(phases(&planned), [Phase::Fading, Phase::Fading]);
    assert_eq!(cleared(&cluster.resource, &planned, &cluster.facts), []);
}

#[test]
fn a_relay_that_cannot_discard_is_not_waited_for() {
    let mut cluster = ordered();
    let old = |cluster: &mut Cluster| {
        hold(cluster);
        for live in cluster.facts.relays.values_mut() {
            live.report.as_mut().unwrap().discards_domains = false;
        }
    };
    old(&mut cluster);
    let planned = cluster.plan();
    assert_eq!(phases(&planned), [Phase::Fading, Phase::Fading]);
    let told = cleared(&cluster.resource, &planned, &cluster.facts);
    assert_eq!(told.iter().map(|one| (one.messages, one.by)).collect::<Vec<_>>(), [(2, ClearedBy::Person); 2]);
    cluster.pass();
    old(&mut cluster);
    assert_eq!(cleared(&cluster.resource, &cluster.plan(), &cluster.facts), [], "it is told once");
}

#[test]
fn a_relay_that_is_silent_is_waited_for() {
    let mut cluster = ordered();
    for live in cluster.facts.relays.values_mut() {
        live.report = None;
    }
    let planned = cluster.plan();
    assert_eq!(phases(&planned), [Phase::Closing, Phase::Closing]);
    assert_eq!(cleared(&cluster.resource, &planned, &cluster.facts), []);
}
