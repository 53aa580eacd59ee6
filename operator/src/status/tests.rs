use std::time::Duration;

use backupmx_relay_config::status::{PrimaryState as Seen, RelayStatus as Report};

use super::*;
use crate::{desired::fixture, plan::tests::Cluster, validated::Owner};

pub(super) const START: &str = "2027-01-15T08:00:00Z";

pub(super) fn status_of(cluster: &Cluster, before: &BackupMXStatus, now: &str) -> BackupMXStatus {
    let planned = cluster.plan();
    let relays = planned
        .serving
        .iter()
        .map(|relay| AppliedRelay {
            name: relay.name.clone(),
            deployment: relay.deployment.as_ref().and(cluster.facts.relays[&relay.name].deployment.clone()),
            service: relay.service.clone(),
            claim: relay.claim.clone(),
            revision: relay.document.revision,
        })
        .collect();
    let leaving = planned
        .leaving
        .iter()
        .map(|relay| crate::apply::AppliedLeaving { name: relay.name.clone(), phase: relay.retirement.phase })
        .collect();
    let before = Before { status: before, generation: Some(3), now: now.parse().unwrap() };
    let applied_all = Applied { relays, leaving, mx: planned.mx };
    applied(before, &cluster.resource, &cluster.facts, &applied_all, &fixture::settings())
}

pub(super) fn fresh(cluster: &Cluster) -> BackupMXStatus {
    status_of(cluster, &BackupMXStatus::default(), START)
}

pub(super) fn condition(status: &BackupMXStatus, kind: ConditionType) -> String {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind.as_str());
    found.map(|condition| format!("{} {}", condition.status, condition.reason)).unwrap_or_default()
}

pub(super) fn published() -> Cluster {
    Cluster::published()
}

fn first(cluster: &mut Cluster) -> &mut Report {
    cluster.facts.relays.values_mut().next().unwrap().report.as_mut().unwrap()
}

#[test]
fn golden() {
    let mut cluster = published();
    first(&mut cluster).queue.messages = 12;
    first(&mut cluster).queue.oldest_message_time = Some("2027-01-15T07:00:00Z".into());
    insta::assert_snapshot!(fixture::yaml(&fresh(&cluster)));
}

#[test]
fn ready_is_relays_and_publication_and_nothing_else() {
    let mut cluster = published();
    for live in cluster.facts.relays.values_mut() {
        let report = live.report.as_mut().unwrap();
        report.tenants[0].primary.state = Seen::Down;
        report.queue.held = 9;
    }
    let status = fresh(&cluster);
    assert_eq!(condition(&status, ConditionType::Ready), "True Available");
    assert_eq!(condition(&status, ConditionType::PrimaryReachable), "False Down");
    assert_eq!(condition(&status, ConditionType::QueueHealthy), "False NeedsDecision");
}

#[test]
fn ready_waits_for_publication_once() {
    let mut cluster = Cluster::settled();
    assert_eq!(condition(&fresh(&cluster), ConditionType::Ready), "False NotPublishedYet");
    cluster.dns_follows();
    let before = fresh(&cluster);
    assert_eq!(condition(&before, ConditionType::Ready), "True Available");
    cluster.pass();
    cluster.facts.dns = plan::Seen::default();
    let later = status_of(&cluster, &before, "2027-01-15T09:00:00Z");
    assert_eq!(later.conditions, before.conditions, "an operator that has just started has seen nothing yet");
    assert_eq!(condition(&fresh(&cluster), ConditionType::Ready), "True Available", "even if the status was lost");
}

#[test]
fn what_keeps_a_relay_from_being_ready_is_named() {
    type Change = fn(&mut Cluster);
    let cases: [(Change, &str); 4] = [
        (|cluster| cluster.facts.relays.values_mut().next().unwrap().report = None, "False RelayUnreachable"),
        (|cluster| first(cluster).config_error = Some("no".into()), "False ConfigRefused"),
        (|cluster| first(cluster).config_revision -= 1, "False RollingOut"),
        (
            |cluster| {
                let live = cluster.facts.relays.values_mut().next().unwrap();
                live.deployment.as_mut().unwrap().status = None;
            },
            "False PodNotReady",
        ),
    ];
    for (change, wanted) in cases {
        let mut cluster = published();
        change(&mut cluster);
        let status = fresh(&cluster);
        assert_eq!(condition(&status, ConditionType::RelaysReady), wanted);
        assert_eq!(condition(&status, ConditionType::Reconciling), "True Progressing");
        assert_eq!(condition(&status, ConditionType::Ready), "True Available", "the other relay serves");
    }
}

#[test]
fn no_relay_no_ready() {
    let mut cluster = published();
    for live in cluster.facts.relays.values_mut() {
        live.deployment.as_mut().unwrap().status = None;
    }
    assert_eq!(condition(&fresh(&cluster), ConditionType::Ready), "False NoRelayAvailable");
}

#[test]
fn conflicts_name_the_owner() {
    let mut cluster = published();
    let other = Owner { namespace: "n".into(), name: "o".into(), uid: "v".into() };
    cluster.facts.lost.domains.insert("example.net".parse().unwrap(), other);
    let status = fresh(&cluster);
    assert_eq!(condition(&status, ConditionType::DomainConflict), "True OwnedByAnother");
    assert!(status.conditions.iter().any(|known| known.message == "example.net is n/o's"));
    assert_eq!(status.domains, ["example.org"]);
}

#[test]
fn a_drain_says_what_it_waits_for() {
    let mut cluster = published();
    cluster.facts.life = Life::Leaving;
    cluster.pass();
    let status = fresh(&cluster);
    assert_eq!(condition(&status, ConditionType::Draining), "True WaitingForCaches");
    assert_eq!(condition(&status, ConditionType::Ready), "False Deleting");
}

#[test]
fn an_invalid_spec_takes_nothing_back_that_was_said_of_the_relays() {
    let cluster = published();
    let before = fresh(&cluster);
    let now = START.parse().unwrap();
    let problems = Problems(vec![crate::validate::Problem { field: "spec.x".into(), problem: "expected y".into() }]);
    let status = invalid(Before { status: &before, generation: Some(4), now }, &problems);
    assert_eq!(condition(&status, ConditionType::Stalled), "True InvalidSpec");
    assert_eq!(condition(&status, ConditionType::RelaysReady), "True AllReady");
    assert_eq!(status.relays, before.relays);
    assert_eq!(status.observed_generation, Some(4));
}

#[test]
fn figures_are_written_once_a_minute_and_their_beginning_at_once() {
    let mut cluster = published();
    let none = fresh(&cluster);
    let with = |cluster: &mut Cluster, messages| {
        first(cluster).queue.messages = messages;
        fresh(cluster)
    };
    let (one, two) = (with(&mut cluster, 1), with(&mut cluster, 2));
    let soon = Duration::from_secs(5);
    assert!(worth_writing(&none, &one, soon), "mail begins to be held");
    assert!(!worth_writing(&one, &two, soon));
    assert!(worth_writing(&one, &two, Duration::from_secs(60)));
    assert!(worth_writing(&two, &none, soon), "all of it is gone");
    assert!(!worth_writing(&two, &two, Duration::from_secs(3600)));
}
