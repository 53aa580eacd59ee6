//! Claims that a person deleted, or that are gone.

use backupmx_relay_config::AcceptMode;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::ToSpan};

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
    let deleted = Time(cluster.facts.now);
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
    cluster.live("b").report.as_mut().unwrap().config_revision = told.document.revision;
    let planned = cluster.plan();
    assert_eq!(
        (accept(&planned), planned.renewing.len()),
        (Some(AcceptMode::Defer), 0),
        "started anew it might forget"
    );
    cluster.live("b").report.as_mut().unwrap().config_kept = Some(told.document.revision);
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
    let deleted = Time(cluster.facts.now);
    let live = cluster.live("a");
    live.claim.as_mut().unwrap().metadata.deletion_timestamp = Some(deleted);
    live.report.as_mut().unwrap().queue.messages = 3;
    let settings = Settings { relay_image: "registry.example/relay:newer".into(), ..fixture::settings() };
    let planned = plan(&cluster.resource, &cluster.facts, &settings).unwrap();
    let replaced: Vec<(&str, bool)> =
        planned.serving.iter().map(|relay| (relay.name.as_str(), relay.deployment.is_some())).collect();
    assert_eq!(replaced, [("a", false), ("b", true)]);
}

/// A person deletes the claim of a relay.
fn delete_claim(cluster: &mut Cluster, relay: &str) {
    let now = cluster.facts.now;
    cluster.live(relay).claim.as_mut().unwrap().metadata.deletion_timestamp = Some(Time(now));
}

/// The relays that are to get another Deployment, as a new image is there.
fn replaced(cluster: &Cluster) -> Vec<String> {
    let settings = Settings { relay_image: "registry.example/relay:newer".into(), ..fixture::settings() };
    let planned = plan(&cluster.resource, &cluster.facts, &settings).unwrap();
    planned.serving.into_iter().filter(|relay| relay.deployment.is_some()).map(|relay| relay.name.to_string()).collect()
}

/// The relays that are told to take no mail, and those that are made anew.
fn away(cluster: &Cluster) -> (Vec<String>, Vec<String>) {
    let planned = cluster.plan();
    let closed = planned.serving.iter().filter(|relay| document::is_closed(&relay.document));
    let renewed = planned.renewing.iter().map(|relay| relay.name.to_string());
    (closed.map(|relay| relay.name.to_string()).collect(), renewed.collect())
}

#[test]
fn while_a_claim_is_replaced_no_other_relay_is_taken_away() {
    let mut cluster = Cluster::settled();
    assert_eq!(replaced(&cluster), ["a"]);
    delete_claim(&mut cluster, "b");
    assert_eq!(away(&cluster), (vec!["b".into()], Vec::new()));
    assert_eq!(replaced(&cluster), Vec::<String>::new(), "b is being closed");
    cluster.pass();
    assert_eq!(away(&cluster), (Vec::new(), vec!["b".into()]));
    assert_eq!(replaced(&cluster), Vec::<String>::new(), "b goes");
    let b = cluster.live("b");
    (b.deployment, b.report) = (None, None);
    b.claim.as_mut().unwrap().metadata.finalizers = None;
    assert_eq!(replaced(&cluster), Vec::<String>::new(), "b waits for its pod to be gone");
    cluster.live("a").deployment.as_mut().unwrap().status = None;
    assert_eq!(replaced(&cluster), ["a"], "what takes no mail is repaired at any time");
}

#[test]
fn the_claims_of_all_relays_are_replaced_one_after_the_other() {
    let mut cluster = Cluster::settled();
    for relay in ["a", "b"] {
        delete_claim(&mut cluster, relay);
    }
    assert_eq!(away(&cluster), (vec!["a".into()], Vec::new()));
    cluster.pass();
    assert_eq!(away(&cluster), (Vec::new(), vec!["a".into()]));
    let a = cluster.live("a");
    (a.claim, a.deployment, a.report) = (None, None, None);
    assert_eq!(away(&cluster), (Vec::new(), Vec::new()), "it is made anew, and does not take mail yet");
    cluster.pass();
    assert_eq!(away(&cluster), (vec!["b".into()], Vec::new()));
}

#[test]
fn a_claim_that_holds_nothing_waits_while_another_relay_takes_no_mail() {
    let mut cluster = Cluster::settled();
    delete_claim(&mut cluster, "b");
    cluster.live("a").deployment.as_mut().unwrap().status = None;
    assert_eq!(away(&cluster), (Vec::new(), Vec::new()));
    let annotations = cluster.live("b").claim.as_mut().unwrap().metadata.annotations.as_mut().unwrap();
    annotations.insert(labels::RELEASE.into(), labels::DISCARD.into());
    assert_eq!(away(&cluster), (Vec::new(), vec!["b".into()]), "a person's word waits for nothing");
}

#[test]
fn a_pod_that_still_keeps_a_claim_goes_on_when_the_finalizer_is_taken_off() {
    let mut cluster = Cluster::settled();
    delete_claim(&mut cluster, "b");
    let b = cluster.live("b");
    b.report.as_mut().unwrap().queue.messages = 3;
    b.claim.as_mut().unwrap().metadata.finalizers = Some(vec!["kubernetes.io/pvc-protection".into()]);
    assert_eq!(away(&cluster), (Vec::new(), Vec::new()), "its mail is there as long as the pod is");
}

/// Relay `b` holds three messages, and its claim is gone.
fn lost() -> Cluster {
    let mut cluster = Cluster::settled();
    let since = cluster.facts.now;
    let b = cluster.live("b");
    (b.pod_since, b.claim) = (Some(since), None);
    b.report.as_mut().unwrap().queue.messages = 3;
    cluster.later(10);
    cluster
}

fn said(planned: &Resources) -> Option<Loss> {
    lost_before(&planned.serving.iter().find(|relay| relay.name == name("b"))?.claim)
}

#[test]
fn a_claim_that_was_lost_is_replaced_with_a_note() {
    let mut cluster = lost();
    let seen = cluster.facts.now;
    assert_eq!(said(&cluster.plan()), Some(Loss { since: seen, messages: Some(3) }));
    (cluster.live("b").report, cluster.live("b").known_held) = (None, Some(2));
    assert_eq!(said(&cluster.plan()), Some(Loss { since: seen, messages: Some(2) }), "as it was said last");
    let planned = cluster.pass();
    cluster.later(3600);
    assert_eq!(said(&cluster.plan()), said(&planned), "until a person has seen it");
    cluster.live("b").claim.as_mut().unwrap().metadata.annotations.as_mut().unwrap().remove(labels::LOST);
    assert_eq!(said(&cluster.plan()), None);
    for (what, lose) in [
        ("with its Deployment", (|live| live.deployment = None) as fn(&mut Live)),
        ("with its ConfigMap too", |live| (live.deployment, live.document) = (None, None)),
    ] {
        let mut cluster = self::lost();
        let b = cluster.live("b");
        (b.report, b.pod_since, b.known_held) = (None, None, Some(2));
        lose(b);
        assert_eq!(said(&cluster.plan()), Some(Loss { since: seen, messages: Some(2) }), "{what}");
    }
    let first = Cluster::new();
    assert_eq!(said(&first.plan()), None, "a relay that is new has lost nothing");
}

#[test]
fn a_pod_on_a_lost_volume_stays_while_it_holds_mail_and_then_moves() {
    let mut cluster = lost();
    cluster.live("a").deployment.as_mut().unwrap().status = None;
    assert_eq!(replaced(&cluster), ["a"], "b is left as it is");
    let mut cluster = lost();
    let now = cluster.facts.now;
    cluster.pass();
    let b = cluster.live("b");
    b.claim.as_mut().unwrap().metadata.creation_timestamp = Some(Time(now));
    b.report.as_mut().unwrap().queue.messages = 3;
    assert_eq!(away(&cluster), (Vec::new(), Vec::new()));
    cluster.live("b").report.as_mut().unwrap().queue.messages = 0;
    assert_eq!(away(&cluster), (vec!["b".into()], Vec::new()));
    cluster.pass();
    assert_eq!(away(&cluster), (Vec::new(), vec!["b".into()]));
    cluster.live("b").pod_since = Some(now.checked_add(5.seconds()).unwrap());
    assert_eq!(away(&cluster), (Vec::new(), Vec::new()), "its next pod is on the new one");
}

#[test]
fn a_claim_that_was_let_go_is_replaced_without_one() {
    let mut empty = Cluster::settled();
    for _ in 0..3 {
        delete_claim(&mut empty, "b");
        empty.pass();
    }
    let mut given_up = Cluster::settled();
    given_up.live("b").report.as_mut().unwrap().queue.messages = 3;
    delete_claim(&mut given_up, "b");
    let claim = given_up.live("b").claim.as_mut().unwrap();
    claim.metadata.annotations.as_mut().unwrap().insert(labels::RELEASE.into(), labels::DISCARD.into());
    for (what, mut cluster) in [("it held nothing", empty), ("a person gave its mail up", given_up)] {
        let planned = cluster.pass();
        assert_eq!(planned.renewing.len(), 1, "{what}");
        let b = cluster.live("b");
        (b.claim, b.deployment, b.report, b.known_held) = (None, None, None, Some(3));
        if let Some(shut) = &planned.renewing[0].config_map {
            (b.document, b.noted) = (config_map::document(shut), config_map::claim(shut));
        }
        assert_eq!(said(&cluster.plan()), None, "{what}");
    }
}

#[test]
fn a_claim_that_is_lost_while_its_relay_takes_no_mail_is_replaced_with_a_note() {
    let mut cluster = Cluster::settled();
    let domains = cluster.resource.domains.clone();
    cluster.facts.not_allowed = domains;
    cluster.pass();
    let b = cluster.live("b");
    assert!(b.document.as_ref().is_some_and(document::is_closed));
    (b.claim, b.deployment, b.report, b.known_held) = (None, None, None, Some(3));
    let seen = cluster.facts.now;
    assert_eq!(said(&cluster.plan()), Some(Loss { since: seen, messages: Some(3) }));

    let mut forced = Cluster::settled();
    for _ in 0..2 {
        delete_claim(&mut forced, "b");
        forced.pass();
    }
    let b = forced.live("b");
    b.deployment = None;
    b.claim.as_mut().unwrap().metadata.finalizers = None;
    let planned = forced.plan();
    assert_eq!(planned.renewing.len(), 1, "nothing keeps it");
    assert_eq!(planned.renewing[0].config_map, None, "but nobody has let it go");
}

#[test]
fn a_relay_that_leaves_without_its_claim_is_told_of_and_cleared_away() {
    let told = |cluster: &Cluster, planned: &Resources| {
        lost_on_leaving(&cluster.resource, planned, &cluster.facts).into_iter().map(|(_, loss)| loss.messages).collect()
    };
    let leaving = |deletion: DeletionPolicy| {
        let mut cluster = lost();
        (cluster.facts.life, cluster.resource.deletion) = (Life::Leaving, deletion);
        let b = cluster.live("b");
        (b.report, b.pod_since, b.deployment, b.known_held) = (None, None, None, Some(2));
        cluster
    };
    for (policy, wanted) in [
        (DeletionPolicy::Drain, vec![Some(2)]),
        (DeletionPolicy::Retain, vec![Some(2)]),
        (DeletionPolicy::Discard, vec![]),
    ] {
        let mut cluster = leaving(policy);
        let planned = cluster.plan();
        let b = planned.leaving.iter().find(|relay| relay.name == name("b")).unwrap();
        assert_eq!(b.retirement.phase, Phase::Gone, "its Service and its ConfigMap go");
        let found: Vec<Option<u64>> = told(&cluster, &planned);
        assert_eq!(found, wanted, "{policy:?}");
        let b = cluster.live("b");
        (b.document, b.service) = (None, None);
        assert!(!cluster.plan().leaving.iter().any(|relay| relay.name == name("b")), "nothing is left of it");
    }
    let mut drained = leaving(DeletionPolicy::Drain);
    let b = drained.live("b");
    (b.known_held, b.document) = (Some(0), b.document.clone().map(crate::desired::document::closed));
    let found: Vec<Option<u64>> = told(&drained, &drained.plan());
    assert_eq!(found, Vec::new(), "it had drained");
}
