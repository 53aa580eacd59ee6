//! How a domain leaves.

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
