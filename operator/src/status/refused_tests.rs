//! What is said while an object cannot be written: all that is true of the others, and of it that it is not there.

use std::collections::BTreeSet;

use super::{
    tests::{START, condition, fresh, published, said, status_by},
    *,
};
use crate::plan::tests::Cluster;

const WHY: &str = "failed to apply Service example-org-a: forbidden by a webhook";

/// The status while a write fails for that cause.
fn while_it_fails(cluster: &Cluster, before: &BackupMXStatus, cause: Cause) -> BackupMXStatus {
    let unapplied = Unapplied { cause, message: WHY.into() };
    let before = Before { status: before, generation: Some(4), now: START.parse().unwrap() };
    let status = status_by(cluster, before, Hindered { unapplied: Some(&unapplied), ..Hindered::default() });
    let kinds: BTreeSet<_> = status.conditions.iter().map(|known| &known.type_).collect();
    assert_eq!(kinds.len(), status.conditions.len(), "each once");
    assert_eq!(status.observed_generation, Some(4));
    status
}

#[test]
fn it_is_stalled_where_a_person_must_act_and_reconciling_where_it_may_pass() {
    let cluster = published();
    let before = fresh(&cluster);
    let status = while_it_fails(&cluster, &before, Cause::Refused);
    assert_eq!(condition(&status, ConditionType::Stalled), "True ApplyFailed");
    assert_eq!(condition(&status, ConditionType::Reconciling), "False ApplyFailed");
    assert_eq!(said(&status, ConditionType::Stalled), WHY);
    let status = while_it_fails(&cluster, &before, Cause::Unanswered);
    assert_eq!(condition(&status, ConditionType::Stalled), "False UpToDate");
    assert_eq!(condition(&status, ConditionType::Reconciling), "True ApplyFailed");
    assert_eq!(condition(&status, ConditionType::Ready), "True Available");
}

#[test]
fn what_runs_is_told_as_it_is() {
    let mut cluster = published();
    let before = fresh(&cluster);
    cluster.live("b").deployment.as_mut().unwrap().status = None;
    cluster.live("a").report.as_mut().unwrap().queue.messages = 7;
    let status = while_it_fails(&cluster, &before, Cause::Refused);
    assert_eq!(condition(&status, ConditionType::RelaysReady), "False PodNotReady");
    assert_eq!(condition(&status, ConditionType::Ready), "True Available", "relay a serves");
    assert_eq!(status.queue.as_ref().unwrap().messages, 7);
    // The last of them too.
    cluster.live("a").deployment.as_mut().unwrap().status = None;
    let status = while_it_fails(&cluster, &before, Cause::Refused);
    assert_eq!(condition(&status, ConditionType::Ready), "False ApplyFailed");
}

#[test]
fn it_stays_ready_on_the_config_before_and_says_of_which_spec() {
    let mut cluster = published();
    let before = fresh(&cluster);
    for live in cluster.facts.relays.values_mut() {
        live.report.as_mut().unwrap().config_revision = 0;
    }
    let status = while_it_fails(&cluster, &before, Cause::Refused);
    assert_eq!(condition(&status, ConditionType::RelaysReady), "False RollingOut");
    assert_eq!(condition(&status, ConditionType::Ready), "True Available");
    let of = |kind: ConditionType| {
        status.conditions.iter().find(|known| known.type_ == kind.as_str()).unwrap().observed_generation
    };
    assert_eq!(of(ConditionType::Ready), cluster.resource.generation, "not of the spec that is not carried out");
    assert_eq!(of(ConditionType::Stalled), Some(4));
}

#[test]
fn what_was_never_there_is_not_ready_and_says_why() {
    let mut cluster = published();
    cluster.live("a").deployment = None;
    let before = Before { status: &BackupMXStatus::default(), generation: Some(4), now: START.parse().unwrap() };
    let mut applied_all = super::tests::applied_of(&cluster);
    applied_all.relays[0].claim = None;
    applied_all.relays[0].failed = Some(WHY.into());
    applied_all.mx_missing = applied_all.mx.drain(..).map(|set| kube::ResourceExt::name_any(&set)).collect();
    let unapplied = Unapplied { cause: Cause::Refused, message: WHY.into() };
    let hindered = Hindered { unapplied: Some(&unapplied), ..Hindered::default() };
    let settings = crate::desired::fixture::settings();
    let status = applied(before, &cluster.resource, &cluster.facts, &applied_all, &settings, hindered);
    let message = said(&status, ConditionType::RelaysReady);
    assert!(message.starts_with(&format!("relay a has no pod yet: {WHY}")), "{message}");
    assert_eq!(condition(&status, ConditionType::RelaysReady), "False PodNotReady");
}
