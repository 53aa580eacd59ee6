//! How a relay leaves.

use backupmx_relay_config::AcceptMode;

use super::super::*;
use super::cluster::{Cluster, WHOLE, leave, name};
use crate::labels;

#[test]
fn a_relay_that_leaves_drains_first() {
    let mut cluster = Cluster::settled();
    cluster.resource.relays.pop();
    cluster.live("b").report.as_mut().unwrap().queue.messages = 3;
    let planned = cluster.pass();
    assert_eq!(planned.leaving[0].name, name("b"));
    assert_eq!(cluster.targets("example.org"), WHOLE[..2]);
    leave(&mut cluster);
    let phase = |cluster: &Cluster| cluster.plan().leaving[0].retirement.phase;
    assert_eq!(phase(&cluster), Phase::Draining);
    let (_, document) = cluster.plan().leaving[0].config.clone().unwrap();
    assert!(document.tenants.iter().all(|tenant| tenant.accept == AcceptMode::Defer));
    cluster.later(1_000_000);
    assert_eq!(phase(&cluster), Phase::Draining, "mail is never let go by time");
    let report = cluster.live("b").report.as_mut().unwrap();
    report.queue.messages = 0;
    report.storage.quarantined = 1;
    assert_eq!(phase(&cluster), Phase::Draining, "a damaged part is held mail too");
    let report = cluster.live("b").report.as_mut().unwrap();
    report.storage.quarantined = 0;
    report.in_flight = Some(1);
    assert_eq!(phase(&cluster), Phase::Draining, "a message that is coming in was begun before the door was shut");
    let report = cluster.live("b").report.as_mut().unwrap();
    report.in_flight = Some(0);
    report.config_revision -= 1;
    assert_eq!(phase(&cluster), Phase::Draining, "empty under a config that lets mail in says nothing");
    let report = cluster.live("b").report.as_mut().unwrap();
    report.config_revision += 1;
    report.config_kept = Some(report.config_revision - 1);
    assert_eq!(phase(&cluster), Phase::Draining, "started anew on a late ConfigMap it would take mail again");
    let report = cluster.live("b").report.as_mut().unwrap();
    report.config_kept = Some(report.config_revision);
    assert_eq!(phase(&cluster), Phase::Gone);
}

#[test]
fn what_a_relay_drains_to_and_how_long_it_holds_follow_the_spec() {
    let mut cluster = Cluster::settled();
    cluster.resource.relays.pop();
    cluster.live("b").report.as_mut().unwrap().queue.messages = 3;
    cluster.pass();
    leave(&mut cluster);
    let moved: backupmx_relay_config::Primary = backupmx_relay_config::Primary {
        hosts: vec![backupmx_relay_config::PrimaryHost { port: 2525, ..cluster.resource.primary.hosts[0].clone() }],
        ..cluster.resource.primary.clone()
    };
    cluster.resource.primary = moved.clone();
    cluster.resource.hold.max_age = "30d".parse().unwrap();
    let (_, document) = cluster.plan().leaving[0].config.clone().unwrap();
    for tenant in &document.tenants {
        assert_eq!((&tenant.primary, tenant.accept), (&moved, AcceptMode::Defer));
        assert_eq!(tenant.hold, cluster.resource.hold);
    }
    let before = cluster.facts.relays[&name("b")].report.as_ref().unwrap().config_revision;
    assert!(document.revision > before);
}

#[test]
fn a_relay_whose_config_is_lost_waits_for_the_records_all_the_same() {
    let mut cluster = Cluster::settled();
    cluster.resource.relays.pop();
    cluster.pass();
    cluster.live("b").document = None;
    let phase = |cluster: &Cluster| cluster.plan().leaving[0].retirement.phase;
    assert_eq!(phase(&cluster), Phase::Withdrawing, "another relay is in the records, and which is not known");
    cluster.facts.life = Life::Leaving;
    cluster.pass();
    cluster.live("b").document = None;
    let waiting = cluster.plan();
    let of_b = waiting.leaving.iter().find(|relay| relay.name == name("b")).unwrap();
    assert_eq!(of_b.retirement.phase, Phase::Waiting, "the primary is alone in them");
}

#[test]
fn a_relay_whose_claim_was_forced_away_has_nothing_to_drain() {
    let mut cluster = Cluster::settled();
    cluster.resource.relays.pop();
    let now = cluster.facts.now;
    let live = cluster.live("b");
    live.claim = None;
    let deployment = live.deployment.as_mut().unwrap();
    deployment.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
    assert_ne!(cluster.plan().leaving[0].retirement.phase, Phase::Gone, "its claim may not be known yet");
    cluster.later(120);
    cluster.live("b").report.as_mut().unwrap().queue.messages = 3;
    let told = cluster.plan().leaving.remove(0);
    assert_eq!(told.retirement.phase, Phase::Draining, "its pod still has the old volume");
    let (_, document) = told.config.unwrap();
    assert!(document::is_closed(&document));
    let live = cluster.live("b");
    let report = live.report.as_mut().unwrap();
    (report.config_revision, report.config_kept) = (document.revision, Some(document.revision));
    live.document = Some(document);
    assert_eq!(cluster.plan().leaving[0].retirement.phase, Phase::Draining);
    let mut empty = cluster.facts.relays[&name("b")].report.clone().unwrap();
    empty.queue.messages = 0;
    for report in [Some(empty), None] {
        cluster.live("b").report = report;
        assert_eq!(cluster.plan().leaving[0].retirement.phase, Phase::Gone);
    }
}

#[test]
fn a_relay_that_is_gone_stays_gone_while_its_claim_lingers() {
    let mut cluster = Cluster::settled();
    cluster.resource.relays.pop();
    for _ in 0..2 {
        cluster.pass();
    }
    leave(&mut cluster);
    let planned = cluster.pass();
    assert_eq!(planned.leaving[0].retirement.phase, Phase::Gone);
    // The operator died after the Deployment, and another goes on: nobody can ask the relay any more.
    let live = cluster.live("b");
    let noted = live.claim.as_mut().unwrap().metadata.annotations.as_mut().unwrap();
    noted.insert(
        labels::RETIRING.into(),
        planned.leaving[0].claim.metadata.annotations.as_ref().unwrap()[labels::RETIRING].clone(),
    );
    (live.deployment, live.document, live.report) = (None, None, None);
    assert_eq!(cluster.plan().leaving[0].retirement.phase, Phase::Gone);
    // Its claim was let go, and its pod is not gone yet.
    let deleted = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(cluster.facts.now);
    let claim = cluster.live("b").claim.as_mut().unwrap();
    (claim.metadata.deletion_timestamp, claim.metadata.finalizers) =
        (Some(deleted), Some(vec!["kubernetes.io/pvc-protection".into()]));
    assert_eq!(cluster.plan().leaving, []);
}

#[test]
fn a_relay_that_leaves_has_a_pod_until_it_is_gone_and_none_afterwards() {
    let mut cluster = Cluster::settled();
    cluster.resource.relays.pop();
    let pod = |cluster: &Cluster| cluster.plan().leaving[0].deployment.is_some();
    cluster.pass();
    cluster.live("b").deployment = None;
    assert!(pod(&cluster), "one that somebody deleted comes back: it may hold mail");
    let mut ending = cluster.facts.relays[&name("b")].claim.clone().unwrap();
    ending.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(cluster.facts.now));
    let kept = cluster.live("b").claim.replace(ending);
    assert!(!pod(&cluster), "no pod could start on it");
    cluster.live("b").claim = kept;
    leave(&mut cluster);
    assert_eq!(cluster.plan().leaving[0].retirement.phase, Phase::Gone);
    assert!(!pod(&cluster), "nothing is made anew");
}
