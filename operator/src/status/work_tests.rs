//! How the work on a resource is said to go: what a person has to do, and what goes on by itself.

use backupmx_relay_config::status::PrimaryState as Seen;

use super::{
    tests::{START, condition, first, fresh, hush, published, said, status_by, status_of},
    *,
};
use crate::{
    plan::tests::{Cluster, leave},
    validate::{Place, Problem},
    validated::Owner,
};

fn work(status: &BackupMXStatus) -> (String, String) {
    let work = (condition(status, ConditionType::Reconciling), condition(status, ConditionType::Stalled));
    assert!(!(work.0.starts_with("True") && work.1.starts_with("True")), "one or the other: {work:?}");
    work
}

fn is(reconciling: &str, stalled: &str) -> (String, String) {
    (reconciling.into(), stalled.into())
}

fn problems() -> Problems {
    Problems(vec![Problem { field: "spec.x".into(), problem: "expected y".into(), place: Place::Spec }])
}

#[test]
fn all_is_told_of_the_spec_that_is_in_use_but_what_is_wrong_with_the_newest() {
    let mut cluster = published();
    let old = fresh(&cluster);
    first(&mut cluster).queue.messages = 7;
    let before = Before { status: &old, generation: Some(4), now: START.parse().unwrap() };
    let status = status_by(&cluster, before, Hindered { problems: Some(&problems()), ..Hindered::default() });
    assert_eq!(work(&status), is("False InvalidSpec", "True InvalidSpec"));
    assert_eq!(
        said(&status, ConditionType::Stalled),
        "spec.x: expected y. Until it is mended, all goes on by what could be used last (generation 3)"
    );
    assert_eq!(condition(&status, ConditionType::Ready), "True Available");
    assert!(said(&status, ConditionType::Ready).contains("Stalled says why the newest spec is not in use"));
    assert_eq!(condition(&status, ConditionType::QueueHealthy), "True Holding", "figures are true");
    assert_eq!(status.observed_generation, Some(4));
    for known in &status.conditions {
        let newest = ["Stalled", "Reconciling"].contains(&known.type_.as_str());
        assert_eq!(known.observed_generation, Some(if newest { 4 } else { 3 }), "{}", known.type_);
    }
    // An operator that starts then has asked nobody.
    hush(&mut cluster, Asked::NotYet);
    let before = Before { status: &status, generation: Some(4), now: START.parse().unwrap() };
    assert_eq!(status_by(&cluster, before, Hindered { problems: Some(&problems()), ..Hindered::default() }), status);
}

#[test]
fn a_rollout_under_a_spec_that_cannot_be_used_waits_for_a_person_all_the_same() {
    let mut cluster = published();
    first(&mut cluster).config_revision -= 1;
    let before = Before { status: &BackupMXStatus::default(), generation: Some(4), now: START.parse().unwrap() };
    let status = status_by(&cluster, before, Hindered { problems: Some(&problems()), ..Hindered::default() });
    assert_eq!(work(&status), is("False InvalidSpec", "True InvalidSpec"));
    assert_eq!(condition(&status, ConditionType::RelaysReady), "False RollingOut");
}

#[test]
fn a_config_that_is_refused_waits_for_a_person_and_what_passes_does_not() {
    let mut cluster = published();
    first(&mut cluster).config_error = Some("line 1: no".into());
    let refused = fresh(&cluster);
    assert_eq!(work(&refused), is("False ConfigRefused", "True ConfigRefused"));
    assert_eq!(said(&refused, ConditionType::Stalled), said(&refused, ConditionType::RelaysReady));
    hush(&mut cluster, Asked::NotYet);
    assert_eq!(status_of(&cluster, &refused, START).conditions, refused.conditions, "until it was asked");

    let mut behind = published();
    first(&mut behind).config_revision -= 1;
    assert_eq!(work(&fresh(&behind)), is("True Progressing", "False UpToDate"));
    let mut silent = published();
    hush(&mut silent, Asked::Yes);
    assert_eq!(work(&fresh(&silent)), is("True Progressing", "False UpToDate"));
}

#[test]
fn nothing_that_is_its_own_waits_for_a_person_and_one_conflict_of_several_does_not() {
    let another = || Owner { namespace: "n".into(), name: "o".into(), uid: "v".into() };
    let mut cluster = published();
    cluster.facts.lost.domains.insert("example.net".parse().unwrap(), another());
    cluster.facts.lost.hostnames.insert("mx1.backup.example.net".parse().unwrap(), another());
    assert_eq!(work(&fresh(&cluster)).1, "False UpToDate");
    cluster.facts.lost.domains.insert("example.org".parse().unwrap(), another());
    let status = fresh(&cluster);
    assert_eq!(work(&status), is("False OwnedByAnother", "True OwnedByAnother"));
    assert!(said(&status, ConditionType::Stalled).contains("example.org is n/o's: take it out"), "{status:?}");

    let mut hosts = published();
    hosts.facts.not_allowed_hosts = hosts.resource.relays.iter().map(|relay| relay.hostname.clone()).collect();
    assert_eq!(work(&fresh(&hosts)), is("False NotAllowed", "True NotAllowed"));
    hosts.facts.not_allowed_hosts.pop();
    assert_eq!(work(&fresh(&hosts)).1, "False UpToDate");
}

/// Relay b has left the spec and waits for its caches.
fn waiting() -> Cluster {
    let mut cluster = published();
    cluster.resource.relays.pop();
    cluster.pass();
    cluster.dns_follows();
    cluster.pass();
    cluster
}

/// Relay b holds a message and is to be empty.
fn draining() -> Cluster {
    let mut cluster = waiting();
    cluster.live("b").report.as_mut().unwrap().queue.messages = 1;
    leave(&mut cluster);
    cluster
}

#[test]
fn what_leaves_is_worked_on_while_it_goes_on_by_itself() {
    let cluster = waiting();
    assert_eq!(condition(&fresh(&cluster), ConditionType::Draining), "True WaitingForCaches");
    assert_eq!(work(&fresh(&cluster)), is("True Progressing", "False UpToDate"));
    let mut cluster = draining();
    assert_eq!(condition(&fresh(&cluster), ConditionType::Draining), "True Delivering");
    assert_eq!(work(&fresh(&cluster)), is("True Progressing", "False UpToDate"));
    // A silence may be over at the next word.
    cluster.live("b").report = None;
    assert_eq!(condition(&fresh(&cluster), ConditionType::Draining), "True Stuck");
    assert_eq!(work(&fresh(&cluster)), is("True Progressing", "False UpToDate"));
}

#[test]
fn what_waits_for_the_primary_keeps_nobody_from_repairing_it() {
    for away in [Seen::Down, Seen::Deferring] {
        let mut cluster = draining();
        for live in cluster.facts.relays.values_mut() {
            live.report.as_mut().unwrap().tenants.iter_mut().for_each(|tenant| tenant.primary.state = away);
        }
        let status = fresh(&cluster);
        assert_eq!(condition(&status, ConditionType::Draining), "True Delivering");
        assert_eq!(work(&status), is("False UpToDate", "False UpToDate"));
        assert_eq!(condition(&status, ConditionType::Ready), "True Available");
    }
}

#[test]
fn a_stuck_drain_waits_for_a_person_and_says_what_to_do() {
    let mut cluster = draining();
    let report = cluster.live("b").report.as_mut().unwrap();
    (report.queue.parked, report.tenants[0].queue.parked) = (1, 1);
    let status = fresh(&cluster);
    assert_eq!(work(&status), is("False Stuck", "True Stuck"));
    assert_eq!(said(&status, ConditionType::Stalled), said(&status, ConditionType::Draining));
    assert!(said(&status, ConditionType::Stalled).contains("kubectl annotate pvc"), "{status:?}");
    assert_eq!(condition(&status, ConditionType::Ready), "True Available");
    // A figure in it is not worth a write by itself.
    let report = cluster.live("b").report.as_mut().unwrap();
    (report.queue.messages, report.queue.parked) = (2, 2);
    (report.tenants[0].queue.messages, report.tenants[0].queue.parked) = (2, 2);
    let more = status_of(&cluster, &status, START);
    assert_ne!(more, status);
    assert!(!worth_writing(&status, &more, std::time::Duration::from_secs(5)));
}
