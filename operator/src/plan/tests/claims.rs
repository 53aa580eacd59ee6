//! Claims that a person deleted.

use backupmx_relay_config::AcceptMode;

use super::super::*;
use super::cluster::{Cluster, name};
use crate::{desired::fixture, labels};

#[test]
fn a_claim_deleted_by_hand_is_replaced_only_when_its_mail_is_gone() {
    let mut cluster = Cluster::settled();
    let relay = |cluster: &mut Cluster| -> Live { cluster.facts.relays[&name("b")].clone() };
    let hold = |cluster: &mut Cluster, messages| {
        cluster.live("b").report.as_mut().unwrap().queue.messages = messages;
    };
    let accept = |planned: &Resources| {
        let found = planned.serving.iter().find(|relay| relay.name == name("b"));
        found.map(|relay| relay.document.tenants[0].accept)
    };
    let deleted = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(cluster.facts.now);
    let live = cluster.live("b");
    live.claim.as_mut().unwrap().metadata.deletion_timestamp = Some(deleted.clone());
    hold(&mut cluster, 3);
    assert_eq!(accept(&cluster.plan()), Some(AcceptMode::Active), "its mail is kept, and the relay goes on");
    cluster.live("b").report = None;
    assert_eq!(accept(&cluster.plan()), Some(AcceptMode::Active), "silence is not emptiness");
    cluster.facts.relays = Cluster::settled().facts.relays;
    let live = cluster.live("b");
    live.claim.as_mut().unwrap().metadata.deletion_timestamp = Some(deleted);
    let planned = cluster.plan();
    assert_eq!(accept(&planned), Some(AcceptMode::Defer), "nothing more is to come in");
    assert_eq!(planned.renewing, []);
    // It is told, and says so; the claim stays deleted.
    let told = planned.serving.into_iter().find(|relay| relay.name == name("b")).unwrap();
    let live = cluster.live("b");
    live.document = Some(told.document.clone());
    assert_eq!(accept(&cluster.plan()), Some(AcceptMode::Defer), "it has not said that it answers 451");
    let live = cluster.live("b");
    live.report.as_mut().unwrap().config_revision = told.document.revision;
    hold(&mut cluster, 1);
    assert_eq!(accept(&cluster.plan()), Some(AcceptMode::Active), "mail came in before the door was shut");
    hold(&mut cluster, 0);
    let coming = |cluster: &mut Cluster, messages| {
        cluster.live("b").report.as_mut().unwrap().in_flight = Some(messages);
    };
    coming(&mut cluster, 1);
    assert_eq!(accept(&cluster.plan()), Some(AcceptMode::Defer), "what comes in still is waited for, the door shut");
    coming(&mut cluster, 0);
    let planned = cluster.plan();
    assert_eq!((accept(&planned), planned.renewing.len()), (None, 1));
    assert_eq!(relay(&mut cluster).claim.unwrap().metadata.finalizers.unwrap(), [labels::HELD_MAIL]);
    // Gone.
    let live = cluster.live("b");
    (live.claim, live.deployment, live.report) = (None, None, None);
    let planned = cluster.plan();
    assert_eq!((accept(&planned), planned.renewing.len()), (Some(AcceptMode::Active), 0), "it is made anew");
}

#[test]
fn a_pod_on_a_deleted_claim_is_not_replaced_and_waits_for_nobody() {
    let mut cluster = Cluster::settled();
    let deleted = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(cluster.facts.now);
    let live = cluster.live("a");
    live.claim.as_mut().unwrap().metadata.deletion_timestamp = Some(deleted);
    live.report.as_mut().unwrap().queue.messages = 3;
    let settings = Settings { relay_image: "registry.example/relay:newer".into(), ..fixture::settings() };
    let planned = plan(&cluster.resource, &cluster.facts, &settings).unwrap();
    let replaced: Vec<(&str, bool)> =
        planned.serving.iter().map(|relay| (relay.name.as_str(), relay.deployment.is_some())).collect();
    assert_eq!(replaced, [("a", false), ("b", true)]);
}
